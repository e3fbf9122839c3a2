"""The bridge as an ASGI app and as a worker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response

from bus.connection import Bus
from workers.bridge import api, openai, problems
from workers.bridge.answers import Answers
from workers.bridge.api import Door
from workers.bridge.requests import MAX_BODY_BYTES
from workers.bridge.settings import BridgeSettings
from workers.shell.http import Ready, probe, serve
from workers.shell.process import Open
from workers.shell.tenants import Tenants

log = structlog.get_logger(__name__)

DESCRIPTION = "Ask questions over private documents and databases; read the answers as streams."


def build_app(door: Door, ready: Ready) -> Any:
    app = FastAPI(title="askfleet", version="1", description=DESCRIPTION, redoc_url=None)
    problems.install(app)
    api.install(app, door)
    openai.install(app, door)

    @app.get("/healthz", include_in_schema=False)
    @app.get("/readyz", include_in_schema=False)
    async def probes(request: Request) -> Response:
        status, body = probe(request.url.path, ready)
        return Response(body, status, media_type="application/json")

    return limit_body(app)


def limit_body(app: Any) -> Any:
    """Refuses a body over the limit by its stated length, before it is read."""

    async def limited(
        scope: MutableMapping[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        stated = dict(scope.get("headers", ())).get(b"content-length", b"0")
        if scope["type"] == "http" and stated.isdigit() and int(stated) > MAX_BODY_BYTES:
            answer = problems.response(problems.body_too_large(int(stated), MAX_BODY_BYTES), scope["path"])
            await answer(scope, receive, send)
            return
        await app(scope, receive, send)

    return limited


def make(settings: BridgeSettings) -> Open:
    @asynccontextmanager
    async def open_bridge(bus: Bus) -> AsyncIterator[Ready]:
        answers = Answers(bus, settings)
        sweeping = asyncio.create_task(answers.sweep_forever())

        def ready() -> dict[str, bool]:
            return {"nats": bus.nc.is_connected, "sweeping": not sweeping.done()}

        door = Door(answers, settings, Tenants.load(settings.tenants_file))
        app = build_app(door, ready)
        async with serve(app, host=settings.http_host, port=settings.http_port) as port:
            log.info("the bridge is open", action="listening", port=port)
            yield ready
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await answers.close()

    return open_bridge
