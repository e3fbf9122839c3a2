"""What is scaled, by what number and why, for the operator's page."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bus.overview import ConsumerView, Overview, StageView
from bus.scaling import ScalingDecision, ScalingReport, ScalingState
from bus.subjects import Lane


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Scaled(_View):
    """One ScaledObject; None where it is not known here."""

    scaled_object: str
    metric: float | None = Field(default=None, description="what waits and what is in work")
    target: float | None = Field(default=None, description="the lag aimed at for each replica")
    desired: int | None = None
    ready: int | None = None
    starting: int = 0
    draining: int = 0
    least: int | None = None
    most: int | None = None
    since: float | None = Field(default=None, description="epoch seconds of the last change of `desired`")
    why: str = ""


class Scaling(_View):
    """`local`: `askfleet up` scales. `elsewhere`: nobody who answers does; in a cluster that is KEDA."""

    decided: Literal["local", "elsewhere"]
    speed: float = 1.0
    scaled: tuple[Scaled, ...] = ()
    decisions: tuple[ScalingDecision, ...] = Field(default=(), description="newest first")


def local_scaling(report: ScalingReport) -> Scaling:
    return Scaling(
        decided="local",
        speed=report.speed,
        scaled=tuple(_of_state(state) for state in report.states),
        decisions=report.decisions,
    )


def _of_state(state: ScalingState) -> Scaled:
    return Scaled(
        scaled_object=state.scaled_object,
        metric=state.metric,
        target=state.target_value,
        desired=state.desired,
        ready=state.ready,
        starting=state.starting,
        draining=state.draining,
        least=state.least,
        most=state.most,
        since=state.since,
        why=state.problem or state.reason,
    )


def scaling_elsewhere(overview: Overview, targets: Mapping[str, float]) -> Scaling:
    """The lag of each queue as KEDA reads it; what KEDA makes of it is not known here.

    Args:
        targets: by ScaledObject, which is named as the consumer of its fresh lane.
    """
    return Scaling(
        decided="elsewhere",
        scaled=tuple(found for stage in overview.stages for found in _of_stage(stage, targets)),
    )


def _of_stage(stage: StageView, targets: Mapping[str, float]) -> Iterable[Scaled]:
    known = {consumer.durable: consumer for consumer in stage.consumers}
    names = [durable for durable, consumer in known.items() if consumer.lane == Lane.FRESH]
    for name in names:
        lanes = [known[name], *(known[bulk] for bulk in (f"{name}-bulk",) if bulk in known)]
        yield Scaled(
            scaled_object=name,
            metric=_lag(lanes),
            target=targets.get(name),
            ready=stage.workers if len(names) == 1 else None,
            why="".join(lane.problem for lane in lanes),
        )


def _lag(lanes: Iterable[ConsumerView]) -> float | None:
    lags = [None if lane.problem else lane.waiting + lane.in_work for lane in lanes]
    return None if None in lags else sum(lag for lag in lags if lag is not None)
