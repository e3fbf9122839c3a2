"""What a process can say of its own work, collected where the work is done."""

from collections.abc import Callable
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


class Observer(Protocol):
    """Told of each event as it happens, in the loop: it must be quick and not raise."""

    def settled(self, settled: Settled) -> None: ...

    def ended(self, ended: Ended) -> None: ...


@dataclass
class Vitals:
    """One for each connection: pull loops enter themselves, and a worker may add counts of its own."""

    observers: list[Observer] = field(default_factory=list)
    _slots: list[Slots] = field(default_factory=list)
    _counts: dict[str, Count] = field(default_factory=dict)

    def watch(self, slots: Slots) -> None:
        self._slots.append(slots)

    def count(self, name: str, now: Count) -> None:
        """`now` is asked each time that somebody wants to know."""
        self._counts[name] = now

    def settled(self, settled: Settled) -> None:
        for observer in self.observers:
            observer.settled(settled)

    def ended(self, ended: Ended) -> None:
        for observer in self.observers:
            observer.ended(ended)

    @property
    def concurrency(self) -> int:
        return sum(slots.concurrency for slots in self._slots)

    @property
    def in_work(self) -> int:
        return sum(slots.in_work for slots in self._slots)

    @property
    def counts(self) -> dict[str, int]:
        return {name: now() for name, now in self._counts.items()}
