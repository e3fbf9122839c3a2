"""One way in and one way out for every message body: JSON, its schema named in the `Af-Schema` header."""

from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts.document import Document, Outcome
from contracts.errors import DecodeError, UnsupportedSchema
from contracts.event import EVENT, Event
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
}
EVENT_SCHEMA = "event/1"


def encode(message: BaseModel) -> bytes:
    return message.model_dump_json(exclude_defaults=False).encode()


def decode(kind: type[T], raw: bytes, *, schema: str | None = None) -> T:
    """Read one message.

    Raises:
        UnsupportedSchema: `schema` is given and is not the one this release reads for `kind`.
        DecodeError: the body is not JSON or not of that shape; names the first offending field and value.
    """
    expected = SCHEMAS[kind]
    if schema is not None and schema != expected:
        raise UnsupportedSchema(f"Af-Schema is {schema!r}; this release reads {expected!r}.", raw=raw)
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise DecodeError(_describe(error, expected), raw=raw) from error


def decode_event(raw: bytes) -> Event:
    try:
        return EVENT.validate_json(raw)
    except ValidationError as error:
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
