"""An answer as it happens: live events from NATS, healed by index from the log, for any number of readers."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from bus import subjects
from bus.connection import Bus
from bus.entry import Entry, read_entry
from bus.replay import Replay
from bus.subjects import AnswerKey
from contracts import Event
from contracts.errors import AskfleetError, DependencyUnavailable

log = structlog.get_logger(__name__)

SEQUENCE = "Nats-Sequence"
"""Which message of the stream it is that the server repeats."""


class AnswerFeed:
    """Keeps the events of one answer in memory; readers are cursors on them.

    `open` subscribes before anything is published, so a new query needs no read. `catch_up` reads the log:
    for a resume, after a gap, after a reconnect. The server repeats only stored events on the live subject,
    so what a fenced worker tried to say never arrives here.
    """

    def __init__(
        self, bus: Bus, key: AnswerKey, replay: Replay, *, on_end: Callable[[], object] | None = None
    ) -> None:
        self._bus = bus
        self._replay = replay
        self._on_end = on_end
        self.key = key
        self.entries: list[Entry] = []
        self.heard_at = asyncio.get_running_loop().time()
        self._subscription: Subscription | None = None
        self._changed = asyncio.Event()
        self._healing: asyncio.Task[None] | None = None
        self._sequence = 0

    @property
    def ended(self) -> bool:
        return bool(self.entries) and self.entries[-1].terminal

    @property
    def events(self) -> list[Event]:
        return [entry.event for entry in self.entries]

    async def open(self) -> None:
        """Raises DependencyUnavailable."""
        subject = subjects.live(*self.key)
        try:
            self._subscription = await self._bus.nc.subscribe(subject, cb=self._receive)
        except (NatsError, OSError) as error:
            raise DependencyUnavailable(f"Can't listen to {subject}: {error!r}.") from error

    async def close(self) -> None:
        """Stop listening; readers keep what there is."""
        if self._healing is not None:
            self._healing.cancel()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()
        self._announce()

    async def catch_up(self) -> None:
        """Take over what the log holds beyond the events in memory."""
        stretch = await self._replay.read(self.key, from_sequence=self._sequence + 1)
        for entry in stretch.entries:
            self._add(entry)
        self._sequence = max(self._sequence, stretch.last_sequence)
        self._announce()

    async def follow(self, *, after: int = 0) -> AsyncGenerator[list[Entry], None]:
        """Events with an index above `after`, in order, as they come; ends after the terminal or `close`."""
        position = after
        while True:
            changed = self._changed
            fresh = self.entries[position:]
            if fresh:
                position += len(fresh)
                yield fresh
                continue
            if self.ended or self._subscription is None:
                return
            await changed.wait()

    async def _receive(self, message: Msg) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        entry = read_entry(message.data)
        if entry.number <= len(self.entries) + 1:
            if self._add(entry):
                self._sequence = int((message.headers or {}).get(SEQUENCE, self._sequence))
                self._announce()
        elif self._healing is None or self._healing.done():
            self._healing = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        try:
            await self.catch_up()
        except AskfleetError as error:
            log.warning("a gap stays until the next event", action="heal_failed", error=str(error))

    def _add(self, entry: Entry) -> bool:
        if self.ended or entry.number != len(self.entries) + 1:
            return False
        self.entries.append(entry)
        if entry.terminal and self._on_end is not None:
            self._on_end()
        return True

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
