"""Whether the memory of each process stays flat over a run: growth against the answers that were given."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from loadgen.faults import BROKER, VECTORS, WORKERS, kind_of
from loadgen.recording import ProcessSample, Recording, Second

WARM_UP = 0.4
"""Share of a run's answers that is left out: caches fill, an ended answer stays in a bridge for 30 s."""
WORKER_BOUND = 0.5
SERVER_BOUNDS = {BROKER: 6.0, VECTORS: 2.0}
"""MiB for 1,000 answers. nats-server keeps an index of each answer for 15 minutes, Milvus touches more of its
caches the longer it serves. PostgreSQL is not judged: its samples count the shared buffers once for each of
its processes, so they follow the number of open connections."""
FEWEST_SAMPLES = 10


@dataclass(frozen=True)
class Growth:
    """Of one process after the warm-up. `bound` None: it is shown, not judged."""

    name: str
    pid: int
    begin_mib: float
    end_mib: float
    mib_per_1000: float
    bound: float | None

    @property
    def flat(self) -> bool:
        return self.bound is None or self.mib_per_1000 <= self.bound

    def __str__(self) -> str:
        bound = "" if self.bound is None else f", at most {self.bound:g} allowed"
        return (
            f"{self.name}: {self.begin_mib:.0f} to {self.end_mib:.0f} MiB, "
            f"{self.mib_per_1000:+.2f} MiB for 1,000 answers{bound}"
        )


def growths(recording: Recording) -> tuple[Growth, ...]:
    """By least squares over the samples after the warm-up; a process with few samples is left out."""
    answers = _Answers(recording.timeline)
    begin = answers.total * WARM_UP
    ordered = sorted(recording.processes, key=attrgetter("name", "pid", "t"))
    found = []
    for (name, pid), group in groupby(ordered, key=lambda sample: (sample.name, sample.pid)):
        samples = [sample for sample in group if begin <= answers.until(sample.t) < answers.total]
        if len(samples) >= FEWEST_SAMPLES:
            found.append(_growth(name, pid, samples, answers))
    return tuple(found)


class _Answers:
    """How many had ended by a time."""

    def __init__(self, timeline: Sequence[Second]) -> None:
        self._ended = [0]
        for second in timeline:
            self._ended.append(self._ended[-1] + second.ended)
        self.total = self._ended[-1]

    def until(self, t: float) -> float:
        second = min(int(t), len(self._ended) - 1)
        following = self._ended[min(second + 1, len(self._ended) - 1)]
        return self._ended[second] + (following - self._ended[second]) * (t - int(t))


def _growth(name: str, pid: int, samples: Sequence[ProcessSample], answers: _Answers) -> Growth:
    xs = [answers.until(sample.t) / 1_000 for sample in samples]
    ys = [sample.rss_mib for sample in samples]
    slope, intercept = _line(xs, ys)
    return Growth(
        name,
        pid,
        begin_mib=intercept + slope * xs[0],
        end_mib=intercept + slope * xs[-1],
        mib_per_1000=slope,
        bound=WORKER_BOUND if kind_of(name) in WORKERS else SERVER_BOUNDS.get(name),
    )


def _line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of the least squares."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if spread == 0:
        return 0.0, mean_y
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    return slope, mean_y - slope * mean_x
