"""Messages, events and errors. No I/O, and nothing else of ours is imported here."""

from contracts.codec import EVENT_SCHEMA, SCHEMAS, decode, decode_event, encode, json_schemas
from contracts.document import Document, Outcome
from contracts.event import (
    Accepted,
    Cancelled,
    Citation,
    Delta,
    Done,
    Event,
    Evidence,
    Failed,
    Passage,
    Routed,
    Rows,
    Scalar,
    Terminal,
    Unknown,
    Usage,
    is_terminal,
)
from contracts.feedback import Feedback
from contracts.job import Cancel, EvidenceJob, GenerateJob, LogPosition
from contracts.query import Query, Route, Turn, adapter_of, queue_of

__all__ = [
    "EVENT_SCHEMA",
    "SCHEMAS",
    "Accepted",
    "Cancel",
    "Cancelled",
    "Citation",
    "Delta",
    "Document",
    "Done",
    "Event",
    "Evidence",
    "EvidenceJob",
    "Failed",
    "Feedback",
    "GenerateJob",
    "LogPosition",
    "Outcome",
    "Passage",
    "Query",
    "Route",
    "Routed",
    "Rows",
    "Scalar",
    "Terminal",
    "Turn",
    "Unknown",
    "Usage",
    "adapter_of",
    "decode",
    "decode_event",
    "encode",
    "is_terminal",
    "json_schemas",
    "queue_of",
]
