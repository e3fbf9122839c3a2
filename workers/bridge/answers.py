"""The answers that this replica has in memory: opened for a question or a resume, dropped after the end."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from bus.answer_log import AnswerWriter
from bus.asking import cancel_query, publish_query
from bus.connection import Bus
from bus.envelope import now_ms
from bus.feed import AnswerFeed
from contracts import Event, Failed, Query
from contracts.errors import AnswerEnded, AnswerNotFound, AskfleetError, DeadlineExceeded
from workers.bridge.settings import BridgeSettings

log = structlog.get_logger(__name__)

SWEEP_S = 1.0
DEADLINE_GRACE_S = 2.0
"""Workers say themselves that a deadline has passed; the bridge does it where none is there to say it."""


@dataclass
class Held:
    """One answer in memory. Times are of the monotonic clock, in seconds."""

    feed: AnswerFeed
    deadline: int = 0
    readers: int = 0
    unread_since: float = 0.0
    ended_at: float = 0.0
    cancel_when_unread_s: float | None = None


class Answers:
    """All answers that have readers here or had some lately."""

    def __init__(self, bus: Bus, settings: BridgeSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._held: dict[tuple[str, str], Held] = {}
        self._reconnects = bus.nc.stats["reconnects"]

    async def ask(
        self, tenant: str, query: Query, *, deadline: int, trace_parent: str, abandon_s: float
    ) -> None:
        """Listen first, then publish: no event can be missed and none is read from the store."""
        key = (tenant, query.id)
        known = self._held.get(key)
        held = known or Held(await AnswerFeed(self._bus, *key).open(), unread_since=time.monotonic())
        held.deadline, held.cancel_when_unread_s = deadline, abandon_s
        self._held[key] = held
        try:
            await publish_query(self._bus, tenant, query, deadline=deadline, trace_parent=trace_parent)
        except AskfleetError:
            if known is None:
                await self._drop(key)
            raise

    async def resume(self, tenant: str, query_id: str) -> None:
        """Make an answer readable that another replica, or another service, asked for.

        Raises:
            AnswerNotFound: nothing is on its log.
        """
        key = (tenant, query_id)
        if key in self._held:
            return
        feed = await AnswerFeed(self._bus, tenant, query_id).open()
        try:
            await feed.catch_up()
            if not feed.events:
                raise AnswerNotFound(f"There is no answer {query_id!r}.")
        except AskfleetError:
            await feed.close()
            raise
        if key in self._held:
            await feed.close()
            return
        self._held[key] = Held(feed, unread_since=time.monotonic())

    @asynccontextmanager
    async def read(self, tenant: str, query_id: str) -> AsyncIterator[AnswerFeed]:
        """A reader's hold on an answer: it is neither dropped nor counted as abandoned meanwhile."""
        held = self._held[(tenant, query_id)]
        held.readers += 1
        try:
            yield held.feed
        finally:
            held.readers -= 1
            held.unread_since = time.monotonic()

    def seen(self, tenant: str, query_id: str) -> list[Event]:
        """The events in memory by now."""
        return self._held[(tenant, query_id)].feed.events

    async def events(
        self, tenant: str, query_id: str, *, after: int = 0
    ) -> AsyncGenerator[list[Event], None]:
        async with self.read(tenant, query_id) as feed:
            async for events in feed.follow(after=after):
                yield events

    async def cancel(self, tenant: str, query_id: str) -> None:
        """Raises AnswerNotFound or AnswerEnded."""
        await cancel_query(self._bus, tenant, query_id)

    async def sweep_forever(self) -> None:
        """Heals silent answers, ends expired and abandoned ones, forgets those that ended."""
        while True:
            await asyncio.sleep(SWEEP_S)
            reconnected = self._bus.nc.stats["reconnects"] != self._reconnects
            self._reconnects = self._bus.nc.stats["reconnects"]
            for key, held in list(self._held.items()):
                try:
                    await self._sweep(key, held, heal=reconnected)
                except AskfleetError as error:
                    log.warning("could not look after an answer", action="sweep_failed", error=str(error))

    async def close(self) -> None:
        for key in list(self._held):
            await self._drop(key)

    async def _sweep(self, key: tuple[str, str], held: Held, *, heal: bool) -> None:
        now = time.monotonic()
        if held.feed.ended:
            held.ended_at = held.ended_at or now
            if held.readers == 0 and now - held.ended_at > self._settings.linger_s:
                await self._drop(key)
            return
        silent_s = asyncio.get_running_loop().time() - held.feed.heard_at
        if heal or silent_s > self._settings.heal_idle_s:
            held.feed.heard_at = asyncio.get_running_loop().time()
            await held.feed.catch_up()
        if held.deadline and now_ms() > held.deadline + DEADLINE_GRACE_S * 1000:
            await self._expire(key, held)
        elif held.readers == 0 and self._abandoned(held, now):
            await self._abandon(key)

    def _abandoned(self, held: Held, now: float) -> bool:
        limit_s = held.cancel_when_unread_s
        return limit_s is not None and now - held.unread_since > limit_s

    async def _abandon(self, key: tuple[str, str]) -> None:
        log.info("nobody reads this answer; cancelling it", action="abandoned", query_id=key[1])
        try:
            await cancel_query(self._bus, *key)
        except (AnswerEnded, AnswerNotFound):
            return

    async def _expire(self, key: tuple[str, str], held: Held) -> None:
        problem = DeadlineExceeded(
            f"The deadline {held.deadline} passed and no worker had answered."
        ).problem()
        writer = AnswerWriter(self._bus, *key)
        held.deadline = 0
        try:
            await writer.append_once(Failed(problem=problem))
        except AnswerEnded:
            await held.feed.catch_up()

    async def _drop(self, key: tuple[str, str]) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            await held.feed.close()
