"""One way in and one way out for every message body: JSON, its schema named in the `Af-Schema` header.

A schema is `name/major` or `name/major.minor`. A minor version only adds optional fields and event types. So
a reader takes an older minor version as it is, and of a newer one what it knows: workers of two neighbouring
releases run side by side. Another major version is refused.
"""

import re
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts.document import Document, Outcome
from contracts.errors import DecodeError, UnsupportedSchema
from contracts.event import EVENT, Event, Unknown
from contracts.feedback import Feedback
from contracts.job import Cancel, EvidenceJob, GenerateJob
from contracts.query import Query

T = TypeVar("T", bound=BaseModel)

SCHEMAS: dict[type[BaseModel], str] = {
    Query: "query/1",
    EvidenceJob: "evidence-job/1",
    GenerateJob: "generate-job/1",
    Document: "document/1",
    Outcome: "outcome/1",
    Cancel: "cancel/1",
    Feedback: "feedback/1",
}
EVENT_SCHEMA = "event/1"


def encode(message: BaseModel) -> bytes:
    return message.model_dump_json(exclude_defaults=False).encode()


class Version(NamedTuple):
    """Of one schema: `query/1.2` is `Version("query", 1, 2)`."""

    name: str
    major: int
    minor: int

    @classmethod
    def of(cls, schema: str) -> "Version | None":
        found = _SCHEMA.match(schema)
        return cls(found[1], int(found[2]), int(found[3] or 0)) if found else None


_SCHEMA = re.compile(r"([a-z-]{1,40})/(\d{1,4})(?:\.(\d{1,4}))?\Z")


def decode(kind: type[T], raw: bytes, *, schema: str | None = None) -> T:
    """Read one message.

    Raises:
        UnsupportedSchema: `schema` is given and is not one that this release reads for `kind`.
        DecodeError: the body is not JSON or not of that shape; names the first offending field and value.
    """
    ours = SCHEMAS[kind]
    newer = schema not in (None, ours) and _is_newer(str(schema), ours, raw)
    try:
        return kind.model_validate_json(raw, extra="ignore" if newer else None)
    except ValidationError as error:
        raise DecodeError(_describe(error, ours), raw=raw) from error


def _is_newer(schema: str, ours: str, raw: bytes) -> bool:
    """Whether fields may be there that this release does not know."""
    found, known = Version.of(schema), Version.of(ours)
    assert known is not None
    if found is None or found[:2] != known[:2]:
        raise UnsupportedSchema(f"Af-Schema is {schema[:60]!r}; this release reads {ours!r}.", raw=raw)
    return found.minor > known.minor


def decode_event(raw: bytes) -> Event:
    """Read one event; fields and types that a newer release added do not disturb."""
    try:
        return EVENT.validate_json(raw, extra="ignore")
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] == "union_tag_invalid":
            return Unknown.model_validate_json(raw)
        raise DecodeError(_describe(error, EVENT_SCHEMA), raw=raw) from error


def json_schemas() -> dict[str, dict[str, object]]:
    """The JSON Schema of every message, by schema name."""
    adapters: dict[str, TypeAdapter[object]] = {name: TypeAdapter(kind) for kind, name in SCHEMAS.items()}
    adapters[EVENT_SCHEMA] = EVENT  # type: ignore[assignment]
    return {name: adapter.json_schema() for name, adapter in adapters.items()}


def _describe(error: ValidationError, schema: str) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    value = repr(first["input"])
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    return f"Not a valid {schema}: {where}: {first['msg']} (got {shown})."
