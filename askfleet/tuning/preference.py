"""What the reader of a sweep wants: which measure decides, and what every point must keep."""

from dataclasses import dataclass
from enum import StrEnum


class Prefer(StrEnum):
    LATENCY = "latency"
    THROUGHPUT = "throughput"
    QUALITY = "quality"


@dataclass(frozen=True)
class Limits:
    """What a point must keep; None: no limit. `first_ms` holds for 95 % of the answers.

    Without `min_quality` a point must not be surely worse than the best: its quality lies within the 95 %
    interval of the best one's, which so few questions leave open.
    """

    min_quality: float | None = None
    first_ms: float | None = None
    token_ms: float | None = None
    min_answers_per_s: float | None = None
    memory_mib: float | None = None
