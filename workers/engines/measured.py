"""An engine whose requests are told to the vitals of the process."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from bus.vitals import Generated, Vitals
from contracts import Usage
from workers.engines.port import Engine, GenerationRequest, Piece


@dataclass
class _Times:
    """Of one request, on the clock `time.perf_counter`, in seconds."""

    began: float = field(default_factory=time.perf_counter)
    first: float = 0.0
    last: float = 0.0
    tokens: int = 0

    def note(self, piece: Piece) -> None:
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.tokens += piece.tokens

    def generated(self, model: str, usage: Usage | None) -> Generated:
        usage = usage or Usage(completion_tokens=self.tokens)
        return Generated(
            model=model,
            first_token_s=self.first - self.began,
            token_s=(self.last - self.first) / (self.tokens - 1) if self.tokens > 1 else 0.0,
            whole_s=self.last - self.began,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_prompt_tokens,
            completion_tokens=usage.completion_tokens or self.tokens,
        )


class MeasuredEngine:
    """The engine that it is made of, measured. A request that is cut off is not told."""

    def __init__(self, engine: Engine, vitals: Vitals) -> None:
        self._engine = engine
        self._vitals = vitals
        vitals.count("engine_slots", lambda: engine.slots)
        vitals.count("engine_requests", engine.in_flight)

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def slots(self) -> int:
        return self._engine.slots

    @property
    def context_tokens(self) -> int:
        return self._engine.context_tokens

    async def start(self) -> None:
        await self._engine.start()

    async def close(self) -> None:
        await self._engine.close()

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        times, usage = _Times(), None
        async with aclosing(self._engine.stream(request)) as pieces:
            async for piece in pieces:
                times.note(piece)
                usage = piece.usage or usage
                yield piece
        self._vitals.tell(times.generated(self.name, usage))

    def count_tokens(self, text: str) -> int:
        return self._engine.count_tokens(text)

    def in_flight(self) -> int:
        return self._engine.in_flight()
