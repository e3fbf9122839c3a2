"""Keeps the last overview for those who scrape: nobody waits for NATS, and many may ask."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from bus.connection import Bus
from bus.overview import Overview, read_overview
from bus.presence import Presence
from contracts.errors import AskfleetError

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"


class Queues:
    def __init__(self) -> None:
        self.latest: Overview | None = None

    def targets(self) -> list[dict[str, object]]:
        """The workers that answered, as Prometheus' `http_sd_configs` reads them."""
        workers = self.latest.workers if self.latest else ()
        return [
            {"targets": [f"{_host(worker)}:{worker.http_port}"], "labels": {"worker_kind": worker.kind}}
            for worker in workers
            if worker.http_port
        ]


def _host(worker: Presence) -> str:
    """Workers beside us listen on the loopback interface unless told otherwise."""
    return LOOPBACK if worker.host == socket.gethostname() else worker.host


@asynccontextmanager
async def watch_queues(bus: Bus, *, every_s: float) -> AsyncIterator[Queues]:
    """Read again and again while the context is open."""
    queues = Queues()
    task = asyncio.create_task(_watch(bus, queues, every_s))
    try:
        yield queues
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(bus: Bus, queues: Queues, every_s: float) -> None:
    while True:
        try:
            queues.latest = await read_overview(bus)
        except AskfleetError as error:
            log.warning("the queues were not read", action="overview_failed", error=str(error))
        await asyncio.sleep(every_s)
