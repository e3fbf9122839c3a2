"""The answer log: the events of one query on one subject, appended with a compare-and-set.

Every append states the stream sequence of the event that it follows (`Nats-Expected-Last-Subject-Sequence`).
The server refuses it when something else was stored in between, so a second terminal event or the words of a
worker that lost its message can't be written. See docs/adr/0001-answer-log.md.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError

from bus import subjects
from bus.connection import Bus
from bus.envelope import SCHEMA, TRACE_PARENT, now_ms
from bus.stored import read_batch
from bus.topology import ANSWERS
from bus.vitals import Ended
from contracts import EVENT_SCHEMA, Delta, Event, Failed, LogPosition, Terminal, decode_event, encode
from contracts.errors import AnswerEnded, AskfleetError, DependencyUnavailable, Fenced

WRONG_LAST_SEQUENCE = 10071
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
APPEND_ATTEMPTS = 8
RETRY_PAUSE_S = 0.05
REST_FACTOR = 8.0
"""So a writer keeps the bus busy for a ninth of the time at most, until the longest rest is reached."""
LONGEST_REST_S = 0.05


@dataclass(frozen=True)
class LogState:
    """What stood on the log at one moment; empty before the query was accepted."""

    events: tuple[Event, ...] = ()
    first_sequence: int = 0
    last_sequence: int = 0

    @property
    def last_index(self) -> int:
        return self.events[-1].index if self.events else 0

    @property
    def terminal(self) -> Terminal | None:
        last = self.events[-1] if self.events else None
        return last if isinstance(last, Terminal) else None

    @property
    def text(self) -> str:
        """The text that readers have seen so far."""
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def position(self) -> LogPosition:
        return LogPosition(
            first_sequence=self.first_sequence, last_sequence=self.last_sequence, last_index=self.last_index
        )


async def read_log(bus: Bus, tenant: str, query_id: str, *, from_sequence: int = 1) -> LogState:
    """All events from `from_sequence` (a stream sequence) on, in a few batched direct gets."""
    subject = subjects.answer(tenant, query_id)
    events: list[Event] = []
    first = last = 0
    following = max(1, from_sequence)
    while True:
        batch = await read_batch(bus, ANSWERS.name, subject, from_sequence=following)
        for message in batch.messages:
            last = message.sequence
            first = first or last
            events.append(decode_event(message.body))
        following = last + 1
        if not batch.messages or batch.left == 0:
            return LogState(tuple(events), first, last)


class AnswerWriter:
    """Appends the events of one attempt. Not for use by several tasks at once.

    `attempt` is unique for each delivery of a job, so that an event whose acknowledgement was lost is
    recognised as the writer's own. A `trace_parent` stands in the headers of what is written, for those who
    read the log later.
    """

    def __init__(
        self,
        bus: Bus,
        tenant: str,
        query_id: str,
        *,
        position: LogPosition | None = None,
        trace_parent: str = "",
    ) -> None:
        self._bus = bus
        self._subject = subjects.answer(tenant, query_id)
        self._key = (tenant, query_id)
        self._attempt = secrets.token_hex(8)
        self._written = 0
        self._headers = {SCHEMA: EVENT_SCHEMA} | ({TRACE_PARENT: trace_parent} if trace_parent else {})
        self.position = position or LogPosition(first_sequence=0, last_sequence=0, last_index=0)

    async def turn(self) -> None:
        """Wait until this turn of the loop has time for one more append."""
        await self._bus.turns.wait()

    async def append(self, event: Event) -> Event:
        """Append a `delta` or a terminal: refused when another attempt wrote in between.

        Raises:
            Fenced: another attempt continues this answer.
            AnswerEnded: a terminal event stands on the log.
            DependencyUnavailable: NATS did not answer.
        """
        stamped = self._stamp(event)
        if await self._offer(stamped):
            return stamped
        state = await self.read()
        last = state.events[-1] if state.events else None
        if last is not None and last.id == stamped.id:
            self._advance(state.last_sequence, stamped)
            return stamped
        if state.terminal is not None:
            raise AnswerEnded(f"The answer {self._key[1]!r} ended as {state.terminal.type!r}.")
        raise Fenced(f"Event {stamped.index} of {self._key[1]!r} was refused.")

    async def append_once(self, event: Event) -> LogState | None:
        """Append an evidence or status event, reading on and trying again when something came in between.

        Nothing is written when the log holds an event of this type already (an earlier delivery wrote it).

        Returns:
            the log before the event, if it had to be read; None when the position was right at once.

        Raises:
            AnswerEnded: a terminal event stands on the log.
        """
        stamped = self._stamp(event)
        if await self._offer(stamped):
            return None
        for _ in range(APPEND_ATTEMPTS):
            state = await self.read()
            if state.terminal is not None:
                raise AnswerEnded(f"The answer {self._key[1]!r} ended as {state.terminal.type!r}.")
            if any(found.type == event.type for found in state.events):
                self.position = state.position
                return state
            self.position = state.position
            stamped = self._stamp(event)
            if await self._offer(stamped):
                return state
        raise DependencyUnavailable(f"Other writers were faster {APPEND_ATTEMPTS} times on {self._subject}.")

    async def read(self) -> LogState:
        return await read_log(self._bus, *self._key, from_sequence=self.position.first_sequence)

    def _stamp(self, event: Event) -> Event:
        self._written += 1
        return event.model_copy(
            update={
                "index": self.position.last_index + 1,
                "id": f"{self._attempt}:{self._written}",
                "at": now_ms(),
            }
        )

    async def _offer(self, event: Event) -> bool:
        """One compare-and-set, repeated while NATS does not answer. False: the log has moved on."""
        headers = {**self._headers, EXPECTED_LAST: str(self.position.last_sequence)}
        last: Exception | None = None
        for attempt in range(APPEND_ATTEMPTS):
            try:
                ack = await self._bus.store(self._subject, encode(event), headers)
            except APIError as error:
                if error.err_code == WRONG_LAST_SEQUENCE:
                    return False
                last = error
            except (NoStreamResponseError, NatsError, TimeoutError, OSError) as error:
                last = error
            else:
                self._advance(ack.seq, event)
                return True
            await asyncio.sleep(RETRY_PAUSE_S * 2**attempt)
        raise DependencyUnavailable(f"NATS did not store an event on {self._subject}: {last!r}.") from last

    def _advance(self, sequence: int, event: Event) -> None:
        self._bus.spans.wrote(event)
        if isinstance(event, Terminal):
            code = event.problem.code if isinstance(event, Failed) else ""
            self._bus.vitals.tell(Ended(self._key[0], event.type, code))
        self.position = LogPosition(
            first_sequence=self.position.first_sequence or sequence,
            last_sequence=sequence,
            last_index=event.index,
        )


@dataclass
class _Pending:
    text: list[str] = field(default_factory=list)
    tokens: int = 0


class DeltaWriter:
    """Publishes text with one flush in flight: what comes meanwhile collects and leaves together.

    After a flush the writer rests for a multiple of the time that the flush took. Idle, that is a few
    milliseconds and each token leaves at once; loaded, messages grow instead of queueing. `refused` is what
    ended the writing: Fenced, AnswerEnded or DependencyUnavailable; `on_refused` is called then.
    """

    def __init__(self, writer: AnswerWriter, *, on_refused: Callable[[], object] | None = None) -> None:
        self._writer = writer
        self._pending = _Pending()
        self._flush: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.refused: AskfleetError | None = None
        self._on_refused = on_refused

    def write(self, text: str, tokens: int = 1) -> None:
        """Queue text; raises `refused`."""
        if self.refused is not None:
            raise self.refused
        self._pending.text.append(text)
        self._pending.tokens += tokens
        if self._flush is None:
            self._flush = asyncio.create_task(self._flush_all())

    async def drain(self) -> None:
        """Wait until all text is stored; raises what a flush raised."""
        self._hurry.set()
        if self._flush is not None:
            await asyncio.shield(self._flush)
        if self.refused is not None:
            raise self.refused

    async def _flush_all(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._pending.text:
                await self._writer.turn()
                taken, self._pending = self._pending, _Pending()
                began = clock()
                await self._writer.append(Delta(text="".join(taken.text), tokens=taken.tokens))
                await self._rest(clock() - began)
        except (Fenced, AnswerEnded, DependencyUnavailable) as error:
            self.refused = error
            if self._on_refused is not None:
                self._on_refused()
        finally:
            self._flush = None

    async def _rest(self, flush_s: float) -> None:
        """A slow flush tells of load, which fewer messages lighten; `drain` ends the rest."""
        try:
            async with asyncio.timeout(min(LONGEST_REST_S, REST_FACTOR * flush_s)):
                await self._hurry.wait()
        except TimeoutError:
            return
