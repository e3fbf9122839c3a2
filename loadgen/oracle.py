"""The judge of a load run: holds what clients saw, engines did and PostgreSQL ran against the durable log.

`docs/reliability.md` says what is promised; each promise has a name in `loadgen.promises`.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bus.subjects import AnswerKey
from contracts import Delta, Done, Event, decode_event, is_terminal
from loadgen.account import Account, Fault, digest
from loadgen.promises import Line
from loadgen.witness import EngineUse, Outcome, Pause, StatementUse, Witness

STOP_WITHIN_MS = 1_000
"""So long an engine or PostgreSQL may go on after the end of a query."""
START_SLACK_MS = 100
"""A worker looks at the clock, then asks its engine: in between, a deadline may pass."""


@dataclass(frozen=True)
class Terms:
    """`grace_s`: after the deadline, until an answer without an end counts as stuck.
    `settle_s`: after the end, until it is judged: what comes too late is seen by then."""

    grace_s: float = 15.0
    settle_s: float = 3.0


@dataclass(frozen=True)
class Violation:
    key: AnswerKey
    line: Line
    detail: str


@dataclass(frozen=True)
class Evidence:
    """What was found beside the log, by query; `left` names the streams that still hold its messages."""

    engine: Mapping[str, Sequence[EngineUse]] = field(default_factory=dict)
    statements: Mapping[str, Sequence[StatementUse]] = field(default_factory=dict)
    pauses: Sequence[Pause] = ()
    left: Mapping[AnswerKey, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Reading:
    """A witness in few bytes; `faults` is what can be said without the log."""

    outcome: Outcome
    deadline: int
    ids: "array[int]"
    digests: "array[int]"
    whole: bool
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class _Case:
    """One query with all that is known of it."""

    query_id: str
    reading: _Reading
    account: Account | None
    engine: Sequence[EngineUse]
    statements: Sequence[StatementUse]
    pauses: Sequence[Pause]
    left: Sequence[str]

    def faults(self) -> Iterator[Fault]:
        if self.reading.outcome is Outcome.REFUSED:
            yield from _left_something(self)
            return
        yield from self.reading.faults
        if self.account is not None:
            yield from self.account.faults
            yield from _same_as_log(self.reading, self.account)
            yield from _expired(self)
            yield from _cancelled(self, self.account)
        yield from _ended(self)
        yield from _side_by_side(self)


class Judge:
    """`hear` each client once it is done; `close_due` now and then returns the violations of what is due.

    Memory: a few bytes for each event of the answers that are not judged yet, and a key for each that is.
    """

    def __init__(self, terms: Terms | None = None) -> None:
        self._terms = terms or Terms()
        self._open: dict[AnswerKey, _Reading] = {}
        self.judged = 0

    @property
    def waiting(self) -> int:
        """Queries that are not judged yet."""
        return len(self._open)

    @property
    def waiting_for_log(self) -> bool:
        """Some query is not judged that is not a refused one: those are judged at the end of the run."""
        return any(reading.outcome is not Outcome.REFUSED for reading in self._open.values())

    def hear(self, witness: Witness) -> None:
        self._open[witness.key] = _reading(witness)

    def close_due(
        self, accounts: Mapping[AnswerKey, Account], evidence: Evidence, *, now: int, last: bool = False
    ) -> tuple[tuple[AnswerKey, ...], tuple[Violation, ...]]:
        """The keys that are judged now, and what was wrong with them.

        Args:
            now: epoch milliseconds.
            last: the run is over, so that refused queries are judged as well.
        """
        due = tuple(
            key for key, reading in self._open.items() if self._due(reading, accounts.get(key), now, last)
        )
        found: list[Violation] = []
        for key in due:
            case = _case(key, self._open.pop(key), accounts.get(key), evidence)
            found += (Violation(key, fault.line, fault.detail) for fault in case.faults())
        self.judged += len(due)
        return due, tuple(found)

    def _due(self, reading: _Reading, account: Account | None, now: int, last: bool) -> bool:
        if reading.outcome is Outcome.REFUSED:
            return last
        if account is not None and account.terminal_at:
            return now - account.terminal_at > self._terms.settle_s * 1_000
        return now - reading.deadline > self._terms.grace_s * 1_000


def _case(key: AnswerKey, reading: _Reading, account: Account | None, evidence: Evidence) -> _Case:
    return _Case(
        key.query_id,
        reading,
        account,
        evidence.engine.get(key.query_id, ()),
        evidence.statements.get(key.query_id, ()),
        evidence.pauses,
        evidence.left.get(key, ()),
    )


def _reading(witness: Witness) -> _Reading:
    seen = witness.seen
    return _Reading(
        witness.outcome,
        witness.deadline,
        array("q", (event.id for event in seen)),
        array("I", (digest(event.data) for event in seen)),
        witness.whole,
        tuple(faults_of_reader(witness)),
    )


def faults_of_reader(witness: Witness) -> Iterator[Fault]:
    ids = [event.id for event in witness.seen]
    events = [decode_event(event.data) for event in witness.seen]
    yield from _numbering(ids)
    if ids != [event.index for event in events]:
        yield Fault(Line.IDS_RISE, "a reader's ids differ from the indexes of its events")
    if witness.whole and witness.outcome is Outcome.ACCEPTED:
        yield from _ending(events)
    if events and isinstance(events[-1], Done):
        yield from _text(events, events[-1])


def _numbering(ids: Iterable[int]) -> Iterator[Fault]:
    for expected, found in enumerate(ids, start=1):
        if found != expected:
            what = "is repeated or out of order" if found < expected else "comes after a gap"
            yield Fault(Line.IDS_RISE, f"for a reader, id {found} {what} (expected {expected})")
            return


def _ending(events: Sequence[Event]) -> Iterator[Fault]:
    ends = [number for number, event in enumerate(events) if is_terminal(event)]
    if len(ends) != 1:
        yield Fault(Line.ONE_TERMINAL, f"a reader saw {len(ends) or 'no'} terminal events")
    elif ends[0] != len(events) - 1:
        yield Fault(Line.NOTHING_AFTER_TERMINAL, "a reader saw events after the terminal one")


def _text(events: Sequence[Event], done: Done) -> Iterator[Fault]:
    streamed = "".join(event.text for event in events if isinstance(event, Delta))
    if streamed != done.text:
        yield Fault(
            Line.TEXT_IS_DELTAS,
            f"a reader's deltas hold {len(streamed)} characters, `done` {len(done.text)} or others",
        )


def _same_as_log(reading: _Reading, account: Account) -> Iterator[Fault]:
    log = account.digests
    for index, seen in zip(reading.ids, reading.digests, strict=True):
        if not 1 <= index <= len(log) or log[index - 1] != seen:
            yield Fault(Line.RESUME_IS_SAME, f"a reader's event {index} is not the log's event {index}")
            return
    if reading.whole and len(reading.ids) != len(log):
        yield Fault(Line.RESUME_IS_SAME, f"a reader saw {len(reading.ids)} of the log's {len(log)} events")


def _ended(case: _Case) -> Iterator[Fault]:
    if case.account is None:
        if case.reading.outcome is Outcome.ACCEPTED:
            yield Fault(Line.ONE_TERMINAL, "lost: it was accepted, and there is no event on its log")
    elif not case.account.terminal:
        yield Fault(Line.ONE_TERMINAL, f"stuck: no terminal behind event {case.account.last_index}")


def _left_something(case: _Case) -> Iterator[Fault]:
    if case.account is not None:
        yield Fault(Line.REFUSED_LEFT_NOTHING, f"refused, and its log has {case.account.last_index} events")
    if case.left:
        yield Fault(Line.REFUSED_LEFT_NOTHING, f"refused, and a message is in {', '.join(case.left)}")


def _expired(case: _Case) -> Iterator[Fault]:
    deadline = case.reading.deadline
    for use in case.engine:
        late = use.began - deadline
        if late > START_SLACK_MS:
            yield Fault(Line.EXPIRED_SPENT_NOTHING, f"an engine was asked {late} ms after the deadline")
        elif (over := _ran_on(use, deadline, case.pauses)) > STOP_WITHIN_MS:
            yield Fault(Line.EXPIRED_SPENT_NOTHING, f"an engine worked on for {over} ms after the deadline")


def _cancelled(case: _Case, account: Account) -> Iterator[Fault]:
    if account.terminal != "cancelled":
        return
    for use in case.engine:
        if (over := _ran_on(use, account.terminal_at, case.pauses)) > STOP_WITHIN_MS:
            yield Fault(Line.CANCEL_STOPS, f"an engine worked on for {over} ms after the cancel")
    for statement in case.statements:
        over = _counted(max(account.terminal_at, statement.began), statement.seen, 0, case.pauses)
        if over > STOP_WITHIN_MS:
            yield Fault(Line.CANCEL_STOPS, f"PostgreSQL worked on for {over} ms after the cancel")


def _side_by_side(case: _Case) -> Iterator[Fault]:
    """Two requests whose ends are known overlap, and neither was taken over from a stopped process."""
    uses = sorted((use for use in case.engine if use.ended), key=lambda use: use.began)
    for one, next_one in pairwise(uses):
        faulty = any(_concerns(pause, one.pid) and pause.since <= next_one.began for pause in case.pauses)
        if next_one.began < one.ended and not faulty:
            yield Fault(
                Line.WORK_IS_ONCE,
                f"two engine requests ran side by side for {one.ended - next_one.began} ms",
            )


def _ran_on(use: EngineUse, since: int, pauses: Sequence[Pause]) -> int:
    """Milliseconds of work after `since`; 0 where no end is known: a killed process works no more."""
    return _counted(max(since, use.began), use.ended, use.pid, pauses) if use.ended else 0


def _counted(since: int, until: int, pid: int, pauses: Sequence[Pause]) -> int:
    """Milliseconds of a time without the pauses in it, which may overlap each other."""
    left, at = 0, since
    for pause in sorted(pauses, key=lambda pause: pause.since):
        if pid == 0 or _concerns(pause, pid):
            left += max(0, min(pause.since, until) - at)
            at = max(at, pause.until)
    return left + max(0, until - at)


def _concerns(pause: Pause, pid: int) -> bool:
    return pause.pid in (0, pid)


def violations(events: Sequence[Event], *, ids: Sequence[int] | None = None) -> list[str]:
    """What is wrong with one whole answer; empty when nothing is.

    Args:
        ids: the SSE ids that the events came with; by default their own indexes.
    """
    if not events:
        return ["no event at all"]
    stated = list(ids) if ids is not None else [event.index for event in events]
    found = [*_numbering(stated), *_ending(events)]
    if isinstance(events[-1], Done):
        found += _text(events, events[-1])
    if stated != [event.index for event in events]:
        found.append(Fault(Line.IDS_RISE, "the ids of the stream differ from the indexes of its events"))
    return [fault.detail for fault in found]
