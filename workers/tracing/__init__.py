"""Traces: what each stage does with a question, as OpenTelemetry spans in the words of OpenInference."""
