"""Reads the logs of many answers together, so that a bridge that starts again does not read each alone.

Reads are taken in turns: what is wanted while one turn runs is read in the next. A turn of a few answers
reads each with a batched direct get. A turn of many is one scan of the stream for all of them, from the first
message that any of them needs, unless that passes over too much that nobody wants. So the size of the turns
follows the load, and nobody waits for a timer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bus import subjects
from bus.connection import Bus
from bus.entry import Entry, read_entry
from bus.stored import Batch, read_batch
from bus.subjects import AnswerKey
from bus.topology import ANSWERS
from contracts.errors import AskfleetError

FEW = 16
"""Up to so many answers are read one by one, at the same time."""
MOST = 512
"""At most so many answers are read in one turn."""
SCAN_BATCH = 2048
DENSE = 300
"""A scan passes over at most so many messages for each answer that is wanted; else each is read alone."""


@dataclass(frozen=True)
class Stretch:
    """Entries of one log from where it was asked for; `last_sequence` is 0 when there are none."""

    entries: Sequence[Entry] = ()
    last_sequence: int = 0


@dataclass(frozen=True)
class _Wanted:
    key: AnswerKey
    from_sequence: int
    found: "asyncio.Future[Stretch]"


class Replay:
    """One for a process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._wanted: list[_Wanted] = []
        self._turns: asyncio.Task[None] | None = None
        self._few = asyncio.Semaphore(FEW)
        self.scans = 0

    async def read(self, key: AnswerKey, *, from_sequence: int = 1) -> Stretch:
        """What the log holds from a stream sequence on.

        Raises:
            DependencyUnavailable: NATS did not answer.
        """
        wanted = _Wanted(key, max(1, from_sequence), asyncio.get_running_loop().create_future())
        self._wanted.append(wanted)
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._take_turns())
        return await wanted.found

    async def close(self) -> None:
        if self._turns is not None:
            self._turns.cancel()
            await asyncio.gather(self._turns, return_exceptions=True)
        for wanted in self._wanted:
            wanted.found.cancel()

    async def _take_turns(self) -> None:
        while self._wanted:
            turn, self._wanted = self._wanted[:MOST], self._wanted[MOST:]
            try:
                await self._take(turn)
            finally:
                for wanted in turn:
                    wanted.found.cancel()

    async def _take(self, turn: Sequence[_Wanted]) -> None:
        starts: dict[AnswerKey, int] = {}
        for wanted in turn:
            starts[wanted.key] = min(wanted.from_sequence, starts.get(wanted.key, wanted.from_sequence))
        if len(starts) > FEW:
            try:
                found = await self._scan(starts)
            except AskfleetError as error:
                for wanted in turn:
                    _fail(wanted, error)
                return
            if found is not None:
                for wanted in turn:
                    _succeed(wanted, found.get(wanted.key, Stretch()))
                return
        await asyncio.gather(*(self._read_alone(wanted) for wanted in turn))

    async def _read_alone(self, wanted: _Wanted) -> None:
        async with self._few:
            try:
                _succeed(wanted, await read_one_log(self._bus, wanted.key, wanted.from_sequence))
            except AskfleetError as error:
                _fail(wanted, error)

    async def _scan(self, starts: Mapping[AnswerKey, int]) -> dict[AnswerKey, Stretch] | None:
        """Many logs with one pass over the stream; None: it would pass over too much."""
        firsts = await asyncio.gather(*(self._first(key, start) for key, start in starts.items()))
        needed = [first for first in firsts if first]
        if not needed:
            return {}
        batch = await self._scan_from(min(needed), limit=1)
        if batch.left > DENSE * len(needed):
            return None
        self.scans += 1
        pass_ = _Pass(frozenset(starts))
        while pass_.take(batch):
            batch = await self._scan_from(batch.messages[-1].sequence + 1, limit=SCAN_BATCH)
        return pass_.stretches()

    async def _scan_from(self, sequence: int, *, limit: int) -> Batch:
        return await read_batch(self._bus, ANSWERS.name, subjects.ANSWER, from_sequence=sequence, limit=limit)

    async def _first(self, key: AnswerKey, start: int) -> int:
        """Where the log goes on from `start`; 0 where it does not."""
        if start > 1:
            return start
        async with self._few:
            batch = await read_batch(self._bus, ANSWERS.name, subjects.answer(*key), limit=1)
        return batch.messages[0].sequence if batch.messages else 0


async def read_one_log(bus: Bus, key: AnswerKey, from_sequence: int) -> Stretch:
    entries: list[Entry] = []
    following = from_sequence
    while True:
        batch = await read_batch(bus, ANSWERS.name, subjects.answer(*key), from_sequence=following)
        entries.extend(read_entry(message.body) for message in batch.messages)
        if batch.messages:
            following = batch.messages[-1].sequence + 1
        if not batch.messages or batch.left == 0:
            return Stretch(entries, following - 1 if entries else 0)


@dataclass
class _Pass:
    """What a scan has found. It ends where the stream ended when it began: what is newer comes live."""

    keys: frozenset[AnswerKey]
    left: int | None = None
    entries: dict[AnswerKey, list[Entry]] = field(default_factory=dict)
    last: dict[AnswerKey, int] = field(default_factory=dict)

    def take(self, batch: Batch) -> bool:
        """False: it is over."""
        self.left = batch.left if self.left is None else self.left - len(batch.messages)
        for message in batch.messages:
            key = subjects.answer_key(message.subject)
            if key in self.keys:
                self.entries.setdefault(key, []).append(read_entry(message.body))
                self.last[key] = message.sequence
        return self.left > 0 and bool(batch.messages)

    def stretches(self) -> dict[AnswerKey, Stretch]:
        return {key: Stretch(entries, self.last[key]) for key, entries in self.entries.items()}


def _succeed(wanted: _Wanted, found: Stretch) -> None:
    if not wanted.found.done():
        wanted.found.set_result(found)


def _fail(wanted: _Wanted, error: AskfleetError) -> None:
    if not wanted.found.done():
        wanted.found.set_exception(error)
