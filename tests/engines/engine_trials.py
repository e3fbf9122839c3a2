"""What the suite needs of each kind of engine, and how it asks.

`TEST_ENGINES=vllm` runs the suite on that kind alone (comma-separated for several), `TEST_ENGINE_SETTINGS`
adds settings as JSON: `{"model_path": "/models/small"}`. `vllm-serve` is the engine `openai` on a server of
vLLM with the model of these settings. Of other kinds than those of `open_trial` the suite expects what it
expects of a real model.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from vllm_server import vllm_serving

from loadgen.engine_journal import EngineNotes
from loadgen.openai_server import OpenAIServer, ServerOptions
from workers.engines import Engine, EngineSettings, GenerationRequest, Message, Piece, open_engine
from workers.engines.vllm.engine import VllmEngine

KINDS = tuple(os.environ.get("TEST_ENGINES", "simulated,openai,llamacpp").split(","))
SLOTS = 16
CONTEXT_TOKENS = 1_024


@dataclass(frozen=True)
class Trial:
    """An open engine, and what its kind promises beside the port.

    `tells_cached`: its usage says how many tokens of the prompt were in its cache.
    `decides`: it writes what a model decides, so a batch of another size may change a late word.
    `computes`: whether what runs the model has a request, as it says itself.
    """

    kind: str
    engine: Engine
    tells_cached: bool
    decides: bool
    computes: Callable[[], Awaitable[bool]]


@asynccontextmanager
async def open_trial(kind: str) -> AsyncIterator[Trial]:
    more = json.loads(os.environ.get("TEST_ENGINE_SETTINGS", "{}"))
    if kind == "openai" and "url" not in more:
        options = ServerOptions(interval_s=0.005, context_tokens=CONTEXT_TOKENS)
        async with serving(options) as (server, url), opened(_without_model(url)) as engine:
            yield Trial(kind, engine, False, False, _awaitable(lambda: server.tally.in_flight > 0))
        return
    if kind == "vllm-serve":
        async with vllm_serving(more) as vllm, opened(vllm.settings(slots=SLOTS)) as engine:
            yield Trial(kind, engine, True, True, vllm.computes)
        return
    own = {"simulated_tokens": 400} if kind == "simulated" else {}
    values = {"kind": kind, "slots": SLOTS, "context_tokens": CONTEXT_TOKENS, **own, **more}
    async with opened(EngineSettings.model_validate(values)) as engine:
        real = kind != "simulated"
        yield Trial(kind, engine, real, real, _look_into(engine))


def _look_into(engine: Engine) -> Callable[[], Awaitable[bool]]:
    """What an engine has is what it computes, but for vLLM, whose core is another process."""
    if isinstance(engine, VllmEngine):
        return engine.core_has_requests
    return _awaitable(lambda: engine.in_flight() > 0)


def _awaitable(says: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return says()

    return look


@asynccontextmanager
async def opened(settings: EngineSettings) -> AsyncIterator[Engine]:
    engine = await open_engine(settings)
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def serving(
    options: ServerOptions, *, journal: Path | None = None
) -> AsyncIterator[tuple[OpenAIServer, str]]:
    app = OpenAIServer(options, notes=EngineNotes(journal) if journal is not None else None)
    async with listening(app) as url:
        yield app, url


@asynccontextmanager
async def listening(app: object) -> AsyncIterator[str]:
    """The address of an ASGI app, with /v1."""
    config = uvicorn.Config(app, port=0, lifespan="off", ws="none", log_level="warning")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started, within_s=5)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        await task


def _without_model(url: str) -> EngineSettings:
    return openai_settings(url, slots=SLOTS, structured="none")


def openai_settings(url: str, **more: object) -> EngineSettings:
    values: dict[str, object] = {"kind": "openai", "url": url, "start_timeout_s": 0, **more}
    return EngineSettings.model_validate(values)


def ask(question: str, *, max_tokens: int = 24, prefix: str = "") -> GenerationRequest:
    messages = (Message("system", "You are a helpful assistant."), Message("user", question))
    return GenerationRequest(messages, max_tokens=max_tokens, prefix=prefix)


async def pieces_of(engine: Engine, request: GenerationRequest) -> list[Piece]:
    return [piece async for piece in engine.stream(request)]


async def text_of(engine: Engine, request: GenerationRequest) -> str:
    return "".join([piece.text for piece in await pieces_of(engine, request)])


async def until(condition: Callable[[], bool], *, within_s: float) -> float:
    """Seconds until it held."""
    begin = time.perf_counter()
    while not condition():
        if time.perf_counter() > begin + within_s:
            pytest.fail(f"still not so after {within_s} s")
        await asyncio.sleep(0.001)
    return time.perf_counter() - begin


async def until_settled(trial: Trial, *, within_s: float) -> float:
    """Seconds until nothing was computed any more."""
    begin = time.perf_counter()
    while await trial.computes():
        if time.perf_counter() > begin + within_s:
            pytest.fail(f"what runs the model still has a request after {within_s} s")
        await asyncio.sleep(0.001)
    return time.perf_counter() - begin


async def until_idle(engine: Engine, *, within_s: float) -> float:
    return await until(lambda: engine.in_flight() == 0, within_s=within_s)
