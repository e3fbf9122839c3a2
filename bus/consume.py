"""A pull loop that asks for exactly as many messages as there are free slots.

What is not asked for waits on the server, where another worker can take it. One pull request is open at a
time for each lane; when it is filled, the slots that are free by then are asked for together. Why not
FastStream's own pull subscriber: docs/adr/0002-pull-loop.md. Why two lanes: docs/adr/0006-two-lanes.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from bus import topology
from bus.connection import Bus
from bus.pull import OpenPull
from bus.subjects import Lane

log = structlog.get_logger(__name__)

Handler = Callable[[Msg], Awaitable[None]]
"""Works on one message and settles it (ack, nak, term); must not raise."""

PULL_EXPIRES_S = 30.0
PLAN_EXPIRES_S = 1.0
"""With two lanes an unfilled request ends soon, so that its slots can be given to the other lane."""
LOOK_EVERY_S = 0.5
CHECK_S = 0.5
RETRY_PAUSE_S = 0.25


def nothing_beside(own: int) -> int:
    return 0


@dataclass(frozen=True)
class Source:
    """Which consumers are pulled, and how many of their messages are worked on at once.

    `bulk_share`: of the slots, what bulk work may take while no fresh work waits. Fresh work that comes then
    has to share the worker with it: little where work is computing, more where slots are what is scarce.
    `priority`: of workers of several clusters, those with a lower one are served first. `beside`: slots that
    other loops of this process hold, asked with how many this one holds.
    """

    stream: str
    durable: str
    concurrency: int
    bulk: str = ""
    bulk_share: float = 0.0625
    priority: int = 0
    beside: Callable[[int], int] = nothing_beside

    @classmethod
    def of(
        cls,
        stream: topology.Stream,
        concurrency: int,
        *,
        consumers: Sequence[topology.Consumer] = (),
        bulk_share: float = 0.0625,
    ) -> "Source":
        """`consumers`: by default those of the stream."""
        durables = {consumer.lane: consumer.durable for consumer in consumers or stream.consumers}
        bulk = durables.get(Lane.BULK, "")
        return cls(stream.name, durables[Lane.FRESH], concurrency, bulk, bulk_share)


@dataclass(frozen=True)
class Shares:
    """How the slots of one worker are divided between its lanes.

    Fresh work goes first, but bulk work gets an eighth of the slots, or one message a second where that is
    none. When only bulk work waits it gets its share, and fresh work need not wait for a slot.
    """

    concurrency: int
    bulk_share: float

    def bulk(self, *, fresh_waits: bool, starved: bool) -> int:
        """At most so many bulk messages in work."""
        if fresh_waits:
            return max(self.concurrency // 8, 1 if starved else 0)
        return max(1, min(self.concurrency - 1, int(self.concurrency * self.bulk_share)))


class PullLoop:
    """`start`, then `drain`: stop pulling, finish what fits in the grace period, hand back the rest."""

    def __init__(self, bus: Bus, source: Source, handler: Handler) -> None:
        self._bus = bus
        self._source = source
        self._shares = Shares(source.concurrency, source.bulk_share)
        self._handler = handler
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._main: asyncio.Task[None] | None = None
        self._fresh = self._lane(source.durable)
        self._bulk = self._lane(source.bulk) if source.bulk else None

    @property
    def alive(self) -> bool:
        return self._main is not None and not self._main.done()

    @property
    def concurrency(self) -> int:
        return self._source.concurrency

    @property
    def in_work(self) -> int:
        return len(self._running)

    async def start(self) -> None:
        for lane in self._lanes:
            await lane.open()
        self._main = asyncio.create_task(self._pull_forever(), name=f"pull {self._source.durable}")

    async def drain(self, grace_s: float) -> None:
        """Stop pulling; wait up to `grace_s` seconds for work in hand; cancel what is left.

        A cancelled handler hands its message back (nak) itself.
        """
        self._stopping = True
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        for lane in self._lanes:
            await lane.close()
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._bus.nc.flush()

    @property
    def _lanes(self) -> tuple[OpenPull, ...]:
        return (self._fresh, self._bulk) if self._bulk is not None else (self._fresh,)

    def _lane(self, durable: str) -> OpenPull:
        return OpenPull(
            self._bus,
            self._source.stream,
            durable,
            priority=self._source.priority,
            on_message=self._receive,
            on_end=self._on_end,
        )

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
        for lane in self._lanes:
            await lane.renew_if_lost()
        free = self._source.concurrency - len(self._running) - sum(lane.outstanding for lane in self._lanes)
        free -= self._source.beside(len(self._running))
        if self._bulk is None:
            if free > 0 and self._fresh.outstanding == 0:
                await self._fresh.ask(free, expires_s=PULL_EXPIRES_S)
            return
        if not await self._looked_for_fresh(self._bulk, free):
            return
        free -= await self._pull_bulk(self._bulk, free)
        if free > 0 and self._fresh.outstanding == 0:
            await self._fresh.ask(free, expires_s=PLAN_EXPIRES_S)

    async def _looked_for_fresh(self, bulk: OpenPull, free: int) -> bool:
        """A lone slot can't be kept free for fresh work, so one looks for some before bulk work takes it."""
        if self._source.concurrency > 1 or free <= 0 or bulk.waiting == 0 or self._fresh.found_nothing:
            self._fresh.found_nothing = False
            return True
        await self._fresh.ask(1)
        return False

    async def _pull_bulk(self, bulk: OpenPull, free: int) -> int:
        """How many slots were asked for; where nothing is known to wait, one looks now and then."""
        idle_s = asyncio.get_running_loop().time() - bulk.asked_at
        if free <= 0 or bulk.outstanding > 0 or (bulk.waiting == 0 and idle_s < LOOK_EVERY_S):
            return 0
        fresh_waits = self._fresh.waiting > 0
        allowed = self._shares.bulk(fresh_waits=fresh_waits, starved=idle_s > PLAN_EXPIRES_S) - bulk.held
        if allowed <= 0:
            return 0
        batch = min(free, allowed) if bulk.waiting else 1
        await bulk.ask(batch)
        return batch

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(CHECK_S):
                await self._wake.wait()
        except TimeoutError:
            return

    def _receive(self, lane: OpenPull, message: Msg) -> None:
        lane.held += 1
        task = asyncio.create_task(self._refuse(message) if self._stopping else self._work(message))
        self._running.add(task)
        task.add_done_callback(lambda ended: self._finished(lane, ended))
        if lane.outstanding == 0:
            self._wake.set()

    async def _refuse(self, message: Msg) -> None:
        await message.nak()

    async def _work(self, message: Msg) -> None:
        await self._handler(message)

    def _finished(self, lane: OpenPull, task: asyncio.Task[None]) -> None:
        lane.held -= 1
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a handler let an error through", action="handler_leak", exc_info=task.exception())
        if any(lane.outstanding == 0 for lane in self._lanes):
            self._wake.set()

    def _on_end(self, status: str) -> None:
        if status in ("404", "408"):
            self._wake.set()
        else:
            asyncio.get_running_loop().call_later(RETRY_PAUSE_S, self._wake.set)
