"""A pull loop that asks for exactly as many messages as there are free slots.

What is not asked for waits on the server, where another worker can take it. One pull request is open at a
time; when it is filled, the slots that are free by then are asked for together. Why not FastStream's own pull
subscriber: docs/adr/0002-pull-loop.md.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from bus.connection import Bus

log = structlog.get_logger(__name__)

Handler = Callable[[Msg], Awaitable[None]]
"""Works on one message and settles it (ack, nak, term); must not raise."""

PULL_EXPIRES_S = 30.0
IDLE_HEARTBEAT_S = 5.0
CHECK_S = 1.0
RETRY_PAUSE_S = 0.25
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Source:
    """Which consumer is pulled, and how many of its messages are worked on at once."""

    stream: str
    durable: str
    concurrency: int


class PullLoop:
    """`start`, then `drain`: stop pulling, finish what fits in the grace period, hand back the rest."""

    def __init__(self, bus: Bus, source: Source, handler: Handler) -> None:
        self._bus = bus
        self._source = source
        self._handler = handler
        self._running: set[asyncio.Task[None]] = set()
        self._outstanding = 0
        self._request = 0
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._wake = asyncio.Event()
        self._heard_at = 0.0
        self._reconnects = 0
        self._stopping = False
        self._main: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self._main is not None and not self._main.done()

    async def start(self) -> None:
        await self._subscribe()
        self._main = asyncio.create_task(self._pull_forever(), name=f"pull {self._source.durable}")

    async def drain(self, grace_s: float) -> None:
        """Stop pulling; wait up to `grace_s` seconds for work in hand; cancel what is left.

        A cancelled handler hands its message back (nak) itself.
        """
        self._stopping = True
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        if self._subscription is not None:
            await self._subscription.drain()  # type: ignore[no-untyped-call]
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._bus.nc.flush()

    async def _pull_forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._pull()
            except (NatsError, OSError) as error:
                log.warning("can't pull; trying again", action="pull_failed", error=repr(error))
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                await self._wait_for_change()

    async def _pull(self) -> None:
        if self._outstanding > 0 and (self._silent() or self._reconnected()):
            await self._subscribe()
        free = self._source.concurrency - len(self._running)
        if free <= 0 or self._outstanding > 0:
            return
        self._outstanding = free
        self._request += 1
        self._heard_at = asyncio.get_running_loop().time()
        body = {
            "batch": free,
            "expires": int(PULL_EXPIRES_S * NANOSECONDS),
            "idle_heartbeat": int(IDLE_HEARTBEAT_S * NANOSECONDS),
        }
        await self._bus.nc.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._source.stream}.{self._source.durable}",
            json.dumps(body).encode(),
            reply=f"{self._inbox}.{self._request}",
        )

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(CHECK_S):
                await self._wake.wait()
        except TimeoutError:
            return

    def _silent(self) -> bool:
        """Two heartbeats missed: the request is gone (the consumer moved, for example)."""
        return asyncio.get_running_loop().time() - self._heard_at > 2 * IDLE_HEARTBEAT_S

    def _reconnected(self) -> bool:
        """The server that the request was sent to may have restarted and forgotten it."""
        return bool(self._bus.nc.stats["reconnects"] != self._reconnects)

    async def _subscribe(self) -> None:
        """A new inbox: the server drops requests whose inbox nobody listens to."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        self._reconnects = self._bus.nc.stats["reconnects"]
        self._inbox = self._bus.nc.new_inbox()
        self._subscription = await self._bus.nc.subscribe(f"{self._inbox}.*", cb=self._receive)
        self._outstanding = 0

    async def _receive(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if not message.reply:
            self._on_status(message)
        elif self._stopping:
            await message.nak()
        else:
            self._outstanding = max(0, self._outstanding - 1)
            self._take(message)

    def _take(self, message: Msg) -> None:
        task = asyncio.create_task(self._work(message))
        self._running.add(task)
        task.add_done_callback(self._finished)
        if self._outstanding == 0:
            self._wake.set()

    async def _work(self, message: Msg) -> None:
        await self._handler(message)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a handler let an error through", action="handler_leak", exc_info=task.exception())
        if self._outstanding == 0:
            self._wake.set()

    def _on_status(self, message: Msg) -> None:
        """A status ends the open request, except for a heartbeat (100) or one of an older request."""
        status = (message.headers or {}).get("Status", "")
        if status == "100" or not message.subject.endswith(f".{self._request}"):
            return
        if status not in ("404", "408"):
            log.info("pull request ended", action="pull_ended", status=status, headers=message.headers)
        self._outstanding = 0
        if status in ("404", "408"):
            self._wake.set()
        else:
            asyncio.get_running_loop().call_later(RETRY_PAUSE_S, self._wake.set)
