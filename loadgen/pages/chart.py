"""What a plot shows, before anything is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Unit(Enum):
    """What the vertical axis counts; the value is its label."""

    MILLISECONDS = "time"
    SECONDS = "age"
    PER_SECOND = "per second"
    COUNT = "count"
    MEBIBYTES = "memory (MiB)"
    CORES = "CPU (cores)"


@dataclass(frozen=True)
class Line:
    """`colour` and `style` count up from 0; a NaN in `y` breaks the line."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    style: int = 0

    @property
    def values(self) -> list[float]:
        return [value for value in self.y if math.isfinite(value)]


@dataclass(frozen=True)
class Mark:
    """A fault on the time line, in seconds; `colour` is that of its kind."""

    t: float
    until: float
    colour: int
    kind: str
    target: str


@dataclass(frozen=True)
class Chart:
    """`key` names the chart in links and files. Without `over_time` the horizontal axis is a share in
    "nines": the logarithm of 1 / (1 - share)."""

    key: str
    title: str
    unit: Unit
    lines: Sequence[Line]
    seconds: float = 0.0
    marks: Sequence[Mark] = ()
    over_time: bool = True
    note: str = ""

    @property
    def empty(self) -> bool:
        return not any(line.values for line in self.lines)

    @property
    def logarithmic(self) -> bool:
        """Times that span more than a factor of thirty would be flat lines on a linear axis."""
        if self.unit is not Unit.MILLISECONDS:
            return False
        positive = [value for line in self.lines for value in line.values if value > 0]
        return bool(positive) and max(positive) > 30 * min(positive)
