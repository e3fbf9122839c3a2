"""What the log says about one answer, kept while it goes on: a few hundred bytes, whatever its length."""

import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from bus.subjects import AnswerKey
from contracts import Accepted, Delta, Done, Event, Route, Routed, is_terminal
from loadgen.promises import Line

MOST_FAULTS = 5
"""Of one answer: the first ones tell, the rest follow from them."""
NEEDED: dict[Route, frozenset[str]] = {
    Route.DOCUMENTS: frozenset(["evidence"]),
    Route.SQL: frozenset(["rows"]),
    Route.BOTH: frozenset(["evidence", "rows"]),
    Route.DIRECT: frozenset(),
}


@dataclass(frozen=True)
class Fault:
    line: Line
    detail: str


def digest(data: bytes) -> int:
    """By this a reader's copy of an event is held against the log's."""
    return zlib.crc32(data)


@dataclass
class Account:
    """Times in epoch milliseconds, as the events state them; 0: not yet."""

    key: AnswerKey
    deadline: int = 0
    accepted_at: int = 0
    routed_at: int = 0
    first_delta_at: int = 0
    terminal_at: int = 0
    terminal: str = ""
    route: Route | None = None
    last_index: int = 0
    characters: int = 0
    digests: "array[int]" = field(default_factory=lambda: array("I"))
    attempts: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    _kinds: set[str] = field(default_factory=set)
    _text: "blake2b" = field(default_factory=lambda: blake2b(digest_size=16))

    def add(self, event: Event, data: bytes) -> None:
        """The next event of the log, in the order of the stream."""
        for fault in self._judge(event):
            if len(self.faults) < MOST_FAULTS:
                self.faults.append(fault)
        self.last_index = event.index
        self.digests.append(digest(data))
        self.attempts.add(event.id.partition(":")[0])
        self._note(event)

    def _judge(self, event: Event) -> Iterator[Fault]:
        name = f"event {event.index} ({event.type})"
        if event.index != self.last_index + 1:
            yield Fault(Line.IDS_RISE, f"{name} follows event {self.last_index} on the log")
        if self.terminal and is_terminal(event):
            yield Fault(Line.ONE_TERMINAL, f"{name} is a second terminal; the first was {self.terminal!r}")
        elif self.terminal:
            yield Fault(Line.NOTHING_AFTER_TERMINAL, f"{name} follows {self.terminal!r}")
        if event.type in self._kinds and event.type in ("accepted", "routed", "evidence", "rows"):
            yield Fault(Line.EFFECTS_ONCE, f"{name} is the second of its kind")
        if isinstance(event, Delta | Done):
            yield from self._missing_evidence(name)
        if isinstance(event, Done) and not self._same_text(event.text):
            yield Fault(
                Line.TEXT_IS_DELTAS,
                f"the deltas hold {self.characters} characters, `done` {len(event.text)} or others",
            )

    def _missing_evidence(self, name: str) -> Iterator[Fault]:
        missing = sorted(NEEDED[self.route] - self._kinds) if self.route is not None else []
        if missing and "delta" not in self._kinds:
            yield Fault(Line.EVIDENCE_FIRST, f"{name} came before {' and '.join(missing)}")

    def _same_text(self, text: str) -> bool:
        return blake2b(text.encode(), digest_size=16).digest() == self._text.digest()

    def _note(self, event: Event) -> None:
        self._kinds.add(event.type)
        if isinstance(event, Delta):
            self.first_delta_at = self.first_delta_at or event.at
            self.characters += len(event.text)
            self._text.update(event.text.encode())
        elif isinstance(event, Accepted):
            self.accepted_at, self.deadline = event.at, event.deadline
        elif isinstance(event, Routed):
            self.routed_at, self.route = event.at, event.route
        elif is_terminal(event) and not self.terminal:
            self.terminal, self.terminal_at = event.type, event.at
