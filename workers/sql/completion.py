"""The language model that writes SQL where the planner can't: an engine read to its end."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from bus.spans import NoSpans, Spans
from contracts.errors import ContextOverflow, DependencyUnavailable, PermanentError
from workers.engines import Abilities, Engine, EngineSettings, GenerationRequest, Message, open_engine
from workers.sql.settings import SqlSettings
from workers.sql.statement_grammar import STATEMENT_GRAMMAR, STATEMENT_SCHEMA
from workers.tracing.content import Content
from workers.tracing.ports import traced_engine

log = structlog.get_logger(__name__)


class Completion:
    """One prompt in, the whole text out. The engine may come later than the worker."""

    def __init__(self, open_engine: Callable[[], Awaitable[Engine]], *, timeout_s: float) -> None:
        self._open, self._timeout_s = open_engine, timeout_s
        self._engine: Engine | None = None
        self._opening = asyncio.Lock()
        self._unbound = False

    async def start(self) -> Engine:
        """Raises DependencyUnavailable; Misconfigured: the key is refused, or the model is not served."""
        async with self._opening:
            if self._engine is None:
                self._engine = await self._open()
            return self._engine

    async def statement(self, prompt: str, *, max_tokens: int, temperature: float = 0.0) -> str:
        """One SELECT, as far as the engine can be held to one: by a grammar, a JSON schema or not at all.

        Raises DependencyUnavailable or ContextOverflow as the engine does, and when it takes too long.
        """
        request = GenerationRequest(
            (Message("user", prompt),), max_tokens=max_tokens, temperature=temperature
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._statement(await self.start(), request)
        except TimeoutError as error:
            raise DependencyUnavailable(f"No statement came within {self._timeout_s:g} s.") from error

    async def _statement(self, engine: Engine, request: GenerationRequest) -> str:
        bound = request if self._unbound else _bound(engine.abilities, request)
        if bound is request:
            return await _text_of(engine, request)
        try:
            return _unwrapped(await _text_of(engine, bound), bound)
        except ContextOverflow:
            raise
        except PermanentError as error:
            self._unbound = True
            log.warning(
                "the language model for SQL takes no constraint; its statements are free text from now on",
                action="sql_engine_unbound",
                error=error.detail,
            )
        return await _text_of(engine, request)

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.close()


def _bound(abilities: Abilities, request: GenerationRequest) -> GenerationRequest:
    if abilities.grammar:
        return replace(request, grammar=STATEMENT_GRAMMAR)
    return replace(request, json_schema=STATEMENT_SCHEMA) if abilities.json_schema else request


def _unwrapped(text: str, request: GenerationRequest) -> str:
    """The statement in JSON; JSON that was cut off, or none, as it is."""
    if request.json_schema is None:
        return text
    try:
        return str(json.loads(text)["sql"])
    except (ValueError, KeyError, TypeError):
        return text


async def _text_of(engine: Engine, request: GenerationRequest) -> str:
    async with contextlib.aclosing(engine.stream(request)) as pieces:
        return "".join([piece.text async for piece in pieces])


async def open_completion(settings: SqlSettings, spans: Spans | None = None) -> Completion | None:
    """None where no engine is configured: then the planner and the verified queries answer alone.

    Raises:
        Misconfigured: the server refuses the key or does not serve the model. One that is away is no error.
    """
    if settings.sql_engine == "none":
        return None

    async def opened() -> Engine:
        engine = await open_engine(engine_settings(settings))
        return traced_engine(engine, spans or NoSpans(), Content(settings.trace_content))

    completion = Completion(opened, timeout_s=settings.sql_engine_timeout_s)
    try:
        await completion.start()
    except DependencyUnavailable as error:
        log.warning(
            "the language model for SQL is away; the planner answers alone until it is there",
            action="sql_engine_away",
            error=error.detail,
        )
    return completion


def engine_settings(settings: SqlSettings) -> EngineSettings:
    """Without an address of its own, the server, model and key of the generation workers (`AF_ENGINE_...`).

    With one, nothing of theirs: a key must not go to a server that it was not given for.
    """
    own: dict[str, object] = {
        "kind": settings.sql_engine,
        "silence_s": settings.sql_engine_timeout_s,
        # The planner's answer should not wait for a server that is away.
        "start_timeout_s": 0.0,
        "unreachable_s": 0.0,
    }
    if settings.sql_engine_url:
        own |= {"url": settings.sql_engine_url, "api_key": None, "model": ""}
    if settings.sql_engine_model:
        own["model"] = settings.sql_engine_model
    if settings.sql_engine_api_key is not None:
        own["api_key"] = settings.sql_engine_api_key
    return EngineSettings.model_validate(own)
