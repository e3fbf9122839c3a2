"""How the number of replicas is decided: by the queue, by CPU, or once and for all."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from askfleet.scaling import ScaledObject
from askfleet.scaling.scaled_object import DEFAULT_BEHAVIOR
from askfleet.simulation.demand import Rates
from askfleet.simulation.service import Service

METRICS_PERIOD_S = 15
"""metrics-server's resolution, which the HPA sees for CPU."""


class Signal(enum.StrEnum):
    QUEUE = "queue"
    CPU = "cpu"
    NONE = "none"


@dataclass(frozen=True)
class Cpu:
    """What a GPU worker's CPUs do: stated, not measured.

    vLLM's engine core runs one thread round and round as long as it has anything to write, for one answer as
    for sixty-four; each answer adds a little (detokenising, publishing). So utilisation says that there is
    work and hardly how much, and nothing of the queue, which waits outside the pod.

    Args:
        idle_cores: of a replica without work.
        busy_cores: with any work.
        answer_cores: for each answer in the batch.
        requested_cores: of the pod (`resources.requests.cpu`): utilisation is a share of them.
    """

    idle_cores: float = 0.05
    busy_cores: float = 1.1
    answer_cores: float = 0.004
    requested_cores: float = 4.0

    def percent(self, batch: float) -> float:
        """Of the request, for a replica with so many answers in its batch."""
        cores = self.busy_cores + self.answer_cores * batch if batch > 0 else self.idle_cores
        return 100.0 * cores / self.requested_cores


@dataclass(frozen=True)
class Policy:
    """A way to scale one cluster's generation.

    Args:
        scaled_object: None where the number is fixed.
        start: replicas that are ready when the arrivals begin.
        warm_nodes: kept without a replica.
    """

    name: str
    signal: Signal
    scaled_object: ScaledObject | None
    start: int
    cpu: Cpu = Cpu()
    warm_nodes: int = 0


def by_queue(
    scaled_object: ScaledObject, *, name: str = "", start: int | None = None, warm_nodes: int = 0
) -> Policy:
    least = scaled_object.min_replicas
    return Policy(
        name or named(scaled_object, warm_nodes),
        Signal.QUEUE,
        scaled_object,
        least if start is None else start,
        warm_nodes=warm_nodes,
    )


def by_queues(scaled_object: ScaledObject, targets: Sequence[int], windows_s: Sequence[int]) -> list[Policy]:
    """As it is; with one warm replica where it has none; and so with each other target and window."""
    warm = replace(scaled_object, min_replicas=max(1, scaled_object.min_replicas))
    own_s = down_window_s(scaled_object)
    others = [
        with_window(replace(warm, target_value=float(target)), window_s)
        for target in targets or (warm.target_value,)
        for window_s in windows_s or (own_s,)
    ]
    return [by_queue(each) for each in dict.fromkeys((scaled_object, warm, *others))]


def with_window(scaled_object: ScaledObject, window_s: int) -> ScaledObject:
    """With that stabilisation window of scale-in."""
    behavior = scaled_object.behavior or DEFAULT_BEHAVIOR
    return replace(scaled_object, behavior=replace(behavior, down=replace(behavior.down, window_s=window_s)))


def down_window_s(scaled_object: ScaledObject) -> int:
    """The stabilisation window of scale-in."""
    return (scaled_object.behavior or DEFAULT_BEHAVIOR).down.window_s


def named(scaled_object: ScaledObject, warm_nodes: int = 0) -> str:
    target, least = scaled_object.target_value, scaled_object.min_replicas
    text = f"queue, target {target:g}, at least {least}, window {down_window_s(scaled_object)} s"
    return f"{text}, warm nodes {warm_nodes}" if warm_nodes else text


def by_cpu(scaled_object: ScaledObject, percent: int, *, cpu: Cpu | None = None) -> Policy:
    """An HPA of CPU utilisation with the behaviour and maximum of the ScaledObject. It can't go to zero.

    The HPA's formula for utilisation, ceil(mean / target x replicas), is that for an AverageValue of the sum
    of all pods' percents, which pods without metrics leave as it is: so the same rules serve.
    """
    least = max(1, scaled_object.min_replicas)
    like = replace(
        scaled_object,
        target_value=float(percent),
        min_replicas=least,
        activation=0.0,
        polling_interval_s=METRICS_PERIOD_S,
        cached_metrics=True,
    )
    return Policy(f"CPU, {percent} %", Signal.CPU, like, least, cpu=cpu or Cpu())


def static(replicas: int) -> Policy:
    return Policy(f"static, {replicas}", Signal.NONE, None, replicas)


def enough_for(rates: Rates, service: Service, tokens: tuple[float, float], *, load: float = 0.8) -> int:
    """Replicas that the busiest minute keeps busy to that share; `tokens` of a prompt and of an answer."""
    need = float(rates.per_s.max()) / (service.per_s(*tokens) * load)
    return max(1, -int(-need // 1))
