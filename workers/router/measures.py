"""How good predictions are, on examples that the model has not seen."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from contracts.query import Route
from workers.proportions import wilson
from workers.router.decision import choose
from workers.router.model import CLASSES

Floats = npt.NDArray[np.float64]
_BINS = 10


@dataclass(frozen=True)
class Report:
    """`accuracy` takes the likeliest class; `effective` counts `both` as right where evidence is needed.

    `low` and `high` bound the accuracy at 95 % (E. B. Wilson's interval, 1927); `calibration_error` is the
    mean gap between stated and observed share of hits, over ten bins of confidence.
    """

    examples: int
    accuracy: float
    low: float
    high: float
    both_share: float
    effective: float
    calibration_error: float
    by_source: dict[str, float] = field(default_factory=dict)

    def summary(self, prefix: str) -> dict[str, float]:
        names = ("accuracy", "low", "high", "both_share", "effective", "calibration_error", "examples")
        return {f"{prefix}_{name}": float(getattr(self, name)) for name in names}


def measure(
    shares: Floats, labels: npt.NDArray[np.int64], threshold: float, sources: Sequence[str] = ()
) -> Report:
    """Args: shares, calibrated probabilities of `CLASSES`, a row for each label."""
    hits = shares.argmax(axis=1) == labels
    routes = [choose(dict(zip(CLASSES, row, strict=True)), threshold) for row in shares.tolist()]
    effective = [
        route == CLASSES[label] or (route is Route.BOTH and CLASSES[label] != Route.DIRECT)
        for route, label in zip(routes, labels.tolist(), strict=True)
    ]
    by_source: dict[str, list[bool]] = defaultdict(list)
    for source, hit in zip(sources, hits.tolist(), strict=False):
        by_source[source].append(hit)
    low, high = wilson(int(hits.sum()), len(hits))
    return Report(
        examples=len(hits),
        accuracy=float(hits.mean()),
        low=low,
        high=high,
        both_share=routes.count(Route.BOTH) / len(routes),
        effective=sum(effective) / len(effective),
        calibration_error=_calibration_error(shares.max(axis=1), hits),
        by_source={source: sum(found) / len(found) for source, found in by_source.items()},
    )


def _calibration_error(stated: Floats, hits: npt.NDArray[np.bool_]) -> float:
    bins = np.minimum((stated * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(float(stated[bins == b].mean() - hits[bins == b].mean())) * int((bins == b).sum())
        for b in range(_BINS)
        if (bins == b).any()
    ]
    return sum(gaps) / len(stated)
