"""What generation and SQL ask of an engine, and nothing more."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from contracts import Usage
from contracts.errors import InvalidQuery, PermanentError

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
    which then has no prefix. `adapter` names a LoRA adapter of the model. `tools` are the functions that the
    model may ask for, as the JSON text of OpenAI's list of them; with `must_call` it has to.
    `trace_parent` is what a server may carry on, so that its own spans join ours.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    request_id: str = ""
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    prefix: str = ""
    grammar: str | None = None
    json_schema: str | None = None
    adapter: str = ""
    tools: str | None = None
    must_call: bool = False
    trace_parent: str = ""

    def __post_init__(self) -> None:
        constraints = (self.grammar is not None, self.json_schema is not None, self.tools is not None)
        if sum(constraints) > 1:
            raise ValueError("An output follows a grammar, a JSON schema or tools, one of them.")
        if self.prefix and any(constraints):
            raise ValueError("A constrained output starts afresh: it can't continue a prefix.")


@dataclass(frozen=True)
class ToolCall:
    """A function that the model asks for; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Piece:
    """Text that became ready at once; the last one, maybe without text, carries finish reason and usage.

    Tool calls come whole, in the last piece.
    """

    text: str
    tokens: int = 1
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Abilities:
    """What an engine can do beside writing text."""

    grammar: bool = False
    json_schema: bool = False
    tools: bool = False
    adapters: tuple[str, ...] = ()

    def check(self, request: GenerationRequest) -> None:
        """Raises: InvalidQuery: an adapter that is not loaded. PermanentError: what the engine can't do."""
        asked = {
            "grammar": request.grammar is not None and not self.grammar,
            "JSON schema": request.json_schema is not None and not self.json_schema,
            "tools": request.tools is not None and not self.tools,
        }
        lacking = [name for name, lacks in asked.items() if lacks]
        if lacking:
            raise PermanentError(
                f"The engine knows no {lacking[0]}.", remedy="docs/engines.md says which does."
            )
        self.check_adapter(request.adapter)

    def check_adapter(self, name: str) -> None:
        """Raises: InvalidQuery: it is not loaded. An empty name is none."""
        if name and name not in self.adapters:
            loaded = ", ".join(self.adapters) or "none"
            raise InvalidQuery(
                f"The adapter {name!r} is not loaded (loaded: {loaded}).",
                remedy="Name it in AF_ENGINE_ADAPTERS of the generation worker.",
            )


class Engine(Protocol):
    """A language model that answers up to `slots` requests at once; more than that wait in order.

    Closing the generator of `stream` (or cancelling the task that reads it) aborts the request inside the
    engine and frees its slot, within 100 ms where a token takes less. Errors: ContextOverflow,
    DependencyUnavailable, Misconfigured, and those of `Abilities.check`.
    """

    @property
    def name(self) -> str: ...

    @property
    def slots(self) -> int: ...

    @property
    def context_tokens(self) -> int:
        """Prompt and answer of one request together."""

    @property
    def abilities(self) -> Abilities: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]: ...

    def count_tokens(self, text: str) -> int:
        """Tokens of plain text; an engine that can't know rounds up."""

    def in_flight(self) -> int:
        """Requests inside the engine, waiting ones included."""
