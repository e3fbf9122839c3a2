"""Reads the logs of many answers together, so that a bridge that starts again does not read each alone.

Reads are taken in turns: what is wanted while one turn runs is read in the next. A turn of a few answers
reads each with a batched direct get; a turn of many is one scan of the stream for all of them. So the size of
the turns follows the load, and nobody waits for a timer.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from bus import subjects
from bus.connection import Bus
from bus.entry import Entry, read_entry
from bus.stored import read_batch
from bus.subjects import AnswerKey
from bus.topology import ANSWERS
from contracts.errors import AskfleetError, DependencyUnavailable

FEW = 4
"""Up to so many answers are read one by one."""
MOST = 256
"""At most so many answers are read by one scan."""
PULL = 500
"""Messages of a scan on their way at once: what the client has to hold, and how long it does nothing else."""
SCAN_IDLE_S = 30.0


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
        if len(starts) <= FEW:
            await asyncio.gather(*(self._take_one(wanted) for wanted in turn))
            return
        self.scans += 1
        try:
            found = await scan(self._bus, starts)
        except AskfleetError as error:
            for wanted in turn:
                _fail(wanted, error)
        else:
            for wanted in turn:
                _succeed(wanted, found.get(wanted.key, Stretch()))

    async def _take_one(self, wanted: _Wanted) -> None:
        try:
            _succeed(wanted, await read_one_log(self._bus, wanted.key, wanted.from_sequence))
        except AskfleetError as error:
            _fail(wanted, error)


async def read_one_log(bus: Bus, key: AnswerKey, from_sequence: int) -> Stretch:
    entries: list[Entry] = []
    last = 0
    while True:
        batch = await read_batch(
            bus, ANSWERS.name, subjects.answer(*key), from_sequence=max(from_sequence, last + 1)
        )
        entries.extend(read_entry(message.body) for message in batch.messages)
        if batch.messages:
            last = batch.messages[-1].sequence
        if not batch.messages or batch.left == 0:
            return Stretch(entries, last)


async def scan(bus: Bus, starts: Mapping[AnswerKey, int]) -> dict[AnswerKey, Stretch]:
    """Many logs with one pass over the stream, by a consumer that lives as long as this call.

    Args:
        starts: the stream sequence from which on each log is wanted; the pass begins at the smallest.
    """
    name = f"scan-{secrets.token_hex(8)}"
    config = ConsumerConfig(
        name=name,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=min(starts.values()),
        ack_policy=AckPolicy.NONE,
        filter_subjects=[subjects.answer(*key) for key in starts],
        inactive_threshold=SCAN_IDLE_S,
        mem_storage=True,
        num_replicas=1,
    )
    try:
        info = await bus.js.add_consumer(ANSWERS.name, config)
        try:
            return await _pull(bus, name, info.num_pending or 0)
        finally:
            await bus.js.delete_consumer(ANSWERS.name, name)
    except (APIError, NatsError, TimeoutError, OSError) as error:
        raise DependencyUnavailable(f"NATS did not scan the answers: {error!r}.") from error


async def _pull(bus: Bus, consumer: str, expected: int) -> dict[AnswerKey, Stretch]:
    """Exactly what was stored when the consumer was made; later events reach the readers live."""
    pass_ = _Pass(expected)
    inbox = bus.nc.new_inbox()
    subscription = await bus.nc.subscribe(inbox, cb=pass_.receive)
    address = f"$JS.API.CONSUMER.MSG.NEXT.{ANSWERS.name}.{consumer}"
    try:
        while pass_.received < expected:
            batch = min(PULL, expected - pass_.received)
            pass_.expect(batch)
            await bus.nc.publish(address, json.dumps({"batch": batch, "no_wait": True}).encode(), reply=inbox)
            async with asyncio.timeout(bus.settings.publish_timeout_s):
                await pass_.filled.wait()
            if pass_.ended:
                break
    finally:
        await subscription.unsubscribe()
    return pass_.stretches()


@dataclass
class _Pass:
    """What a scan has received. `ended`: the server has no more, as some have expired meanwhile."""

    expected: int
    received: int = 0
    ended: bool = False
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    _goal: int = 0
    _entries: dict[str, list[Entry]] = field(default_factory=dict)
    _last: dict[str, Msg] = field(default_factory=dict)

    def expect(self, more: int) -> None:
        self._goal = self.received + more
        self.filled.clear()

    async def receive(self, message: Msg) -> None:
        if message.headers is not None and "Status" in message.headers:
            self.ended = True
            self.filled.set()
            return
        self.received += 1
        self._entries.setdefault(message.subject, []).append(read_entry(message.data))
        self._last[message.subject] = message
        if self.received >= self._goal:
            self.filled.set()

    def stretches(self) -> dict[AnswerKey, Stretch]:
        return {
            subjects.answer_key(subject): Stretch(entries, self._last[subject].metadata.sequence.stream)
            for subject, entries in self._entries.items()
        }


def _succeed(wanted: _Wanted, found: Stretch) -> None:
    if not wanted.found.done():
        wanted.found.set_result(found)


def _fail(wanted: _Wanted, error: AskfleetError) -> None:
    if not wanted.found.done():
        wanted.found.set_exception(error)
