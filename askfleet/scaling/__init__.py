"""How KEDA and the HPA scale a ScaledObject: pure rules, shared by the local stack and the simulator."""

from askfleet.scaling.autoscaler import Autoscaler, Decision
from askfleet.scaling.hpa import SYNC_PERIOD_S, proposed_replicas
from askfleet.scaling.manifest import InvalidScaledObject, read_scaled_object, read_scaled_objects
from askfleet.scaling.scaled_object import (
    Behavior,
    Fallback,
    FallbackBehavior,
    Policy,
    PolicyKind,
    Rules,
    ScaledObject,
    Selection,
    Trigger,
)

__all__ = [
    "SYNC_PERIOD_S",
    "Autoscaler",
    "Behavior",
    "Decision",
    "Fallback",
    "FallbackBehavior",
    "InvalidScaledObject",
    "Policy",
    "PolicyKind",
    "Rules",
    "ScaledObject",
    "Selection",
    "Trigger",
    "proposed_replicas",
    "read_scaled_object",
    "read_scaled_objects",
]
