"""Who asks when, and how much there is to write."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MINUTE_S = 60.0
DAY_S = 86_400.0


@dataclass(frozen=True)
class Rates:
    """Questions a second, minute by minute."""

    per_s: Floats

    @property
    def seconds(self) -> float:
        return len(self.per_s) * MINUTE_S

    @property
    def expected(self) -> float:
        """How many questions that is."""
        return float(self.per_s.sum()) * MINUTE_S

    def scaled(self, factor: float) -> "Rates":
        return Rates(self.per_s * factor)

    def shifted(self, hours: float) -> "Rates":
        """The same day so much later, as in another time zone; what runs over the end comes at the start."""
        return Rates(np.roll(self.per_s, round(hours * 60)))

    def times(self, chance: np.random.Generator) -> Floats:
        """A Poisson process of these rates: ascending seconds."""
        counts = chance.poisson(self.per_s * MINUTE_S)
        starts = np.repeat(np.arange(len(counts)) * MINUTE_S, counts)
        return np.sort(starts + chance.random(int(counts.sum())) * MINUTE_S)


def constant(rate: float, minutes: int) -> Rates:
    return Rates(np.full(minutes, rate))


def day(peak: float, *, night_share: float = 0.1, peak_hour: float = 14.0, minutes: int = 1_440) -> Rates:
    """A day of one time zone: a wave that is highest at `peak_hour` and lowest twelve hours later.

    Args:
        night_share: the lowest rate, as a share of the peak.
    """
    hours = np.arange(minutes) / 60.0
    wave = (1 + np.cos((hours - peak_hour) * 2 * math.pi / 24)) / 2
    return Rates(peak * (night_share + (1 - night_share) * wave**2))


def with_spike(rates: Rates, *, at_minute: int, minutes: int, to: float) -> Rates:
    """The same, but `to` questions a second for some minutes."""
    changed = rates.per_s.copy()
    changed[at_minute : at_minute + minutes] = to
    return Rates(changed)


@dataclass(frozen=True)
class Lengths:
    """Tokens of prompts and answers; answers are lognormal with this mean and coefficient of variation.

    No answer is longer than `most_answer_tokens`, which lowers the mean a little.
    """

    prompt_tokens: float = 2_000.0
    answer_tokens: float = 200.0
    answer_variation: float = 0.6
    most_answer_tokens: float = 1_024.0

    def answers(self, count: int, chance: np.random.Generator) -> Floats:
        if self.answer_variation == 0:
            return np.full(count, self.answer_tokens)
        spread = math.log(1 + self.answer_variation**2)
        drawn = chance.lognormal(math.log(self.answer_tokens) - spread / 2, math.sqrt(spread), count)
        return np.clip(drawn, 1.0, self.most_answer_tokens)


@dataclass(frozen=True)
class Demand:
    """One entry a question, in order of arrival; within `seconds`."""

    at_s: Floats
    prompt_tokens: Floats
    answer_tokens: Floats
    seconds: float

    def __len__(self) -> int:
        return len(self.at_s)


def demand(rates: Rates, lengths: Lengths, *, seed: int) -> Demand:
    """The same for the same seed."""
    chance = np.random.default_rng(seed)
    return at_times(rates.times(chance), lengths, seconds=rates.seconds, chance=chance)


def at_times(at_s: Floats, lengths: Lengths, *, seconds: float, chance: np.random.Generator) -> Demand:
    count = len(at_s)
    return Demand(at_s, np.full(count, lengths.prompt_tokens), lengths.answers(count, chance), seconds)


def rates_of(at_s: Floats, seconds: float) -> Rates:
    """Minute by minute, of times that were counted."""
    minutes = max(1, math.ceil(seconds / MINUTE_S))
    counts, _ = np.histogram(at_s, bins=minutes, range=(0, minutes * MINUTE_S))
    return Rates(counts / MINUTE_S)
