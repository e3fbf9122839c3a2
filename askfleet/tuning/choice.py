"""Which point to take: those within limits, of them the best for what is preferred, and why."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from askfleet.tuning.preference import Limits, Prefer
from askfleet.tuning.results import Figures
from workers.proportions import wilson

NOISE = 0.05
"""Times and rates that are nearer than this share are taken as equal: two runs of one point differ by it."""
_NO_FIGURES = "No point gave figures: correct what each reason names, or raise --seconds, and add --again."
# Keeps the steps of figures below 1 positive: 1.05 to the power of -1,000 is less than any figure.
_STEPS_UP = 1_000


@dataclass(frozen=True)
class Measure:
    """A figure by which points are held against each other; `cost` is what to make small."""

    name: str
    cost: Callable[[Figures], float]
    show: Callable[[Figures], str]
    noise: float = NOISE

    def step(self, figures: Figures) -> float:
        """The cost in steps as wide as the noise, so that what differs by chance is mostly alike."""
        cost = self.cost(figures)
        if not self.noise or cost == 0 or math.isinf(cost):
            return cost
        return math.copysign(1, cost) * (_STEPS_UP + round(math.log(abs(cost)) / math.log1p(self.noise)))


def _missing_is_worst(value: float | None) -> float:
    return math.inf if value is None else value


QUALITY = Measure("quality", lambda f: -f.quality, lambda f: f"{f.right} of {f.questions} right", noise=0.0)
FIRST = Measure(
    "first token", lambda f: _missing_is_worst(f.first_ms), lambda f: f"{ms(f.first_ms)} to the first token"
)
TOKEN = Measure(
    "token interval", lambda f: _missing_is_worst(f.token_ms), lambda f: f"{ms(f.token_ms)} a token"
)
THROUGHPUT = Measure("throughput", lambda f: -f.answers_per_s, lambda f: f"{f.answers_per_s:.2f} answers/s")
MEMORY = Measure("memory", lambda f: f.memory_mib, lambda f: f"{f.memory_mib:,.0f} MiB")
MEASURES = (QUALITY, FIRST, TOKEN, THROUGHPUT, MEMORY)

_ORDER = {
    Prefer.LATENCY: (FIRST, TOKEN, QUALITY, THROUGHPUT, MEMORY),
    Prefer.THROUGHPUT: (THROUGHPUT, FIRST, QUALITY, MEMORY, TOKEN),
    Prefer.QUALITY: (QUALITY, FIRST, TOKEN, THROUGHPUT, MEMORY),
}


@dataclass(frozen=True)
class Candidate:
    label: str
    figures: Figures


@dataclass(frozen=True)
class Recommendation:
    """`chosen` is the place among the candidates, None where none keeps the limits."""

    chosen: int | None
    reasons: tuple[str, ...]


def ms(value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{value / 1e3:.2f} s" if value >= 1_000 else f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"
    )


def front(candidates: Sequence[Candidate]) -> list[int]:
    """Places of those that no other one beats: at least as good in every measure, and better in one.

    Compared are steps of noise, not figures: otherwise a point that is worse by all but a hair would stay.
    """
    costs = [tuple(measure.step(candidate.figures) for measure in MEASURES) for candidate in candidates]
    return [place for place, own in enumerate(costs) if not any(_dominates(other, own) for other in costs)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def recommend(candidates: Sequence[Candidate], prefer: Prefer, limits: Limits) -> Recommendation:
    """Of the points within the limits the best in the first measure of the preference.

    What is as good within noise goes on to the next measure.
    """
    if not candidates:
        return Recommendation(None, (_NO_FIGURES,))
    floor = _floor(candidates, limits)
    broken = [_broken(candidate.figures, limits, floor) for candidate in candidates]
    within = [place for place, missed in enumerate(broken) if not missed]
    reasons = [_floor_said(floor, candidates, limits)]
    reasons += [
        f"{candidates[place].label}: out, {', '.join(missed)}."
        for place, missed in enumerate(broken)
        if missed
    ]
    if not within:
        return Recommendation(None, (*reasons, "No point keeps every limit; loosen one or sweep further."))
    left, decided = within, []
    for measure in _ORDER[prefer]:
        kept = _as_good_as_best(left, candidates, measure)
        if len(kept) < len(left):
            decided.append(_decision(measure, kept, left, candidates))
        left = kept
    chosen = min(left, key=lambda place: _ORDER[prefer][0].cost(candidates[place].figures))
    last = [] if len(left) == 1 else [f"{len(left)} points are alike within {NOISE:.0%} in every measure."]
    return Recommendation(chosen, (*reasons, *decided, *last))


def _floor(candidates: Sequence[Candidate], limits: Limits) -> float:
    if limits.min_quality is not None:
        return limits.min_quality
    best = max((candidate.figures for candidate in candidates), key=lambda figures: figures.quality)
    return max(0.0, wilson(best.right, best.questions)[0])


def _floor_said(floor: float, candidates: Sequence[Candidate], limits: Limits) -> str:
    if limits.min_quality is not None:
        return f"Quality must reach {floor:.2f}, as stated."
    best = max((candidate.figures for candidate in candidates), key=lambda figures: figures.quality)
    return (
        f"Quality must reach {floor:.2f}: with {best.questions} questions a point above that can't be told "
        f"from the best, {best.right} right."
    )


def _broken(figures: Figures, limits: Limits, floor: float) -> list[str]:
    checks = (
        (figures.quality < floor, f"quality {figures.quality:.2f} below {floor:.2f}"),
        (_over(figures.slow_first_ms, limits.first_ms), f"first token up to {ms(figures.slow_first_ms)}"),
        (_over(figures.token_ms, limits.token_ms), f"{ms(figures.token_ms)} a token"),
        (
            figures.answers_per_s < (limits.min_answers_per_s or 0),
            f"{figures.answers_per_s:.2f} answers/s",
        ),
        (_over(figures.memory_mib, limits.memory_mib), f"{figures.memory_mib:,.0f} MiB"),
    )
    return [said for missed, said in checks if missed]


def _over(value: float | None, limit: float | None) -> bool:
    return limit is not None and _missing_is_worst(value) > limit


def _as_good_as_best(places: Sequence[int], candidates: Sequence[Candidate], measure: Measure) -> list[int]:
    costs = {place: measure.cost(candidates[place].figures) for place in places}
    best = min(costs.values())
    return [
        place for place, cost in costs.items() if cost <= best + abs(best) * measure.noise or cost == best
    ]


def _decision(
    measure: Measure, kept: Sequence[int], left: Sequence[int], candidates: Sequence[Candidate]
) -> str:
    best = min(kept, key=lambda place: measure.cost(candidates[place].figures))
    behind = min(set(left) - set(kept), key=lambda place: measure.cost(candidates[place].figures))
    return (
        f"{measure.name.capitalize()} decides between {len(left)} points: "
        f"{measure.show(candidates[best].figures)}; "
        f"next is {candidates[behind].label} with {measure.show(candidates[behind].figures)}."
    )
