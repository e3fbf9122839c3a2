"""The language model that writes SQL where the planner can't: an engine read to its end."""

import contextlib

from workers.engines import Engine, EngineSettings, GenerationRequest, Message, open_engine
from workers.sql.settings import SqlSettings


class Completion:
    """One prompt in, the whole text out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def complete(self, prompt: str, *, max_tokens: int, grammar: str | None = None) -> str:
        """Raises DependencyUnavailable or ContextOverflow as the engine does."""
        request = GenerationRequest(
            messages=(Message("user", prompt),), max_tokens=max_tokens, grammar=grammar
        )
        async with contextlib.aclosing(self._engine.stream(request)) as pieces:
            return "".join([piece.text async for piece in pieces])

    async def close(self) -> None:
        await self._engine.close()


async def open_completion(settings: SqlSettings) -> Completion | None:
    """None where no engine is configured: then the planner and the verified queries answer alone."""
    if settings.engine == "none":
        return None
    engine = await open_engine(
        EngineSettings(
            kind=settings.engine,
            url=settings.engine_base_url,
            api_key=settings.engine_api_key if settings.engine_api_key.get_secret_value() else None,
            model=settings.engine_model,
            silence_s=settings.engine_timeout_s,
        )
    )
    return Completion(engine)
