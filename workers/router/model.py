"""The trained router: text first, then text and catalogue together."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workers.router.calibration import Calibration
from workers.router.evidence import Evidence
from workers.router.features import form
from workers.router.forest import Forest
from workers.router.ngrams import NgramScorer

Floats = npt.NDArray[np.float64]
CLASSES: tuple[str, ...] = ("documents", "sql", "direct")


@dataclass(frozen=True)
class Stage:
    """A forest with its calibration; below `threshold` the class is in doubt."""

    forest: Forest
    calibration: Calibration
    threshold: float

    def probabilities(self, row: npt.ArrayLike) -> Floats:
        return self.calibration.apply(self.forest.probabilities(row))


@dataclass(frozen=True)
class RouterModel:
    """`created` is epoch milliseconds; `fingerprint` that of the catalogues that it was trained for."""

    version: str
    ngrams: NgramScorer
    text: Stage
    grounded: Stage
    fingerprint: str = ""
    created: int = 0
    metrics: dict[str, float] = field(default_factory=dict)

    def by_text(self, words: tuple[str, ...]) -> Floats:
        """Probabilities of `CLASSES` from the text alone."""
        return self.text.probabilities(text_row(words, self.ngrams.scores(words)))

    def by_catalogue(self, evidence: Evidence) -> Floats:
        """Probabilities of `CLASSES` from the text and what is connected."""
        return self.grounded.probabilities(grounded_row(evidence, self.by_text(evidence.words)))


def text_row(words: tuple[str, ...], scores: Floats) -> list[float]:
    return [*form(words), *scores.tolist()]


def grounded_row(evidence: Evidence, text_probabilities: Floats) -> list[float]:
    return [*evidence.numbers, *text_probabilities.tolist()]
