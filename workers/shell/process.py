"""The life of a worker process: logs, FastStream's app with our connection, probes, SIGTERM, exit code."""

import asyncio
import gc
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib import metadata
from typing import TypeVar

import structlog
import uvloop
from faststream import FastStream
from pydantic import ValidationError

from bus.connection import Bus, bind, open_broker
from bus.presence import Identity, answer_pings
from bus.vitals import Broken, Event
from contracts.errors import AskfleetError
from workers.shell.http import Ready, health_app, serve
from workers.shell.logs import configure_logs
from workers.shell.metrics import open_metrics
from workers.shell.settings import WorkerSettings
from workers.tracing.opening import open_spans

log = structlog.get_logger(__name__)

Open = Callable[[Bus], AbstractAsyncContextManager[Ready]]
"""Opens what a worker needs and starts its stage; the context yields the readiness conditions."""


S = TypeVar("S", bound=WorkerSettings)


def run_worker(name: str, load: Callable[[], S], make: Callable[[S], Open], *, probes: bool = True) -> int:
    """Run until SIGTERM or SIGINT.

    Args:
        load: makes the settings from the environment.
        make: from the settings, what opens the worker on a connected bus.
        probes: serve /healthz, /readyz and /metrics; False for a worker whose own HTTP app has them.

    Returns:
        the exit code: 0 after a clean stop, 1 when something broke for good, 2 when it could not start as
        configured.
    """
    try:
        settings = load()
    except ValidationError as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        return 2
    configure_logs(level=settings.log_level, form=settings.log_format, worker=name)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            broken = runner.run(_run(name, settings, make(settings), probes=probes))
    except AskfleetError as error:
        log.error("can't start", action="start_failed", error=error.detail, remedy=error.remedy)
        return 2
    return 1 if broken else 0


async def _run(name: str, settings: WorkerSettings, open_worker: Open, *, probes: bool) -> bool:
    """Whether it ended since something broke."""
    stack = AsyncExitStack()
    broker = open_broker(settings, name=f"askfleet-{name}")
    broken: list[Broken] = []
    identity = Identity(name, version=metadata.version("askfleet"))

    async def start() -> None:
        spans = await stack.enter_async_context(open_spans(settings, worker=name))
        bus = await bind(broker, settings, spans=spans)
        bus.vitals.observers.append(end_if_broken)
        conditions: list[Ready] = []

        def ready() -> dict[str, bool]:
            worker = conditions[0]() if conditions else {"started": False}
            return {"nats": bus.nc.is_connected} | worker

        await stack.enter_async_context(answer_pings(bus, identity, ready))
        if probes:
            metrics = await stack.enter_async_context(open_metrics(bus.vitals, worker=name))
            app = health_app(ready, metrics.page)
            bus.vitals.http_port = await stack.enter_async_context(
                serve(app, host=settings.http_host, port=settings.http_port)
            )
            log.info("probes are served", action="listening", port=bus.vitals.http_port)
        conditions.append(await stack.enter_async_context(open_worker(bus)))
        log.info("ready for work", action="ready")
        _set_startup_aside()

    async def stop() -> None:
        log.info("draining", action="draining")
        await stack.aclose()

    def end_if_broken(event: Event) -> None:
        if isinstance(event, Broken):
            log.error("this process ends", action="broken", reason=event.reason)
            broken.append(event)
            app.exit()

    app = FastStream(broker, on_startup=[start], on_shutdown=[stop], logger=None)
    try:
        await app.run()
    finally:
        await stack.aclose()
        await broker.stop()
    return bool(broken)


def _set_startup_aside() -> None:
    """Models, schemas and clients live as long as the process: the collector needn't walk them again.

    Answers leave few cycles, so old objects are looked at less often, too (what that gives:
    docs/performance.md). A look at the young ones holds up the loop, so it is at few of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 200, 50)
