"""What a process can say of its own work, collected where the work is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Count = Callable[[], int]


class Slots(Protocol):
    """Something that works on several messages at once."""

    @property
    def concurrency(self) -> int: ...

    @property
    def in_work(self) -> int: ...


class Outcome(StrEnum):
    """How one delivery of a message ended."""

    DONE = "done"
    OBSOLETE = "obsolete"
    """The answer had ended before; nothing was left to do."""
    FENCED = "fenced"
    RETRIED = "retried"
    EXPIRED = "expired"
    BURIED = "buried"
    HANDED_BACK = "handed_back"
    LEFT = "left"
    """NATS did not take our word: the message comes again after `ack_wait`."""


@dataclass(frozen=True)
class Settled:
    """One delivery. `waited_s` is since the message was stored, `worked_s` since it came to this worker."""

    stage: str
    outcome: Outcome
    attempt: int
    waited_s: float
    worked_s: float


@dataclass(frozen=True)
class Ended:
    """One terminal event that this process wrote. `code` is that of the problem of a failed answer."""

    tenant: str
    type: str
    code: str = ""


@dataclass(frozen=True)
class Written:
    """One answer that a worker wrote to its end. Times are since its question was accepted."""

    tenant: str
    route: str
    first_text_s: float
    whole_s: float


@dataclass(frozen=True)
class Generated:
    """One request to an engine that was not cut off.

    `token_s` is the mean time from one token to the next, 0 where there was only one.
    """

    model: str
    first_token_s: float
    token_s: float
    whole_s: float
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class TurnedAway:
    """A question that was refused at the door, with the code of the problem that its client was told."""

    code: str


@dataclass(frozen=True)
class Started:
    """One phase of the start of this process and its engine took so long."""

    phase: str
    seconds: float


@dataclass(frozen=True)
class Broken:
    """What this process can't work without is gone for good; the process ends, so that a new one starts."""

    reason: str


Event = Settled | Ended | Written | Generated | TurnedAway | Started | Broken

Observer = Callable[[Event], None]
"""Told of each event as it happens, in the loop: it must be quick and not raise."""


@dataclass
class Tally:
    """Counts what happens, from the start of the process on."""

    number: int = 0

    def add(self) -> None:
        self.number += 1


@dataclass
class Vitals:
    """One for each connection: pull loops enter themselves, and a worker may add counts of its own."""

    observers: list[Observer] = field(default_factory=list)
    http_port: int = 0
    """Where the process serves its probes and metrics; 0 until it does."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    _slots: list[Slots] = field(default_factory=list)
    _counts: dict[str, Count] = field(default_factory=dict)
    _helping: dict[str, Slots] = field(default_factory=dict)

    def watch(self, slots: Slots) -> None:
        self._slots.append(slots)

    def count(self, name: str, now: Count) -> None:
        """`now` is asked each time that somebody wants to know."""
        self._counts[name] = now

    @contextmanager
    def helps(self, cluster: str, slots: Slots) -> Iterator[None]:
        """While it is open, slots of this process work for a neighbouring cluster."""
        self._helping[cluster] = slots
        try:
            yield
        finally:
            del self._helping[cluster]

    def tally(self, name: str) -> Tally:
        """A count of events under that name, which the worker itself raises."""
        return self.tallies.setdefault(name, Tally())

    def tell(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)

    @property
    def concurrency(self) -> int:
        return sum(slots.concurrency for slots in self._slots)

    @property
    def in_work(self) -> int:
        return sum(slots.in_work for slots in self._slots)

    @property
    def helping(self) -> dict[str, int]:
        """By neighbouring cluster: how many of its messages are in work here."""
        return {cluster: slots.in_work for cluster, slots in self._helping.items()}

    @property
    def counts(self) -> dict[str, int]:
        return {name: now() for name, now in self._counts.items()}
