"""One connection to NATS for a process, made by FastStream's broker so that its app runs our lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from bus.settings import BusSettings
from bus.vitals import Vitals
from contracts.errors import Misconfigured

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Bus:
    """A connected client and its JetStream context."""

    nc: Client
    js: JetStreamContext
    settings: BusSettings
    vitals: Vitals = field(default_factory=Vitals)


def open_broker(settings: BusSettings, *, name: str) -> NatsBroker:
    credentials = str(settings.nats_credentials) if settings.nats_credentials else None
    return NatsBroker(
        settings.nats_url.split(","),
        name=name,
        user_credentials=credentials,
        connect_timeout=2,
        reconnect_time_wait=1,
        max_reconnect_attempts=-1,
        ping_interval=10,
        max_outstanding_pings=3,
        error_cb=_log_error,
        reconnected_cb=_log_reconnect,
        logger=None,
    )


async def bind(broker: NatsBroker, settings: BusSettings) -> Bus:
    """Connect, or raise Misconfigured that names the address."""
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            nc = await broker.connect()
    except (TimeoutError, OSError, NatsError) as error:
        raise Misconfigured(
            f"No NATS server at {settings.nats_url} within {settings.connect_timeout_s:g} s ({error}).",
            remedy="Start one with `askfleet up`, or set AF_NATS_URL.",
        ) from error
    return Bus(nc, nc.jetstream(timeout=settings.publish_timeout_s), settings)


@asynccontextmanager
async def connect(settings: BusSettings, *, name: str) -> AsyncIterator[Bus]:
    """A connection for a command or a test; workers run in FastStream's app instead."""
    broker = open_broker(settings, name=name)
    try:
        yield await bind(broker, settings)
    finally:
        await broker.stop()


async def _log_error(error: Exception) -> None:
    """Also says that the server is away: the client reports each failed attempt to reconnect."""
    log.warning("NATS reported an error; the client goes on", action="nats_error", error=repr(error))


async def _log_reconnect() -> None:
    log.warning("the connection to NATS was lost and is back", action="nats_reconnected")
