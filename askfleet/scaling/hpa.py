"""The HPA's part: from 1 to N and back to 1.

Read in Kubernetes' pkg/controller/podautoscaler: replica_calculator.go (GetExternalPerPodMetricReplicas,
tolerances) and horizontal.go (reconcileAutoscaler, stabilizeRecommendationWithBehaviors,
convertDesiredReplicasWithBehaviorRate, calculateScaleUpLimitWithScalingRules and its opposite).
"""

import math
from dataclasses import dataclass

from askfleet.scaling.scaled_object import (
    DEFAULT_DOWN,
    DEFAULT_TOLERANCE,
    Behavior,
    Policy,
    PolicyKind,
    Rules,
    ScaledObject,
    Selection,
)

SYNC_PERIOD_S = 15.0
PLAIN_LIMIT_FACTOR = 2
PLAIN_LIMIT_LEAST = 4


def proposed_replicas(usage: float, *, target: float, replicas: int, behavior: Behavior | None = None) -> int:
    """The recommendation for an external metric of type AverageValue, before windows, policies and bounds.

    Args:
        usage: of all replicas together.
        replicas: `status.replicas`; whether they are ready plays no part.
    """
    if replicas > 0:
        ratio = usage / (target * replicas)
        up = behavior.up.tolerance if behavior else DEFAULT_TOLERANCE
        down = behavior.down.tolerance if behavior else DEFAULT_TOLERANCE
        if 1.0 - down <= ratio <= 1.0 + up:
            return replicas
    return math.ceil(usage / target)


@dataclass(frozen=True)
class _Moment:
    """A recommendation, or a change of the count, with its time."""

    at_s: float
    count: int


@dataclass(frozen=True)
class Recommendation:
    replicas: int
    reason: str


class Hpa:
    """The memory of one HPA: what it recommended, and what it changed."""

    def __init__(self, scaled_object: ScaledObject) -> None:
        self._object = scaled_object
        self._recommended: list[_Moment] = []
        self._added: list[_Moment] = []
        self._removed: list[_Moment] = []

    def sync(self, now_s: float, usage: float | None, replicas: int) -> Recommendation:
        """What to set `spec.replicas` to; `usage` is None when the metric can't be read."""
        if not self._recommended:
            self._recommended.append(_Moment(now_s, replicas))
        chosen = self._choice(now_s, usage, replicas)
        self._note_change(now_s, replicas, chosen.replicas)
        return chosen

    def _choice(self, now_s: float, usage: float | None, replicas: int) -> Recommendation:
        least, most = self._object.hpa_min_replicas, self._object.max_replicas
        if replicas == 0:
            return Recommendation(0, "nothing runs: only KEDA leaves zero")
        if replicas > most:
            return Recommendation(most, f"{replicas} replicas are above the maximum of {most}")
        if replicas < least:
            return Recommendation(least, f"{replicas} replicas are below the minimum of {least}")
        if usage is None:
            return Recommendation(replicas, "the metric can't be read: kept")
        proposed = proposed_replicas(
            usage, target=self._object.target_value, replicas=replicas, behavior=self._object.behavior
        )
        stable = self._stabilised(now_s, proposed, replicas)
        allowed = self._limited(now_s, stable, replicas)
        return Recommendation(allowed, self._reason(usage, replicas, proposed, (stable, allowed)))

    def _stabilised(self, now_s: float, proposed: int, replicas: int) -> int:
        behavior = self._object.behavior
        up_s = behavior.up.window_s if behavior else 0
        down_s = behavior.down.window_s if behavior else DEFAULT_DOWN.window_s
        lowest = min([proposed, *_within(self._recommended, now_s, up_s)])
        highest = max([proposed, *_within(self._recommended, now_s, down_s)])
        # With a behaviour the source keeps what is after the cutoff, without one what is not before it.
        if behavior is None:
            highest = max([highest, *(m.count for m in self._recommended if m.at_s == now_s - down_s)])
        self._recommended = [m for m in self._recommended if m.at_s > now_s - max(up_s, down_s)]
        self._recommended.append(_Moment(now_s, proposed))
        if behavior is None:
            return highest
        return min(max(replicas, lowest), highest)

    def _limited(self, now_s: float, wanted: int, replicas: int) -> int:
        if wanted > replicas:
            limit = max(replicas, self._limit_up(now_s, replicas))
            return min(wanted, limit, self._object.max_replicas)
        if wanted < replicas:
            limit = min(replicas, self._limit_down(now_s, replicas))
            return max(wanted, limit, self._object.hpa_min_replicas)
        return wanted

    def _limit_up(self, now_s: float, replicas: int) -> int:
        behavior = self._object.behavior
        if behavior is None:
            return max(PLAIN_LIMIT_FACTOR * replicas, PLAIN_LIMIT_LEAST)
        if behavior.up.selection is Selection.DISABLED:
            return replicas
        limits = [
            _raised(policy, self._at_period_start(now_s, policy, replicas)) for policy in behavior.up.policies
        ]
        return min(limits) if behavior.up.selection is Selection.MIN else max(limits)

    def _limit_down(self, now_s: float, replicas: int) -> int:
        behavior = self._object.behavior
        if behavior is None:
            return 0
        if behavior.down.selection is Selection.DISABLED:
            return replicas
        limits = [
            _lowered(policy, self._at_period_start(now_s, policy, replicas))
            for policy in behavior.down.policies
        ]
        return max(limits) if behavior.down.selection is Selection.MIN else min(limits)

    def _at_period_start(self, now_s: float, policy: Policy, replicas: int) -> int:
        """The count when the policy's period began; KEDA's changes do not count, in the source too."""
        added = sum(_within(self._added, now_s, policy.period_s))
        removed = sum(_within(self._removed, now_s, policy.period_s))
        return replicas - added + removed

    def _note_change(self, now_s: float, before: int, after: int) -> None:
        behavior = self._object.behavior
        if behavior is None or before == after:
            return
        longest_s = max(_longest_s(behavior.up), _longest_s(behavior.down))
        self._added = [m for m in self._added if m.at_s > now_s - longest_s]
        self._removed = [m for m in self._removed if m.at_s > now_s - longest_s]
        if after > before:
            self._added.append(_Moment(now_s, after - before))
        else:
            self._removed.append(_Moment(now_s, before - after))

    def _reason(self, usage: float, replicas: int, proposed: int, steps: tuple[int, int]) -> str:
        stable, allowed = steps
        target = self._object.target_value
        if proposed == replicas and stable == replicas:
            return f"{usage:g} is within tolerance of {replicas} x {target:g}"
        text = f"ceil({usage:g} / {target:g}) = {proposed}"
        if stable != proposed:
            text += f", {stable} by the stabilisation window"
        if allowed != stable:
            text += f", {allowed} by {self._bound(allowed)}"
        return text

    def _bound(self, allowed: int) -> str:
        if allowed == self._object.max_replicas:
            return "the maximum"
        if allowed == self._object.hpa_min_replicas:
            return "the minimum"
        return "the policy"


def _within(moments: list[_Moment], now_s: float, period_s: float) -> list[int]:
    """Strictly younger than the period, as the source's `timestamp.After(cutoff)`."""
    return [moment.count for moment in moments if moment.at_s > now_s - period_s]


def _raised(policy: Policy, start: int) -> int:
    if policy.kind is PolicyKind.PODS:
        return start + policy.value
    return math.ceil(start * (1 + policy.value / 100))


def _lowered(policy: Policy, start: int) -> int:
    if policy.kind is PolicyKind.PODS:
        return start - policy.value
    return int(start * (1 - policy.value / 100))


def _longest_s(rules: Rules) -> int:
    return max((policy.period_s for policy in rules.policies), default=0)
