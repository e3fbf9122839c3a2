"""The operator's page as an ASGI app and as a worker: nothing of it is reachable through the bridge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from bus.connection import Bus
from contracts.errors import AskfleetError, TransientError
from workers.ops import api
from workers.ops.api import Desk
from workers.ops.gauges import QueueGauges
from workers.ops.queues import Queues, watch_queues
from workers.ops.recent import RecentAnswers
from workers.ops.settings import OpsSettings
from workers.shell.http import Page, Ready, serve
from workers.shell.metrics import open_metrics
from workers.shell.probes import install_probes
from workers.shell.process import Open

log = structlog.get_logger(__name__)

UNAVAILABLE_RETRY_S = 2


def build_app(desk: Desk, ready: Ready, metrics: Page, queues: Queues) -> Any:
    app = FastAPI(title="askfleet ops", version="1", redoc_url=None, docs_url=None, openapi_url=None)
    app.add_exception_handler(AskfleetError, _on_ours)
    api.install(app, desk)

    install_probes(app, ready, metrics)

    @app.get("/prometheus/targets", include_in_schema=False)
    async def targets() -> Response:
        return JSONResponse(queues.targets())

    return app


async def _on_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, AskfleetError)
    problem = error.problem()
    headers = {"Retry-After": str(UNAVAILABLE_RETRY_S)} if isinstance(error, TransientError) else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    content = problem.model_dump() | {"instance": request.url.path}
    return JSONResponse(content, problem.status, headers, media_type="application/problem+json")


@asynccontextmanager
async def serve_ops(bus: Bus, settings: OpsSettings) -> AsyncIterator[tuple[int, Ready]]:
    """The operator's page while the context is open; yields its port."""

    def ready() -> dict[str, bool]:
        return {"nats": bus.nc.is_connected}

    async with (
        open_metrics(bus.vitals, worker="ops") as metrics,
        watch_queues(bus, every_s=settings.queues_read_s) as queues,
        serve(
            build_app(Desk(bus, settings, RecentAnswers(bus)), ready, metrics.page, queues),
            host=settings.http_host,
            port=settings.http_port,
        ) as port,
    ):
        metrics.register(QueueGauges(lambda: queues.latest))
        bus.vitals.http_port = port
        yield port, ready


def make(settings: OpsSettings) -> Open:
    @asynccontextmanager
    async def open_ops(bus: Bus) -> AsyncIterator[Ready]:
        async with serve_ops(bus, settings) as (port, ready):
            log.info("the operator's page is open", action="listening", port=port)
            yield ready

    return open_ops
