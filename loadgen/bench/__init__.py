"""Benches: each a module with `run`, chosen by name with `python -m loadgen.bench <name>`."""
