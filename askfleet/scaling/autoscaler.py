"""KEDA and its HPA together, stepped by whoever has a clock: the local stack or the simulator."""

import math
from dataclasses import dataclass, replace

from askfleet.scaling.hpa import SYNC_PERIOD_S, Hpa, Recommendation
from askfleet.scaling.keda import Activation, MetricFallback
from askfleet.scaling.scaled_object import ScaledObject


@dataclass(frozen=True)
class Decision:
    """What should run from now on.

    Args:
        metric: what KEDA polled last; None when it could not be read.
        since_s: when `desired` got its value, on the caller's clock.
    """

    desired: int
    reason: str
    metric: float | None
    since_s: float = 0.0


class Autoscaler:
    """One ScaledObject at work: no clock, no I/O, no randomness.

    `step` does what is due at that moment: a poll of KEDA's each `polling_interval_s`, the first at the first
    step, and a sync of the HPA's each 15 s, the first after `sync_offset_s` (in a cluster the two beats are
    unrelated; half a period is the mean). Between two such moments nothing changes; `next_s` says when the
    next one is, `reads_at` whether the lag of that step will be looked at.
    """

    def __init__(self, scaled_object: ScaledObject, *, sync_offset_s: float = SYNC_PERIOD_S / 2) -> None:
        self.scaled_object = scaled_object
        self._sync_offset_s = sync_offset_s
        self._activation = Activation(scaled_object)
        self._fallback = MetricFallback(scaled_object)
        self._hpa = Hpa(scaled_object)
        self._next_poll_s = -math.inf
        self._next_sync_s = math.inf
        self._metric: float | None = None
        self._decision: Decision | None = None

    @property
    def next_s(self) -> float:
        """When the next step has something to do; minus infinity before the first."""
        return min(self._next_poll_s, self._next_sync_s)

    def reads_at(self, now_s: float) -> bool:
        if now_s >= self._next_poll_s:
            return True
        return not self.scaled_object.cached_metrics and now_s >= self._next_sync_s

    def step(self, now_s: float, lag: float | None, replicas: int) -> Decision:
        """What should run, given what runs.

        Args:
            lag: what the formula makes of all triggers now; None when it can't be read.
            replicas: `spec.replicas`, the count last asked for, whether or not all are ready.
        """
        if self._decision is None:
            self._next_sync_s = now_s + self._sync_offset_s
        desired, reason = replicas, ""
        if now_s >= self._next_poll_s:
            self._next_poll_s = _following(self._next_poll_s, now_s, self.scaled_object.polling_interval_s)
            self._metric = lag
            polled = self._activation.poll(now_s, lag, replicas)
            desired, reason = polled.replicas, polled.reason
        if now_s >= self._next_sync_s and desired == replicas:
            self._next_sync_s = _following(self._next_sync_s, now_s, SYNC_PERIOD_S)
            synced = self._sync(now_s, lag, replicas)
            if replicas:
                desired, reason = synced.replicas, synced.reason
        return self._decided(now_s, desired, reason)

    def _sync(self, now_s: float, lag: float | None, replicas: int) -> Recommendation:
        """At zero the HPA does not ask for the metric, so a failed read is not counted there."""
        metric = self._metric if self.scaled_object.cached_metrics else lag
        usage = self._fallback.usage(metric, replicas) if replicas else None
        return self._hpa.sync(now_s, usage, replicas)

    def _decided(self, now_s: float, desired: int, reason: str) -> Decision:
        before = self._decision
        if before is None or before.desired != desired:
            self._decision = Decision(desired, reason, self._metric, since_s=now_s)
        else:
            self._decision = replace(before, reason=reason or before.reason, metric=self._metric)
        return self._decision


def _following(due_s: float, now_s: float, period_s: float) -> float:
    """The next moment of a regular beat; beats that were slept through are not made up for."""
    if due_s == -math.inf:
        return now_s + period_s
    return due_s + period_s * (math.floor((now_s - due_s) / period_s) + 1)
