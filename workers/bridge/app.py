"""The bridge as an ASGI app and as a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI

from bus.connection import Bus
from bus.readers import tell_of_readers
from workers.bridge import api, openai, page_api, problems
from workers.bridge.answers import Answers
from workers.bridge.api import Door
from workers.bridge.bodies import limit_body
from workers.bridge.care import Care
from workers.bridge.limits import Gate
from workers.bridge.pressure import Pressure
from workers.bridge.settings import BridgeSettings
from workers.shell.http import Page, Ready, serve
from workers.shell.metrics import open_metrics
from workers.shell.probes import install_probes
from workers.shell.process import Open
from workers.shell.tenants import Tenants

log = structlog.get_logger(__name__)

DESCRIPTION = "Ask questions over private documents and databases; read the answers as streams."


def build_app(door: Door, ready: Ready, metrics: Page) -> Any:
    app = FastAPI(title="askfleet", version="1", description=DESCRIPTION, redoc_url=None)
    problems.install(app)
    api.install(app, door)
    openai.install(app, door)
    page_api.install(app, door)
    install_probes(app, ready, metrics)
    return limit_body(app)


@asynccontextmanager
async def serve_bridge(bus: Bus, settings: BridgeSettings) -> AsyncIterator[tuple[int, Ready]]:
    """The whole bridge while the context is open; yields its port. At the end it drains.

    While it drains it still listens: a load balancer reads /readyz, and clients are told to go elsewhere.
    """
    answers = Answers(bus, settings)
    bus.vitals.count("readers", lambda: sum(held.readers for held in answers.held))
    care = Care(bus, settings, answers)
    pressure = Pressure(bus, replicas=settings.bridge_replicas)
    door = Door(answers, settings, Tenants.load(settings.tenants_file), Gate(settings), pressure, bus.vitals)
    tasks = [asyncio.create_task(care.sweep_forever()), asyncio.create_task(care.heal_forever())]

    def ready() -> dict[str, bool]:
        caring = not any(task.done() for task in tasks)
        return {"nats": bus.nc.is_connected, "sweeping": caring, "accepting": not answers.draining}

    try:
        async with (
            tell_of_readers(bus, answers.is_read),
            open_metrics(bus.vitals, worker="bridge") as metrics,
            serve(
                build_app(door, ready, metrics.page),
                host=settings.http_host,
                port=settings.http_port,
                slow_reader_s=settings.slow_reader_s,
                on_slow=bus.vitals.tally("slow_readers").add,
            ) as port,
        ):
            bus.vitals.http_port = port
            yield port, ready
            await answers.drain(settings.drain_grace_s)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pressure.close()
        await answers.close()


def make(settings: BridgeSettings) -> Open:
    @asynccontextmanager
    async def open_bridge(bus: Bus) -> AsyncIterator[Ready]:
        async with serve_bridge(bus, settings) as (port, ready):
            log.info("the bridge is open", action="listening", port=port)
            yield ready

    return open_bridge
