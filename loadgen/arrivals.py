"""When queries are due in an open loop: seconds since the start, whatever becomes of those before.

A schedule is a unit process (even, or exponential gaps) carried over to real time by the inverse of the
cumulative rate: so one profile serves for constant rates, ramps and spikes (Cinlar's method for Poisson
processes whose rate changes).
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadgen.scenario import Closed, Constant, Poisson, Ramp, Replay, Scenario, Spike

Profile = Constant | Poisson | Ramp | Spike


@dataclass(frozen=True)
class Stretch:
    """For `seconds` the rate goes evenly from `begin` to `end`, in queries a second."""

    seconds: float
    begin: float
    end: float

    @property
    def queries(self) -> float:
        return self.seconds * (self.begin + self.end) / 2

    def when(self, queries: float) -> float:
        """Seconds into the stretch after which that many were due."""
        slope = (self.end - self.begin) / self.seconds
        root = math.sqrt(max(0.0, self.begin**2 + 2 * slope * queries))
        # The larger root of the quadratic in the form that also holds for a slope of 0.
        return 2 * queries / (self.begin + root) if queries > 0 else 0.0


def stretches(arrivals: Profile, seconds: float) -> tuple[Stretch, ...]:
    match arrivals:
        case Constant(rate=rate) | Poisson(rate=rate):
            return (Stretch(seconds, rate, rate),)
        case Ramp(rate=rate, to=to):
            return (Stretch(seconds, rate, to),)
        case Spike(rate=rate, to=to):
            begin = min(arrivals.at_s, seconds)
            until = min(begin + arrivals.for_s, seconds)
            parts = ((begin, rate), (until - begin, to), (seconds - until, rate))
            return tuple(Stretch(length, each, each) for length, each in parts if length > 0)


def rate_at(arrivals: Profile, seconds: float, t: float) -> float:
    """Queries a second that are wanted at `t`."""
    for stretch in stretches(arrivals, seconds):
        if t < stretch.seconds:
            return stretch.begin + (stretch.end - stretch.begin) * t / stretch.seconds
        t -= stretch.seconds
    return 0.0


def due_times(arrivals: Profile, seconds: float, chance: random.Random) -> Iterator[float]:
    """Ascending, all below `seconds`; the same for the same state of `chance`."""
    return _carried(stretches(arrivals, seconds), _units(arrivals, chance))


def _units(arrivals: Profile, chance: random.Random) -> Iterator[float]:
    even = isinstance(arrivals, Constant) or (isinstance(arrivals, Ramp | Spike) and arrivals.even)
    at = 0.0 if even else chance.expovariate(1.0)
    while True:
        yield at
        at += 1.0 if even else chance.expovariate(1.0)


def _carried(parts: Sequence[Stretch], units: Iterator[float]) -> Iterator[float]:
    unit = next(units)
    began_at = passed = 0.0
    for part in parts:
        while unit < passed + part.queries:
            yield began_at + part.when(unit - passed)
            unit = next(units)
        began_at += part.seconds
        passed += part.queries


def wanted_rate(scenario: Scenario, t: float) -> float:
    """0 where no rate is wanted: clients that ask one after the other, and traces."""
    if isinstance(scenario.arrivals, Closed | Replay):
        return 0.0
    return rate_at(scenario.arrivals, scenario.seconds, t)
