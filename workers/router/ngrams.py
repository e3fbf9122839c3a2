"""Linear scores by class from hashed word and letter groups: what the forest can't see in single flags."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.router.features import CHAR_BUCKETS, SKELETON_BUCKETS, WORD_BUCKETS, hashed

Floats = npt.NDArray[np.float64]
SKELETON_START = WORD_BUCKETS + CHAR_BUCKETS
BUCKETS = SKELETON_START + SKELETON_BUCKETS
Counted = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Buckets and what stands in them, as `features.hashed` gives it."""
_STARTS = np.array([WORD_BUCKETS, SKELETON_START])


def weighted(counted: Counted, rarity: npt.NDArray[np.float32]) -> Counted:
    """Buckets and weights; words, letters and skeleton each have length one, so that none drowns another."""
    buckets, counts = counted
    values = counts * rarity[buckets]
    blocks = np.searchsorted(_STARTS, buckets, side="right")
    lengths = np.sqrt(np.bincount(blocks, np.square(values), minlength=len(_STARTS) + 1))
    values /= lengths[blocks]
    return buckets, values


@dataclass(frozen=True)
class NgramScorer:
    """Log-odds by class, from all groups and then from the skeleton alone.

    `weights` is (BUCKETS, 2 x classes), `rarity` the inverse document frequencies.
    """

    rarity: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]

    def scores(self, found: Sequence[str]) -> Floats:
        return self.scores_of(hashed(found))

    def scores_of(self, counted: Counted) -> Floats:
        buckets, values = weighted(counted, self.rarity)
        return np.asarray(values @ self.weights[buckets] + self.offset, dtype=np.float64)
