"""What generation asks of an engine, and nothing more."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from contracts import Usage

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt.

    `prefix` is text of the answer that stands already: the engine goes on right behind it, and the pieces
    hold only what follows. `grammar` (GBNF) or `json_schema` (as JSON text), not both, constrain the output,
    which then has no prefix. `trace_parent` is what a server may carry on, so that its own spans join ours.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    request_id: str = ""
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    prefix: str = ""
    grammar: str | None = None
    json_schema: str | None = None
    trace_parent: str = ""

    def __post_init__(self) -> None:
        if self.prefix and (self.grammar or self.json_schema):
            raise ValueError("A constrained output starts afresh: it can't continue a prefix.")


@dataclass(frozen=True)
class Piece:
    """Text that became ready at once; the last one, maybe without text, carries finish reason and usage."""

    text: str
    tokens: int = 1
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class Engine(Protocol):
    """A language model that answers up to `slots` requests at once; more than that wait in order.

    Closing the generator of `stream` (or cancelling the task that reads it) aborts the request inside the
    engine and frees its slot. Errors: ContextOverflow, DependencyUnavailable, Misconfigured.
    """

    @property
    def name(self) -> str: ...

    @property
    def slots(self) -> int: ...

    @property
    def context_tokens(self) -> int:
        """Prompt and answer of one request together."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]: ...

    def count_tokens(self, text: str) -> int:
        """Tokens of plain text; an engine that can't know rounds up."""

    def in_flight(self) -> int:
        """Requests inside the engine, waiting ones included."""
