"""Slots of one worker, divided between the work of its own cluster and that of neighbours."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bus.consume import Source
from bus.vitals import Slots


@dataclass
class SharedSlots:
    """Its own cluster goes first: neighbours get slots that are free, up to a share in equal parts.

    Requests that are open at a neighbour reserve nothing here: when work of both comes at once, more than
    `total` are in hand until some end, by the neighbours' share at most.

    Args:
        total: slots of the worker.
        share: of these, what the work of all neighbours may take at most.
        neighbours: how many there are.
    """

    total: int
    share: float
    neighbours: int
    home: Slots | None = None
    guests: list[Slots] = field(default_factory=list)

    @property
    def of_a_neighbour(self) -> int:
        return max(1, int(self.total * self.share / self.neighbours))

    def at_home(self, source: Source) -> Source:
        return replace(source, beside=lambda _: self._in_work)

    def away(self, source: Source, *, priority: int) -> Source:
        """`priority`: our place among those who help that neighbour, from 1."""
        return replace(
            source, concurrency=self.of_a_neighbour, priority=priority, beside=self._beside_guest()
        )

    def _beside_guest(self) -> Callable[[int], int]:
        def beside(own: int) -> int:
            others = (self.home.in_work if self.home else self.total) + self._in_work - own
            return max(0, others - (self.total - self.of_a_neighbour))

        return beside

    @property
    def _in_work(self) -> int:
        return sum(guest.in_work for guest in self.guests)
