"""Arrivals by name or from a file."""

import enum
from dataclasses import dataclass
from pathlib import Path

from askfleet.simulation.comparison import Load
from askfleet.simulation.demand import Lengths, Rates, constant, day, with_spike
from askfleet.simulation.trace_file import read_trace

SPIKE_FACTOR = 3.0
SPIKE_MINUTES = 15
SPIKE_PLACE = 20 / 24
"""Of the time, in the evening, when a day has few replicas left."""


class Shape(enum.StrEnum):
    DAY = "day"
    CONSTANT = "constant"
    SPIKE = "spike"


@dataclass(frozen=True)
class Made:
    """`peak`: questions a second; the spike is three times as high, for a quarter of an hour, at 20:00."""

    shape: Shape
    peak: float
    hours: float

    def rates(self) -> Rates:
        minutes = max(1, round(self.hours * 60))
        if self.shape is Shape.CONSTANT:
            return constant(self.peak, minutes)
        rates = day(self.peak, minutes=minutes)
        if self.shape is Shape.DAY:
            return rates
        at = round(minutes * SPIKE_PLACE)
        return with_spike(
            rates, at_minute=at, minutes=SPIKE_MINUTES, to=SPIKE_FACTOR * float(rates.per_s[at])
        )


def load_of(file: Path | None, made: Made, lengths: Lengths, *, seed: int) -> Load:
    """The file's arrivals where there is one. Raises BadTrace."""
    if file is None:
        return Load(made.rates(), lengths, seed)
    trace = read_trace(file)
    return Load(trace.rates, lengths, seed, at_s=trace.at_s)
