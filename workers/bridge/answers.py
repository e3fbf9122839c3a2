"""The answers that this replica has in memory: opened for a question or a resume, dropped after the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import structlog

from bus.asking import cancel_query, find_waiting, publish_query
from bus.connection import Bus
from bus.feed import AnswerFeed
from bus.feedback import give_feedback
from bus.place import Place, find_places
from bus.replay import Replay
from bus.spans import Asked
from bus.subjects import AnswerKey
from contracts import Accepted, Feedback, Query
from contracts.errors import AnswerNotFound
from workers.bridge.settings import BridgeSettings
from workers.bridge.tracing import watch

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Question:
    """What a client asks. `named`: the id is the client's own, so it may have been asked before."""

    query: Query
    deadline: int
    trace_parent: str
    abandon_s: float
    named: bool = False


@dataclass
class Held:
    """One answer in memory. Times are of the monotonic clock, in seconds; `deadline` is in epoch ms."""

    key: AnswerKey
    feed: AnswerFeed
    on_end: Callable[[], None]
    deadline: int = 0
    readers: int = 0
    unread_since: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0
    cancel_when_unread_s: float | None = None
    opening: "asyncio.Task[None] | None" = None
    asked: Asked | None = None


Begin = Callable[[Held], Awaitable[None]]


class Answers:
    """All answers that have readers here or had some lately."""

    def __init__(self, bus: Bus, settings: BridgeSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._replay = Replay(bus)
        self._held: dict[AnswerKey, Held] = {}
        self._resumes = bus.vitals.tally("resumes")
        self._reading = 0
        self._watching: set[asyncio.Task[None]] = set()
        self._unread = asyncio.Event()
        self._unread.set()
        self.draining = False

    @property
    def held(self) -> list[Held]:
        return list(self._held.values())

    def is_read(self, key: AnswerKey) -> bool:
        held = self._held.get(key)
        return held is not None and held.readers > 0

    async def ask(
        self, tenant: str, question: Question, *, on_end: Callable[[], None] = lambda: None
    ) -> Held:
        """Listen first, then publish: no event can be missed and none is read from the store.

        What has been asked under the same id is not asked again, as long as its log is kept.

        Args:
            on_end: called once, when the answer has ended, also when it was asked before.

        Raises:
            QueueFull: nothing was stored, and nothing is held.
        """
        key = AnswerKey(tenant, question.query.id)
        while True:
            try:
                held = await self._join(key, partial(self._publish, question=question), on_end)
                break
            except AnswerNotFound:
                continue  # a read that came before the question found nothing
        if held.on_end is not on_end:
            on_end()
        held.cancel_when_unread_s = question.abandon_s
        return held

    async def resume(self, tenant: str, query_id: str) -> Held:
        """Make an answer readable that another replica, or another service, asked for.

        Raises:
            AnswerNotFound: nothing is on its log, and no such query waits for a router.
        """
        self._resumes.add()
        return await self._join(AnswerKey(tenant, query_id), self._find, lambda: None)

    @asynccontextmanager
    async def read(self, held: Held) -> AsyncIterator[AnswerFeed]:
        """A reader's hold on an answer: it is neither dropped nor counted as abandoned meanwhile."""
        held.readers += 1
        self._reading += 1
        self._unread.clear()
        try:
            yield held.feed
        finally:
            held.readers -= 1
            held.unread_since = time.monotonic()
            self._reading -= 1
            if self._reading == 0:
                self._unread.set()

    async def cancel(self, held: Held) -> None:
        """Raises AnswerEnded."""
        await cancel_query(self._bus, *held.key, waiting=True)

    async def rate(self, tenant: str, feedback: Feedback) -> Feedback:
        """Raises AnswerNotFound."""
        return await give_feedback(self._bus, tenant, feedback)

    async def places(self, held: Held) -> tuple[Place, ...]:
        """Where it stands in the queues; nowhere once it has ended."""
        return () if held.feed.ended else await find_places(self._bus, held.key, held.feed.events)

    async def drop(self, held: Held) -> None:
        if self._held.get(held.key) is held:
            del self._held[held.key]
        held.on_end()
        await held.feed.close()

    async def drain(self, grace_s: float) -> None:
        """Let readers come to the end; after `grace_s` seconds cut them, after a whole event."""
        self.draining = True
        try:
            async with asyncio.timeout(grace_s):
                await self._unread.wait()
        except TimeoutError:
            log.info("streams are cut; clients resume elsewhere", action="cut", streams=self._reading)
        await self.close()

    async def close(self) -> None:
        for held in self.held:
            await self.drop(held)
        await self._replay.close()

    async def _join(self, key: AnswerKey, begin: Begin, on_end: Callable[[], None]) -> Held:
        """The answer in memory, or one that `begin` opens; who comes meanwhile waits for the same."""
        held = self._held.get(key)
        if held is None:
            held = Held(key, AnswerFeed(self._bus, key, self._replay, on_end=on_end), on_end)
            self._held[key] = held
            held.opening = asyncio.create_task(self._open(held, begin))
            held.opening.add_done_callback(_mark_retrieved)
        held.unread_since = time.monotonic()
        if held.opening is not None:
            await asyncio.shield(held.opening)
        return held

    async def _open(self, held: Held, begin: Begin) -> None:
        opened = False
        try:
            await held.feed.open()
            await begin(held)
            opened = True
        finally:
            held.opening = None
            if not opened:
                await self.drop(held)

    async def _publish(self, held: Held, *, question: Question) -> None:
        if question.named:
            await held.feed.catch_up()
            if held.feed.entries:
                held.deadline = _deadline_of(held)
                return
        held.deadline = question.deadline
        tenant, _ = held.key
        asked = self._bus.spans.asked(tenant, question.query, question.trace_parent)
        is_new = await publish_query(
            self._bus,
            tenant,
            question.query,
            deadline=question.deadline,
            trace_parent=asked.trace_parent,
        )
        if is_new:
            self._watch(held, asked)
        else:
            await held.feed.catch_up()
            held.deadline = _deadline_of(held) or held.deadline

    def _watch(self, held: Held, asked: Asked) -> None:
        held.asked = asked
        if asked.recording:
            task = asyncio.create_task(watch(asked, held.feed))
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)

    async def _find(self, held: Held) -> None:
        await held.feed.catch_up()
        if not held.feed.entries:
            waiting = await find_waiting(self._bus, *held.key)
            if waiting is not None:
                held.deadline = waiting.deadline
                return
            await held.feed.catch_up()
        if not held.feed.entries:
            raise AnswerNotFound(f"There is no answer {held.key.query_id!r}.")
        held.deadline = _deadline_of(held)


def _deadline_of(held: Held) -> int:
    """As the router has accepted it; 0 where another event came first."""
    first = held.feed.entries[0].event if held.feed.entries else None
    return first.deadline if isinstance(first, Accepted) else 0


def _mark_retrieved(task: "asyncio.Task[None]") -> None:
    """So that an error is no news where all that waited for it have gone."""
    if not task.cancelled():
        task.exception()
