"""From settings to a started engine."""

from contracts.errors import Misconfigured
from workers.engines.port import Engine
from workers.engines.settings import EngineSettings
from workers.engines.simulated import SimulatedEngine, Timing


async def open_engine(settings: EngineSettings) -> Engine:
    """Raises: Misconfigured: a model file that is missing, a server that refuses the key."""
    engine = _build(settings)
    await engine.start()
    return engine


def _build(settings: EngineSettings) -> Engine:
    if settings.kind == "simulated":
        return _simulated(settings)
    raise Misconfigured(f"No engine of kind {settings.kind!r} in this release.")


def _simulated(settings: EngineSettings) -> SimulatedEngine:
    timing = Timing(
        first_token_s=settings.simulated_first_token_ms / 1_000,
        interval_s=settings.simulated_interval_ms / 1_000,
        answer_tokens=settings.simulated_tokens,
        piece_tokens=settings.simulated_piece_tokens,
    )
    return SimulatedEngine(
        timing,
        slots=settings.slot_count(),
        context_tokens=settings.context_size(),
        name=settings.model or "simulated",
    )
