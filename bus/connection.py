"""One connection to NATS for a process, made by FastStream's broker so that its app runs our lifespan."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType

import structlog
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import UnexpectedEOF
from nats.js import JetStreamContext
from nats.js.api import PubAck

from bus.client import LeanClient
from bus.denials import Denials
from bus.security import security, tls_context, who
from bus.settings import BusSettings
from bus.spans import NoSpans, Spans
from bus.turns import Turns
from bus.vitals import Vitals
from contracts.errors import Misconfigured

log = structlog.get_logger(__name__)

CLOSE_WITHIN_S = 0.2


@dataclass(frozen=True)
class Bus:
    """A connected client and its JetStream context."""

    nc: Client
    js: JetStreamContext
    settings: BusSettings
    vitals: Vitals = field(default_factory=Vitals)
    denials: Denials = field(default_factory=Denials)
    spans: Spans = field(default_factory=NoSpans)
    turns: Turns = field(default_factory=Turns)

    async def store(self, subject: str, body: bytes, headers: dict[str, str]) -> PubAck:
        """One JetStream publish, as nats-py does it; raises PermissionDenied when the server denies it."""
        with self.denials.guard(subject):
            return await self.js.publish(subject, body, headers=headers)


class Broker(NatsBroker):
    """FastStream's broker that keeps what the server said beside the conversation."""

    def __init__(self, settings: BusSettings, *, name: str) -> None:
        self.denials = Denials(name)
        self.last_error: Exception | None = None
        self._has_connected = False
        self._told = ""
        self._client: LeanClient | None = None
        super().__init__(
            settings.nats_url.split(","),
            name=name,
            security=security(settings),
            inbox_prefix=settings.nats_inbox_prefix,
            connect_timeout=2,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            ping_interval=10,
            max_outstanding_pings=3,
            error_cb=self._note_error,
            disconnected_cb=self._give_up_requests,
            reconnected_cb=_log_reconnect,
            logger=None,
        )

    async def _connect(self) -> Client:
        """As FastStream does it, but what was begun is closed when the server refuses us."""
        client = LeanClient()
        try:
            await client.connect(**self._connection_kwargs)
        except BaseException:
            refusal = self.last_error
            # After a failed handshake the client waits for the end of a connection that is closed already.
            with contextlib.suppress(OSError, NatsError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await client.close()
            self.last_error = refusal
            raise
        self._has_connected = True
        self._client = client
        self.config.connect(client)
        return client

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """While the server is away there is nothing that could be drained."""
        connection = self._connection
        if connection is not None and not connection.is_connected:
            self._connection = None
            await connection.close()
        await super().stop(exc_type, exc_val, exc_tb)

    async def _give_up_requests(self) -> None:
        if self._client is not None:
            self._client.give_up_requests()

    async def _note_error(self, error: Exception) -> None:
        """Also told that the server is away: the client reports each failed attempt to reconnect."""
        if self.denials.note(error):
            return
        self.last_error = error
        if isinstance(error, ssl.SSLError) and not self._has_connected:
            raise error  # the next attempt would fail the same way
        if self._has_connected or repr(error) != self._told:  # at the start one word about it is enough
            log.warning("NATS reported an error; the client goes on", action="nats_error", error=repr(error))
        self._told = repr(error)


def open_broker(settings: BusSettings, *, name: str) -> Broker:
    """Raises Misconfigured when a file of the credentials or of TLS can't be used."""
    return Broker(settings, name=name)


async def bind(broker: Broker, settings: BusSettings, *, spans: Spans | None = None) -> Bus:
    """Connect, or raise Misconfigured that names the address."""
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            nc = await broker.connect()
    except (TimeoutError, OSError, NatsError) as error:
        raise _unreachable(settings, broker.last_error or error) from error
    js = nc.jetstream(timeout=settings.publish_timeout_s)
    return Bus(nc, js, settings, denials=broker.denials, spans=spans or NoSpans())


def _unreachable(settings: BusSettings, error: Exception) -> Misconfigured:
    if "authorization violation" in str(error).lower():
        return Misconfigured(
            f"NATS at {settings.nats_url} does not let {who(settings)} in.",
            remedy="Name the seed of a role that the server knows in AF_NATS_NKEY_FILE, "
            "or give the server its public key; docs/security.md tells how.",
        )
    if isinstance(error, ssl.SSLError) or _hung_up_on_tls(settings, error):
        return Misconfigured(
            f"There is no trusted connection to NATS at {settings.nats_url}: {error}.",
            remedy="AF_NATS_TLS_CA names who signed the server's certificate, AF_NATS_TLS_HOSTNAME the name "
            "in it; AF_NATS_TLS_CERT and AF_NATS_TLS_KEY are ours, for a server that asks.",
        )
    return Misconfigured(
        f"No NATS server at {settings.nats_url} within {settings.connect_timeout_s:g} s ({error!r}).",
        remedy="Start one with `askfleet up`, or set AF_NATS_URL.",
    )


def _hung_up_on_tls(settings: BusSettings, error: Exception) -> bool:
    """A server that misses our certificate may close the connection before its alert is read."""
    hung_up = isinstance(error, (BrokenPipeError, ConnectionResetError, UnexpectedEOF))
    return hung_up and tls_context(settings) is not None


@asynccontextmanager
async def connect(settings: BusSettings, *, name: str, spans: Spans | None = None) -> AsyncIterator[Bus]:
    """A connection for a command or a test; workers run in FastStream's app instead."""
    broker = open_broker(settings, name=name)
    try:
        yield await bind(broker, settings, spans=spans)
    finally:
        await broker.stop()


async def _log_reconnect() -> None:
    log.warning("the connection to NATS was lost and is back", action="nats_reconnected")
