"""Events of the answer log, schema `event/1`: all that happens to a query, in order.

`index` counts 1, 2, 3, ... over the whole answer, across attempts; it is the SSE id. `id` is unique for each
event that a writer made, so that a writer whose acknowledgement was lost recognises its own. `at` is in epoch
milliseconds.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from contracts.errors import Problem
from contracts.query import Name, Query, Route

Scalar = str | int | float | bool | None


class Passage(BaseModel):
    """A piece of a document that was found for the question."""

    model_config = ConfigDict(frozen=True)

    chunk_id: str
    document_id: str
    title: str
    heading_path: tuple[str, ...] = ()
    source: str = Field(description="where a person can open it: a path or an address")
    text: str
    score: float = Field(description="0 to 1, comparable between questions; under 0.5 seldom an answer")


class Usage(BaseModel):
    model_config = ConfigDict(frozen=True)

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0


class Citation(BaseModel):
    """What a `[n]` in the text stands for."""

    model_config = ConfigDict(frozen=True)

    number: int
    kind: Literal["passage", "rows"]
    title: str
    source: str = ""
    chunk_id: str = ""
    document_id: str = ""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)

    index: int = 0
    id: str = ""
    at: int = 0


class Accepted(_Event):
    """The query is in the system. Always index 1."""

    type: Literal["accepted"] = "accepted"
    tenant: Name
    query: Query
    deadline: int = Field(description="epoch milliseconds")


class Routed(_Event):
    type: Literal["routed"] = "routed"
    route: Route
    confidence: float = Field(ge=0, le=1)
    probabilities: dict[str, float] = {}
    reason: str = ""
    question: str = Field(
        default="", description="the stand-alone question, where it differs from the query's"
    )
    question_by: Literal["", "rules", "engine"] = Field(
        default="", description="what made the stand-alone question of a follow-up"
    )
    model_version: str = ""


class Evidence(_Event):
    """Passages from the documents, best first; empty when nothing was found."""

    type: Literal["evidence"] = "evidence"
    passages: tuple[Passage, ...] = ()
    took_ms: float = 0.0
    problem: Problem | None = Field(default=None, description="why the documents could not be searched")


class Rows(_Event):
    """A statement and its result; without a statement, `reason` says why none could be made."""

    type: Literal["rows"] = "rows"
    statement: str | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Scalar, ...], ...] = ()
    truncated: bool = Field(default=False, description="more rows exist than are shown")
    confidence: Literal["high", "low", "none"] = "high"
    reason: str = ""
    took_ms: float = 0.0
    problem: Problem | None = Field(default=None, description="why the database could not be asked")


class Delta(_Event):
    """Text that follows the text of the deltas before it."""

    type: Literal["delta"] = "delta"
    text: str
    tokens: int = 1


class Done(_Event):
    """Terminal: the whole text, so that a reader can reconcile."""

    type: Literal["done"] = "done"
    text: str
    citations: tuple[Citation, ...] = ()
    usage: Usage = Usage()
    model: str = ""
    finish_reason: Literal["stop", "length"] = "stop"
    answered: bool = Field(default=True, description="false: the evidence does not carry an answer")
    unsupported: tuple[str, ...] = Field(
        default=(), description="sentences of the text that no piece of evidence holds"
    )


class Failed(_Event):
    """Terminal."""

    type: Literal["failed"] = "failed"
    problem: Problem


class Cancelled(_Event):
    """Terminal."""

    type: Literal["cancelled"] = "cancelled"
    reason: str = ""


class Unknown(_Event):
    """An event of a type that a newer release added: kept in its place, and passed on as it is."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str


KnownEvent = Annotated[
    Accepted | Routed | Evidence | Rows | Delta | Done | Failed | Cancelled, Field(discriminator="type")
]
Terminal = Done | Failed | Cancelled
Event = KnownEvent | Unknown
EVENT: TypeAdapter[KnownEvent] = TypeAdapter(KnownEvent)


def is_terminal(event: Event) -> bool:
    return isinstance(event, Terminal)
