"""Probabilities that mean what they say.

Platt's sigmoid on the log-odds of each class (J. Platt, "Probabilistic outputs for support vector machines",
1999), one against the rest, then scaled to sum to one. Fitted on predictions for rows that the forest has not
seen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_EDGE = 1e-3
_MIN_SLOPE = 0.05


@dataclass(frozen=True)
class Calibration:
    """`slope` is positive, so that more of a class's raw share never means less of its odds."""

    slope: Floats
    offset: Floats

    @classmethod
    def identity(cls, classes: int) -> "Calibration":
        return cls(np.ones(classes), np.zeros(classes))

    @classmethod
    def fit(cls, raw: Floats, labels: npt.NDArray[np.int64]) -> "Calibration":
        """Args: raw, one row of class shares for each label; labels, class numbers."""
        from sklearn.linear_model import LogisticRegression

        slope, offset = np.ones(raw.shape[1]), np.zeros(raw.shape[1])
        for position in range(raw.shape[1]):
            target = (labels == position).astype(int)
            if 0 < target.sum() < len(target):
                fitted = LogisticRegression(C=10.0).fit(_logit(raw[:, [position]]), target)
                slope[position] = max(_MIN_SLOPE, float(fitted.coef_[0, 0]))
                offset[position] = float(fitted.intercept_[0])
        return cls(slope, offset)

    def apply(self, raw: Floats) -> Floats:
        """Calibrated shares of one row or of many."""
        odds = 1.0 / (1.0 + np.exp(-(self.slope * _logit(raw) + self.offset)))
        return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def _logit(raw: Floats) -> Floats:
    inside = np.clip(raw, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(inside / (1.0 - inside)))
