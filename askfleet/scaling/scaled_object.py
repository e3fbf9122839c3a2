"""A ScaledObject as the rules need it; `manifest` reads it from YAML."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from askfleet.scaling.formula import Formula

DEFAULT_TOLERANCE = 0.1


class PolicyKind(enum.StrEnum):
    PODS = "Pods"
    PERCENT = "Percent"


class Selection(enum.StrEnum):
    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class FallbackBehavior(enum.StrEnum):
    STATIC = "static"
    CURRENT = "currentReplicas"
    CURRENT_IF_HIGHER = "currentReplicasIfHigher"
    CURRENT_IF_LOWER = "currentReplicasIfLower"


@dataclass(frozen=True)
class Policy:
    """At most `value` pods, or percent of the pods, are added or removed within `period_s`."""

    kind: PolicyKind
    value: int
    period_s: int


@dataclass(frozen=True)
class Rules:
    """One direction of the HPA's behaviour.

    Args:
        window_s: the stabilisation window; within it the most cautious recommendation holds.
        tolerance: how far usage may be from the target, as a share of it, before anything is done.
    """

    policies: tuple[Policy, ...]
    window_s: int
    selection: Selection = Selection.MAX
    tolerance: float = DEFAULT_TOLERANCE


@dataclass(frozen=True)
class Behavior:
    up: Rules
    down: Rules


DEFAULT_UP = Rules(
    policies=(Policy(PolicyKind.PODS, 4, 15), Policy(PolicyKind.PERCENT, 100, 15)),
    window_s=0,
)
DEFAULT_DOWN = Rules(policies=(Policy(PolicyKind.PERCENT, 100, 15),), window_s=300)
DEFAULT_BEHAVIOR = Behavior(up=DEFAULT_UP, down=DEFAULT_DOWN)
"""What the API server fills in where a behaviour is given in part (Kubernetes, v2 defaults.go)."""


@dataclass(frozen=True)
class Fallback:
    """What KEDA reports once the metric could not be read more than `failure_threshold` times in a row."""

    failure_threshold: int
    replicas: int
    behavior: FallbackBehavior = FallbackBehavior.STATIC


@dataclass(frozen=True)
class Trigger:
    """One `nats-jetstream` trigger: the lag of one consumer."""

    name: str
    account: str
    stream: str
    consumer: str


@dataclass(frozen=True)
class ScaledObject:
    """Who is scaled, by what, and how fast.

    Args:
        target_value: lag per replica that is aimed at.
        activation: with a lag strictly greater than this it leaves zero.
        idle_replicas: kept while nothing waits, instead of `min_replicas`.
        behavior: None where the manifest gives none: the HPA then doubles at most, or goes to 4.
        cached_metrics: the HPA reads what KEDA polled last, instead of asking NATS at each sync.
    """

    name: str
    target: str
    triggers: tuple[Trigger, ...]
    formula: Formula
    target_value: float
    activation: float = 0.0
    min_replicas: int = 0
    max_replicas: int = 100
    idle_replicas: int | None = None
    polling_interval_s: int = 30
    cooldown_s: int = 300
    initial_cooldown_s: int = 0
    fallback: Fallback | None = None
    behavior: Behavior | None = DEFAULT_BEHAVIOR
    cached_metrics: bool = False

    @property
    def hpa_min_replicas(self) -> int:
        """The HPA never goes to zero: that last step is KEDA's."""
        return max(self.min_replicas, 1)

    def metric(self, lags: Mapping[str, int]) -> float:
        """What the formula makes of the lags by the triggers' names, in thousandths as KEDA keeps it."""
        return int(self.formula.value(lags) * 1000) / 1000
