"""The language model that writes SQL where the planner can't: an engine read to its end."""

import asyncio
import contextlib

from bus.spans import NoSpans, Spans
from contracts.errors import DependencyUnavailable
from workers.engines import Engine, EngineSettings, GenerationRequest, Message, open_engine
from workers.sql.settings import SqlSettings
from workers.tracing.content import Content
from workers.tracing.ports import traced_engine


class Completion:
    """One prompt in, the whole text out."""

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        self._engine, self._timeout_s = engine, timeout_s

    async def complete(
        self, prompt: str, *, max_tokens: int, grammar: str | None = None, temperature: float = 0.0
    ) -> str:
        """Raises DependencyUnavailable or ContextOverflow as the engine does, and when it takes too long."""
        request = GenerationRequest(
            messages=(Message("user", prompt),),
            max_tokens=max_tokens,
            grammar=grammar,
            temperature=temperature,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                async with contextlib.aclosing(self._engine.stream(request)) as pieces:
                    return "".join([piece.text async for piece in pieces])
        except TimeoutError as error:
            raise DependencyUnavailable(f"No statement came within {self._timeout_s:g} s.") from error

    async def close(self) -> None:
        await self._engine.close()


async def open_completion(settings: SqlSettings, spans: Spans | None = None) -> Completion | None:
    """None where no engine is configured: then the planner and the verified queries answer alone."""
    if settings.sql_engine == "none":
        return None
    opened = await open_engine(engine_settings(settings))
    engine = traced_engine(opened, spans or NoSpans(), Content(settings.trace_content))
    return Completion(engine, timeout_s=settings.sql_engine_timeout_s)


def engine_settings(settings: SqlSettings) -> EngineSettings:
    """Without an address of its own, the server, model and key of the generation workers (`AF_ENGINE_...`).

    With one, nothing of theirs: a key must not go to a server that it was not given for.
    """
    own: dict[str, object] = {"kind": settings.sql_engine, "silence_s": settings.sql_engine_timeout_s}
    if settings.sql_engine_url:
        own |= {"url": settings.sql_engine_url, "api_key": None, "model": ""}
    if settings.sql_engine_model:
        own["model"] = settings.sql_engine_model
    if settings.sql_engine_api_key is not None:
        own["api_key"] = settings.sql_engine_api_key
    return EngineSettings.model_validate(own)
