"""What a process can say of its own work, collected where the work is done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Count = Callable[[], int]


class Slots(Protocol):
    """Something that works on several messages at once."""

    @property
    def concurrency(self) -> int: ...

    @property
    def in_work(self) -> int: ...


@dataclass
class Vitals:
    """One for each connection: pull loops enter themselves, and a worker may add counts of its own."""

    _slots: list[Slots] = field(default_factory=list)
    _counts: dict[str, Count] = field(default_factory=dict)

    def watch(self, slots: Slots) -> None:
        self._slots.append(slots)

    def count(self, name: str, now: Count) -> None:
        """`now` is asked each time that somebody wants to know."""
        self._counts[name] = now

    @property
    def concurrency(self) -> int:
        return sum(slots.concurrency for slots in self._slots)

    @property
    def in_work(self) -> int:
        return sum(slots.in_work for slots in self._slots)

    @property
    def counts(self) -> dict[str, int]:
        return {name: now() for name, now in self._counts.items()}
