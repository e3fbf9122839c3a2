"""The times behind a recorded latency: any percentile, how sure it is, and the curve over all of them."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hdrh.codec import HdrCookieException, HdrHistogramSettingsException, HdrLengthException
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from contracts.errors import Misconfigured
from loadgen.recording import Latency

CURVE_POINTS_PER_NINE = 16
UNREADABLE = (HdrCookieException, HdrHistogramSettingsException, HdrLengthException, zlib.error, ValueError)


@dataclass(frozen=True)
class Distribution:
    """Ascending times in milliseconds, and how many times took at most so long."""

    times_ms: NDArray[np.float64]
    sums: NDArray[np.int64]

    @classmethod
    def of(cls, latency: Latency) -> "Distribution":
        """Raises Misconfigured when the histogram can't be read."""
        if not latency.histogram:
            return cls(np.empty(0), np.empty(0, np.int64))
        histogram = _decoded(latency.histogram)
        counts = np.ctypeslib.as_array(histogram.counts)
        used = np.flatnonzero(counts)
        values = (histogram.get_value_from_index(index) for index in used.tolist())
        times = [histogram.get_highest_equivalent_value(value) / 1e3 for value in values]
        return cls(np.array(times), np.cumsum(counts[used], dtype=np.int64))

    @property
    def count(self) -> int:
        return int(self.sums[-1]) if len(self.sums) else 0

    def at(self, share: float) -> float:
        """The time that `share` (0 to 1) of all took at most; 0 where there are none."""
        return self._ranked(math.ceil(share * self.count))

    def interval(self, share: float, *, deviations: float, counted_as_one: int = 1) -> tuple[float, float]:
        """Between which times the percentile lies, from order statistics, which hold for any distribution.

        The rank of a percentile of n independent times varies by sqrt(n p (1 - p)). `counted_as_one` times
        in a row are taken for one, since those that meet the same queue are slow together.
        """
        spread = deviations * math.sqrt(counted_as_one * self.count * share * (1 - share))
        middle = share * self.count
        return self._ranked(math.floor(middle - spread)), self._ranked(math.ceil(middle + spread) + 1)

    def _ranked(self, rank: int) -> float:
        if not self.count:
            return 0.0
        inside = min(max(rank, 1), self.count)
        return float(self.times_ms[np.searchsorted(self.sums, inside)])

    def curve(self) -> tuple[Sequence[float], Sequence[float]]:
        """Logarithms of 1 / (1 - share), evenly spaced up to the last time but none, and the times there."""
        if not self.count:
            return (), ()
        furthest = math.log10(max(self.count, 2))
        points = max(2, round(furthest * CURVE_POINTS_PER_NINE))
        nines = [furthest * number / points for number in range(points + 1)]
        return nines, [self.at(1 - 10**-nine) for nine in nines]


def _decoded(histogram: str) -> HdrHistogram:
    try:
        return HdrHistogram.decode(histogram)
    except UNREADABLE as error:
        raise Misconfigured(
            f"a histogram of the record can't be read: {error!r}",
            remedy="Name a file that `askfleet load run --json FILE` wrote.",
        ) from error
