"""Clients of the NATS door: they publish on the public subject and read the live events of their answer."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from bus.asking import cancel_query, publish_query
from bus.connection import Bus
from bus.feed import AnswerFeed
from bus.replay import Replay
from bus.subjects import AnswerKey
from contracts import Query
from contracts.errors import AnswerEnded, AskfleetError, DeadlineExceeded, PermanentError, QueueFull
from loadgen.asking import Asking
from loadgen.mix import Order
from loadgen.observed import Habit, Observed
from loadgen.reading import Pulse, Reading
from loadgen.scenario import Scenario

SILENT_S = 5.0
"""After so long without an event the log is read: the server that repeats events may have been away."""
LOOK_EVERY_S = 1.0


class NatsClient:
    """Asks for any tenant. Slow reading is a matter of the bridge: such clients read as others do."""

    def __init__(
        self,
        bus: Bus,
        scenario: Scenario,
        *,
        pulse: Pulse,
        origin: float,
        wrong_clock_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`wrong_clock_s`: by so much the clock is ahead from which deadlines are computed."""
        self.bus = bus
        self.scenario = scenario
        self.replay = Replay(bus)
        self._pulse = pulse
        self._origin = origin
        self._wrong_clock_s = wrong_clock_s
        self._chance = random.Random(scenario.seed)  # noqa: S311 (not for secrets)

    async def ask(self, order: Order, *, scheduled_at: float) -> Observed:
        reading = Reading(self._pulse, scheduled_at, order.habit is not Habit.LEAVE)
        asking = Asking(order, self.scenario, scheduled_at, reading, self._chance)
        asking.deadline += int(self._wrong_clock_s() * 1_000)
        await _Exchange(self, asking).run()
        return asking.observed(origin=self._origin)


class _Exchange:
    """All about one query."""

    def __init__(self, client: NatsClient, asking: Asking) -> None:
        self._bus = client.bus
        self._replay = client.replay
        self._scenario = client.scenario
        self._asking = asking
        self._reading = asking.reading
        self._order = asking.order
        self._pauses = asking.pauses()
        self._key = AnswerKey(asking.order.tenant, asking.order.query_id)

    async def run(self) -> None:
        """Until the terminal event, a refusal, or the deadline and the grace."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._scenario.deadline_s + self._scenario.grace_s):
                feed = await self._listen()
                try:
                    accepted = await self._publish()
                    if accepted:
                        await self._read(feed)
                finally:
                    await feed.close()
                while accepted and not self._reading.ended:
                    await self._resume()

    async def _listen(self) -> AnswerFeed:
        while True:
            feed = AnswerFeed(self._bus, self._key, self._replay)
            try:
                await feed.open()
            except AskfleetError:
                await asyncio.sleep(self._pauses.next_s())
            else:
                return feed

    async def _publish(self) -> bool:
        """Whether it was acknowledged; again with the same id as long as NATS says nothing."""
        asking, order = self._asking, self._order
        query = Query(
            id=order.query_id,
            question=order.question,
            route=order.route,
            top_k=self._scenario.top_k,
            max_tokens=self._scenario.max_tokens,
        )
        while asking.remaining_s > 0:
            asking.asks += 1
            try:
                await publish_query(self._bus, order.tenant, query, deadline=asking.deadline)
            except AskfleetError as error:
                if not self._goes_on(error):
                    return False
            else:
                asking.accepted_at = perf_counter()
                asking.refused, asking.problem = False, ""
                return True
            await asyncio.sleep(min(self._pauses.next_s(), max(0.0, asking.remaining_s)))
        return False

    def _goes_on(self, error: AskfleetError) -> bool:
        """Whether to publish again after this error."""
        asking = self._asking
        asking.problem = error.code
        if isinstance(error, QueueFull):
            asking.refused = not asking.uncertain
            return asking.uncertain or self._scenario.clients.retry_refused
        if isinstance(error, PermanentError | DeadlineExceeded):
            asking.refused = isinstance(error, PermanentError) and not asking.uncertain
            return False
        asking.uncertain, asking.refused = True, False
        return True

    async def _read(self, feed: AnswerFeed) -> None:
        """To the end, or until the client leaves."""
        leaves = self._order.habit is Habit.LEAVE and not self._asking.left
        healing = asyncio.create_task(self._heal(feed))
        cancels = self._order.habit is Habit.CANCEL and self._asking.cancelled_at is None
        cancelling = asyncio.create_task(self._cancel()) if cancels else None
        try:
            async with asyncio.timeout(self._order.after_s if leaves else None):
                await self._follow(feed)
        except TimeoutError:
            self._asking.left += 1
        finally:
            tasks = [task for task in (healing, cancelling) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, feed: AnswerFeed) -> None:
        reading = self._reading
        async for entries in feed.follow(after=reading.last_id):
            at = perf_counter()
            for entry in entries:
                reading.add(at, entry.number, entry.type, entry.raw)
        self._asking.whole = reading.ended

    async def _resume(self) -> None:
        await asyncio.sleep(self._order.pause_s)
        sent_at = perf_counter()
        feed = await self._listen()
        try:
            await feed.catch_up()
            self._asking.missing = not feed.entries
            self._asking.resumes_s.append(perf_counter() - sent_at)
            await self._read(feed)
        except AskfleetError:
            await asyncio.sleep(self._pauses.next_s())
        finally:
            await feed.close()

    async def _heal(self, feed: AnswerFeed) -> None:
        loop = asyncio.get_running_loop()
        reconnects = self._bus.nc.stats["reconnects"]
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            reconnected = self._bus.nc.stats["reconnects"] != reconnects
            if not reconnected and loop.time() - feed.heard_at < SILENT_S:
                continue
            with suppress(AskfleetError):
                await feed.catch_up()
                reconnects = self._bus.nc.stats["reconnects"]
                feed.heard_at = loop.time()

    async def _cancel(self) -> None:
        await asyncio.sleep(self._order.after_s)
        self._asking.cancelled_at = perf_counter()
        while not self._reading.ended:
            try:
                await cancel_query(self._bus, *self._key, waiting=True)
            except AnswerEnded:
                return
            except AskfleetError:
                await asyncio.sleep(self._pauses.next_s())
            else:
                return
