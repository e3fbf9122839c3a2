"""What a simulated run cost and delivered."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from askfleet.simulation.demand import Floats


@dataclass(frozen=True)
class Change:
    """From `t` on. `waiting` and `in_work` are of that moment."""

    t: float
    desired: int
    ready: int
    waiting: float
    in_work: float
    gpus: int


@dataclass(frozen=True)
class Waits:
    """Seconds in the queue, each with how many questions had it (1 where every question was followed)."""

    seconds: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.seconds)

    def quantile(self, share: float) -> float:
        """The wait that this share of the questions does not exceed; 0 without any."""
        if not len(self.seconds):
            return 0.0
        order = np.argsort(self.seconds)
        cumulative = np.cumsum(self.weights[order])
        place = int(np.searchsorted(cumulative, share * cumulative[-1] * (1 - 1e-12)))
        return float(self.seconds[order][min(place, len(order) - 1)])

    @property
    def questions(self) -> float:
        return float(self.weights.sum())

    @property
    def mean(self) -> float:
        return float(np.average(self.seconds, weights=self.weights)) if self.questions else 0.0

    def share_above(self, seconds: float) -> float:
        return float(self.weights[self.seconds > seconds].sum() / self.questions) if self.questions else 0.0


@dataclass(frozen=True)
class Outcome:
    """One cluster, or one policy on one.

    Args:
        waits: of questions asked here, from arrival in the queue to the start of their answer.
        unbegun: questions that still waited when the simulation was broken off; they count with that wait.
        gpu_hours: of the time of the arrivals, not of what was written afterwards.
        cold_starts: replicas that were asked for after the start.
        spilled: questions asked here and answered by a neighbour.
        mean_in_queue: questions waiting, mean over the time of the arrivals.
    """

    name: str
    waits: Waits
    unbegun: float
    gpu_hours: float
    cold_starts: int
    most_ready: int
    spilled: float
    mean_in_queue: float
    path: tuple[Change, ...]
    answer_s: float = 0.0

    def figures(self, deadline_s: float) -> "Figures":
        return Figures(
            name=self.name,
            questions=round(self.waits.questions),
            gpu_hours=round(self.gpu_hours, 2),
            wait_p50_s=round(self.waits.quantile(0.5), 3),
            wait_p95_s=round(self.waits.quantile(0.95), 3),
            wait_p99_s=round(self.waits.quantile(0.99), 3),
            longest_wait_s=round(self.waits.quantile(1.0), 3),
            over_deadline=round(self.waits.share_above(deadline_s), 5),
            answer_s=round(self.answer_s, 3),
            cold_starts=self.cold_starts,
            most_ready=self.most_ready,
            spilled=round(self.spilled),
        )


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """A fleet as one, without its path; `most_ready` is the sum of what each had at most."""
    waits = Waits(
        np.concatenate([each.waits.seconds for each in outcomes]),
        np.concatenate([each.waits.weights for each in outcomes]),
    )
    written = sum(each.answer_s * each.waits.questions for each in outcomes)
    return Outcome(
        name="all",
        waits=waits,
        unbegun=sum(each.unbegun for each in outcomes),
        gpu_hours=sum(each.gpu_hours for each in outcomes),
        cold_starts=sum(each.cold_starts for each in outcomes),
        most_ready=sum(each.most_ready for each in outcomes),
        spilled=sum(each.spilled for each in outcomes),
        mean_in_queue=sum(each.mean_in_queue for each in outcomes),
        path=(),
        answer_s=written / max(1.0, waits.questions),
    )


@dataclass(frozen=True)
class Figures:
    """Rounded, for tables and JSON. `over_deadline` is a share; `answer_s` the mean from start to end."""

    name: str
    questions: int
    gpu_hours: float
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    longest_wait_s: float
    over_deadline: float
    answer_s: float
    cold_starts: int
    most_ready: int
    spilled: int

    def as_dict(self) -> dict[str, object]:
        return asdict(self)
