"""What another model would have decided beside the one in use, compared and never acted on."""

from collections import Counter, deque
from dataclasses import dataclass

from contracts.query import Route
from workers.proportions import wilson

KEPT = 200
"""Differences that are remembered with their question; older ones are only counted."""
_NEEDS_EVIDENCE = (Route.DOCUMENTS, Route.SQL)


@dataclass(frozen=True)
class Pair:
    """One question and both decisions on it; confidences lie in 0..1."""

    tenant: str
    question: str
    live: Route
    shadow: Route
    live_confidence: float
    shadow_confidence: float


@dataclass(frozen=True)
class Judged:
    """How often each gathered the evidence that readers say was needed; `both` gathers either."""

    labels: int = 0
    live: int = 0
    shadow: int = 0

    def __add__(self, other: "Judged") -> "Judged":
        return Judged(self.labels + other.labels, self.live + other.live, self.shadow + other.shadow)


def judge(label: Route, *, live: Route, shadow: Route) -> Judged:
    return Judged(1, int(_gathers(live, label)), int(_gathers(shadow, label)))


def _gathers(route: Route, label: Route) -> bool:
    return route is label or (route is Route.BOTH and label in _NEEDS_EVIDENCE)


class Comparison:
    """Counts by pair of routes, and the last differences: as small after a million questions as after ten."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._counts: Counter[tuple[Route, Route]] = Counter()
        self._differences: deque[Pair] = deque(maxlen=kept)
        self.missed = 0
        self.judged = Judged()

    def add(self, pair: Pair) -> None:
        self._counts[pair.live, pair.shadow] += 1
        if pair.live is not pair.shadow:
            self._differences.append(pair)

    @property
    def questions(self) -> int:
        return self._counts.total()

    @property
    def agreement(self) -> float:
        """Share of the questions with the same route; 1 when there were none."""
        same = sum(count for (live, shadow), count in self._counts.items() if live is shadow)
        return same / self.questions if self.questions else 1.0

    @property
    def differences(self) -> tuple[Pair, ...]:
        return tuple(self._differences)

    def summary(self) -> dict[str, object]:
        """As JSON: shares are of 0..1, intervals at 95 %."""
        judged = self.judged
        return {
            "questions": self.questions,
            "missed": self.missed,
            "agreement": round(self.agreement, 4),
            "routes": [
                {"live": live.value, "shadow": shadow.value, "questions": count}
                for (live, shadow), count in self._counts.most_common()
            ],
            "feedback": {
                "labels": judged.labels,
                "live": _share(judged.live, judged.labels),
                "shadow": _share(judged.shadow, judged.labels),
            },
        }


def _share(hits: int, total: int) -> dict[str, float] | None:
    if not total:
        return None
    low, high = wilson(hits, total)
    return {"accuracy": round(hits / total, 4), "low": round(low, 4), "high": round(high, 4)}
