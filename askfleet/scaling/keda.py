"""KEDA's own part: from 0 to 1, and from anything to 0 after the cooldown.

Read in KEDA's pkg/scaling/executor/scale_scaledobjects.go (RequestScale, scaleToZeroOrIdle,
scaleFromZeroOrIdle), pkg/scaling/scale_handler.go (activity with a formula) and pkg/fallback/fallback.go;
docs/scaling.md says in which versions.
"""

from askfleet.scaling.hpa import Recommendation
from askfleet.scaling.scaled_object import Fallback, FallbackBehavior, ScaledObject


class Activation:
    """Remembers when something waited last. Its ScaledObject counts as created at the first poll."""

    def __init__(self, scaled_object: ScaledObject) -> None:
        self._object = scaled_object
        self._created_s: float | None = None
        self._last_active_s: float | None = None

    def poll(self, now_s: float, metric: float | None, replicas: int) -> Recommendation:
        """What KEDA itself sets; `metric` is None when it can't be read."""
        if self._created_s is None:
            self._created_s = now_s
        if metric is not None and metric > self._object.activation:
            return self._active(now_s, metric, replicas)
        if metric is None and self._waits_on_error():
            return Recommendation(replicas, "the metric can't be read: KEDA waits")
        return self._inactive(now_s, replicas)

    def _waits_on_error(self) -> bool:
        """With `fallback.replicas: 0` an error counts as no work, and zero is reached after the cooldown."""
        fallback = self._object.fallback
        return fallback is None or fallback.replicas != 0

    def _active(self, now_s: float, metric: float, replicas: int) -> Recommendation:
        self._last_active_s = now_s
        below_idle = self._object.idle_replicas is not None and replicas < self._object.min_replicas
        if replicas == 0 or below_idle:
            return Recommendation(
                max(self._object.min_replicas, 1), f"{metric:g} > {self._object.activation:g}: KEDA activates"
            )
        return Recommendation(replicas, f"{metric:g} > {self._object.activation:g}: active")

    def _inactive(self, now_s: float, replicas: int) -> Recommendation:
        least, idle = self._object.min_replicas, self._object.idle_replicas
        resting = least if idle is None else idle
        if (idle is not None and replicas > idle) or (replicas > 0 and least == 0):
            return self._rest(now_s, replicas, resting)
        if idle is None and replicas < least:
            return Recommendation(least, f"KEDA restores the minimum of {least}")
        return Recommendation(replicas, "nothing waits")

    def _rest(self, now_s: float, replicas: int, resting: int) -> Recommendation:
        left_s = self._cooldown_left_s(now_s)
        if left_s >= 0:
            return Recommendation(replicas, f"nothing waits: KEDA cools down, {left_s:.0f} s left")
        return Recommendation(resting, f"nothing waited for the cooldown: KEDA goes to {resting}")

    def _cooldown_left_s(self, now_s: float) -> float:
        """Negative once it has passed: the source asks whether its end lies strictly *before* now."""
        if self._last_active_s is not None:
            return self._last_active_s + self._object.cooldown_s - now_s
        created_s = now_s if self._created_s is None else self._created_s
        return created_s + self._object.initial_cooldown_s - now_s


class MetricFallback:
    """Counts reads that failed in a row, one per sync of the HPA's, and says what stands in for them."""

    def __init__(self, scaled_object: ScaledObject) -> None:
        self._object = scaled_object
        self._failures = 0

    def usage(self, metric: float | None, replicas: int) -> float | None:
        fallback = self._object.fallback
        if metric is not None:
            self._failures = 0
            return metric
        self._failures += 1
        if fallback is None or self._failures <= fallback.failure_threshold:
            return None
        return self._object.target_value * stand_in(fallback, replicas)


def stand_in(fallback: Fallback, replicas: int) -> int:
    """For how many replicas the reported metric stands while it can't be read."""
    match fallback.behavior:
        case FallbackBehavior.STATIC:
            return fallback.replicas
        case FallbackBehavior.CURRENT:
            return replicas
        case FallbackBehavior.CURRENT_IF_HIGHER:
            return max(replicas, fallback.replicas)
        case FallbackBehavior.CURRENT_IF_LOWER:
            return min(replicas, fallback.replicas)
