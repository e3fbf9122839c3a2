"""A recorded run of `askfleet up`, predicted: arrivals and work as recorded, all else simulated."""

from dataclasses import asdict, dataclass, replace
from statistics import median

import numpy as np

from askfleet.scaling import ScaledObject
from askfleet.scaling.record import Look, Replica, Timeline
from askfleet.simulation.demand import Demand, Floats
from askfleet.simulation.following import Clock, follow
from askfleet.simulation.nodes import Provisioning
from askfleet.simulation.outcome import Outcome, Waits
from askfleet.simulation.policy import by_queue
from askfleet.simulation.service import Service
from askfleet.simulation.site import Site
from contracts.errors import Misconfigured

LIMIT = 0.15
Steps = list[tuple[float, int]]
"""From each time on so many replicas."""


@dataclass(frozen=True)
class Pair:
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """As a share of what was measured."""
        return abs(self.predicted - self.measured) / self.measured if self.measured else self.predicted


@dataclass(frozen=True)
class Comparison:
    """Times on the record's clock.

    Args:
        replica_s: ready replicas times the time that they were.
        path_error: the area between the measured and the predicted number of ready replicas, as a share of
            the area below the measured one.
    """

    questions: int
    cold_start_s: float
    wait_p50_s: Pair
    wait_p95_s: Pair
    most_ready: Pair
    replica_s: Pair
    path_error: float
    measured_path: Steps
    predicted_path: Steps

    def keeps(self, limit: float = LIMIT) -> bool:
        return self.wait_p95_s.error <= limit and self.path_error <= limit

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def compare(timeline: Timeline, scaled_object: ScaledObject) -> Comparison:
    """Raises Misconfigured where the record lacks what a prediction begins with.

    Taken from the record: when questions came and how long each took in its replica, the range of replicas,
    the simulated delays, the median time in which a process started, and when KEDA looked first. Predicted:
    what was decided, when replicas were ready, and who waited how long.
    """
    looks = [look for look in timeline.looks if look.scaled_object == scaled_object.name]
    if not looks or not timeline.questions or not timeline.run.concurrency:
        missing = "look" if not looks else "question" if not timeline.questions else "known concurrency"
        raise Misconfigured(
            f"The record holds no {missing} of {scaled_object.name}.",
            remedy="Record a run with `python -m askfleet.spike --record FILE`.",
        )
    cold_start_s = _cold_start_s(timeline, scaled_object.name)
    outcome = _predicted(timeline, scaled_object, looks[0], cold_start_s)
    measured = Waits(
        np.array([question.wait for question in timeline.questions]), np.ones(len(timeline.questions))
    )
    real = _measured_path(timeline, scaled_object.name)
    told = [(change.t, change.ready) for change in outcome.path]
    end_s = max(looks[-1].t, told[-1][0])
    return Comparison(
        questions=len(measured),
        cold_start_s=cold_start_s,
        wait_p50_s=Pair(measured.quantile(0.5), outcome.waits.quantile(0.5)),
        wait_p95_s=Pair(measured.quantile(0.95), outcome.waits.quantile(0.95)),
        most_ready=Pair(max(count for _, count in real), max(count for _, count in told)),
        replica_s=Pair(_area(real, [], end_s), _area(told, [], end_s)),
        path_error=_area(real, told, end_s) / max(1e-9, _area(real, [], end_s)),
        measured_path=_changes(real),
        predicted_path=_changes(told),
    )


def _predicted(timeline: Timeline, scaled_object: ScaledObject, first: Look, cold_start_s: float) -> Outcome:
    run, name = timeline.run, scaled_object.name
    bounded = replace(
        scaled_object,
        min_replicas=run.min_replicas.get(name, scaled_object.min_replicas),
        max_replicas=run.max_replicas.get(name, scaled_object.max_replicas),
    )
    service = Service(
        slots=run.concurrency, kv_tokens=0, first_token_s=0, prompt_token_s=0, alone_s=1, full_s=1
    )
    site = Site(name, by_queue(bounded), service, Provisioning(node_s=0, model_s=cold_start_s, keep_node_s=0))
    questions = timeline.questions
    demand = Demand(
        np.array([question.t for question in questions]),
        np.zeros(len(questions)),
        np.array([question.service for question in questions]),
        seconds=timeline.looks[-1].t,
    )
    return follow([site], [demand], clock=Clock(first_poll_s=first.t))[0]


def _cold_start_s(timeline: Timeline, name: str) -> float:
    """The simulated delays, and the median of what real processes took to be ready."""
    took = process_starts_s(timeline, name)
    return timeline.run.node_s + timeline.run.model_s + (median(took) if took else 0.0)


def process_starts_s(timeline: Timeline, name: str) -> list[float]:
    """From the start of each real process until it was ready."""
    began: dict[str, float] = {}
    took: list[float] = []
    for line in _states(timeline, name):
        if line.state == "process":
            began[line.name] = line.t
        elif line.state == "ready" and line.name in began:
            took.append(line.t - began.pop(line.name))
    return took


def _measured_path(timeline: Timeline, name: str) -> Steps:
    ready = timeline.run.min_replicas.get(name, 0)
    serving: set[str] = set()
    path = [(0.0, ready)]
    for line in _states(timeline, name):
        if line.state == "ready":
            serving.add(line.name)
            ready += 1
        elif line.state == "draining" and (line.name in serving or ready > len(serving)):
            serving.discard(line.name)
            ready -= 1
        path.append((line.t, ready))
    return path


def _states(timeline: Timeline, name: str) -> list[Replica]:
    return [line for line in timeline.replicas if line.scaled_object == name]


def _area(path: Steps, other: Steps, end_s: float) -> float:
    """Between two paths, to `end_s`."""
    times = np.unique([0.0, end_s, *(t for t, _ in [*path, *other] if t < end_s)])
    gap = np.abs(_at(path, times[:-1]) - _at(other, times[:-1]))
    return float((gap * np.diff(times)).sum())


def _at(path: Steps, times: Floats) -> Floats:
    if not path:
        return np.zeros(len(times))
    places = np.searchsorted([t for t, _ in path], times, side="right") - 1
    counts = np.array([count for _, count in path], dtype=np.float64)
    return np.where(places >= 0, counts[np.maximum(0, places)], 0.0)


def _changes(path: Steps) -> Steps:
    kept: Steps = []
    for t, count in path:
        if not kept or kept[-1][1] != count:
            kept.append((round(t, 1), count))
    return kept
