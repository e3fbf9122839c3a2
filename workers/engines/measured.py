"""An engine whose requests are told to the vitals of the process."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from bus.vitals import Broken, Generated, Started, Vitals
from contracts import Usage
from workers.engines.port import Engine, GenerationRequest, Piece
from workers.engines.startup import EngineNews, Phase
from workers.engines.wrapping import EngineAround

log = structlog.get_logger(__name__)


def engine_news(vitals: Vitals) -> EngineNews:
    """What an engine tells of itself goes to the metrics, the log and the life of the process."""

    def phase(name: Phase, seconds: float) -> None:
        log.info("a phase of the start", action="start_phase", phase=name, seconds=round(seconds, 3))
        vitals.tell(Started(name, seconds))

    return EngineNews(phase=phase, died=lambda reason: vitals.tell(Broken(reason)))


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


class MeasuredEngine(EngineAround):
    """A request that is cut off is not told."""

    def __init__(self, engine: Engine, vitals: Vitals) -> None:
        super().__init__(engine)
        self._vitals = vitals
        vitals.count("engine_slots", lambda: engine.slots)
        vitals.count("engine_requests", engine.in_flight)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        times, usage = _Times(), None
        async with aclosing(self._engine.stream(request)) as pieces:
            async for piece in pieces:
                times.note(piece)
                usage = piece.usage or usage
                yield piece
        self._vitals.tell(times.generated(self.name, usage))
