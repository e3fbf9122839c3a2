"""The question as it is published on the public subject: schema `query/1`."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_QUESTION_CHARS = 8_000
MAX_HISTORY_TURNS = 40
DEFAULT_DEADLINE_S = 120.0

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A tenant, an id or a model: one token of a subject."""

NonBlank = Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUESTION_CHARS, pattern=r"\S")]


ADAPTER_MARK = "--"


def queue_of(model: str) -> str:
    """The queue of a model: `default` for `default` and for `default--legal`, an adapter of it."""
    return model.partition(ADAPTER_MARK)[0]


def adapter_of(model: str) -> str:
    """The adapter in the name of a model; empty for the model itself."""
    return model.partition(ADAPTER_MARK)[2]


class Route(StrEnum):
    """Which evidence a question needs."""

    DOCUMENTS = "documents"
    SQL = "sql"
    BOTH = "both"
    DIRECT = "direct"


class Turn(BaseModel):
    """One earlier message of the conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=32_000)]


class Query(BaseModel):
    """A question and how it is to be answered.

    The deadline travels in the `Af-Deadline` header (epoch milliseconds), the tenant in the subject. Unknown
    fields are refused, so that a misspelled option is an error and not a silent default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Name = Field(description="chosen by the publisher, unique for its tenant")
    question: NonBlank
    history: Annotated[tuple[Turn, ...], Field(max_length=MAX_HISTORY_TURNS)] = ()
    route: Route | None = Field(default=None, description="overrides the router when set")
    model: Name = Field(
        default="default",
        description="which generation queue serves it; `queue--adapter` asks for an adapter of its model",
    )
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    max_tokens: Annotated[int, Field(ge=1, le=8_192)] = 384
    evidence_only: bool = Field(
        default=False, description="end the answer, with no text, when its passages or rows are there"
    )
