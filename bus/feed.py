"""An answer as it happens: live events from NATS, healed by index from the log, for any number of readers."""

import asyncio
from collections.abc import AsyncIterator

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bus import subjects
from bus.answer_log import read_log
from bus.connection import Bus
from contracts import Event, decode_event, is_terminal
from contracts.errors import AskfleetError

log = structlog.get_logger(__name__)


class AnswerFeed:
    """Keeps the events of one answer in memory; readers are cursors on them.

    `open` subscribes before anything is published, so a new query needs no read. `catch_up` reads the log:
    for a resume, after a gap, after a reconnect. The server repeats only stored events on the live subject,
    so what a fenced worker tried to say never arrives here.
    """

    def __init__(self, bus: Bus, tenant: str, query_id: str) -> None:
        self._bus = bus
        self.tenant = tenant
        self.query_id = query_id
        self.events: list[Event] = []
        self.heard_at = asyncio.get_running_loop().time()
        self._subscription: Subscription | None = None
        self._changed = asyncio.Event()
        self._healing: asyncio.Task[None] | None = None
        self._first_sequence = 1

    @property
    def ended(self) -> bool:
        return bool(self.events) and is_terminal(self.events[-1])

    async def open(self) -> "AnswerFeed":
        subject = subjects.live(self.tenant, self.query_id)
        self._subscription = await self._bus.nc.subscribe(subject, cb=self._receive)
        return self

    async def close(self) -> None:
        """Stop listening; readers keep what there is."""
        if self._healing is not None:
            self._healing.cancel()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            await subscription.unsubscribe()
        self._announce()

    async def catch_up(self) -> None:
        """Take over what the log holds beyond the events in memory."""
        state = await read_log(self._bus, self.tenant, self.query_id, from_sequence=self._first_sequence)
        self._first_sequence = state.first_sequence or self._first_sequence
        for event in state.events:
            self._add(event)
        self._announce()

    async def follow(self, *, after: int = 0) -> AsyncIterator[list[Event]]:
        """Events with an index above `after`, in order, as they come; ends after the terminal or `close`."""
        position = after
        while True:
            changed = self._changed
            fresh = self.events[position:]
            if fresh:
                position += len(fresh)
                yield fresh
                continue
            if self.ended or self._subscription is None:
                return
            await changed.wait()

    async def _receive(self, message: Msg) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        event = decode_event(message.data)
        if event.index <= len(self.events) + 1:
            if self._add(event):
                self._announce()
        elif self._healing is None or self._healing.done():
            self._healing = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        try:
            await self.catch_up()
        except AskfleetError as error:
            log.warning("a gap stays until the next event", action="heal_failed", error=str(error))

    def _add(self, event: Event) -> bool:
        if self.ended or event.index != len(self.events) + 1:
            return False
        self.events.append(event)
        return True

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
