"""Reads ScaledObjects from the YAML that ships, and refuses what KEDA or the rules would not take."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from askfleet.scaling.formula import Formula, FormulaError
from askfleet.scaling.scaled_object import (
    DEFAULT_DOWN,
    DEFAULT_TOLERANCE,
    DEFAULT_UP,
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
from contracts.errors import Misconfigured


class InvalidScaledObject(Misconfigured):
    """Names the file, the field and the value."""

    def __init__(self, path: Path, field: str, problem: str) -> None:
        super().__init__(
            f"{path}: {field}: {problem}.",
            remedy="Compare with deploy/keda/base/scaledobjects and the reference of keda.sh/v1alpha1.",
        )


def read_scaled_object(path: Path) -> ScaledObject:
    """Raises InvalidScaledObject."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidScaledObject(path, "file", f"can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidScaledObject(path, "file", f"is no YAML: {error}") from error
    try:
        manifest = _Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "document"
        raise InvalidScaledObject(path, field, f"{first['msg']}, not {_shown(first['input'])}") from error
    return _converted(manifest, path)


def read_scaled_objects(folder: Path) -> tuple[ScaledObject, ...]:
    """All of a folder, by name. Raises InvalidScaledObject, also when there is none."""
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")
    if not paths:
        raise InvalidScaledObject(folder, "folder", "holds no ScaledObject (*.yaml)")
    found: dict[str, ScaledObject] = {}
    for path in paths:
        scaled_object = read_scaled_object(path)
        if scaled_object.name in found:
            raise InvalidScaledObject(path, "metadata.name", f"{scaled_object.name!r} stands there twice")
        found[scaled_object.name] = scaled_object
    return tuple(found.values())


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, gt=0)]


def _text(value: object) -> object:
    """KEDA's metadata are strings; a bare number there is refused by the API server."""
    if not isinstance(value, str):
        raise ValueError("Input should be a string")
    return value


NumberText = Annotated[float, BeforeValidator(_text)]
WholeText = Annotated[int, BeforeValidator(_text)]


def _quantity(value: object) -> object:
    """A Kubernetes quantity as far as a tolerance needs it: 0.05 or 50m."""
    if isinstance(value, str) and value.endswith("m"):
        return int(value[:-1]) / 1000
    return value


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str


class _ScaleTarget(_Part):
    name: str
    kind: Literal["Deployment"] = "Deployment"
    api_version: str = "apps/v1"
    env_source_container_name: str = ""


class _Fallback(_Part):
    failure_threshold: Count
    replicas: Count
    behavior: FallbackBehavior = FallbackBehavior.STATIC


class _Policy(_Part):
    type: PolicyKind
    value: Positive
    period_seconds: Annotated[int, Field(strict=True, gt=0, le=1800)]


class _Rules(_Part):
    policies: tuple[_Policy, ...] = ()
    select_policy: Selection = Selection.MAX
    stabilization_window_seconds: Annotated[int, Field(strict=True, ge=0, le=3600)] | None = None
    tolerance: Annotated[float, BeforeValidator(_quantity), Field(ge=0)] = DEFAULT_TOLERANCE


class _Behavior(_Part):
    scale_up: _Rules = _Rules()
    scale_down: _Rules = _Rules()


class _HpaConfig(_Part):
    name: str = ""
    behavior: _Behavior | None = None


class _Modifiers(_Part):
    formula: str
    target: NumberText
    activation_target: NumberText = 0.0
    metric_type: Literal["AverageValue"] = "AverageValue"


class _Advanced(_Part):
    horizontal_pod_autoscaler_config: _HpaConfig = _HpaConfig()
    scaling_modifiers: _Modifiers | None = None
    restore_to_original_replica_count: bool = False


class _TriggerMetadata(_Part):
    nats_server_monitoring_endpoint: str = ""
    account: str = ""
    account_id: str = Field(default="", alias="accountID")
    stream: str = Field(min_length=1)
    consumer: str = Field(min_length=1)
    lag_threshold: WholeText = 10
    activation_lag_threshold: WholeText = 0
    use_https: str = "false"


class _TriggerEntry(_Part):
    type: Literal["nats-jetstream"]
    name: str = ""
    metric_type: Literal["AverageValue"] = "AverageValue"
    use_cached_metrics: bool = False
    metadata: _TriggerMetadata
    authentication_ref: dict[str, str] = {}


class _Spec(_Part):
    scale_target_ref: _ScaleTarget
    min_replica_count: Count = 0
    max_replica_count: Positive = 100
    idle_replica_count: Count | None = None
    polling_interval: Positive = 30
    cooldown_period: Count = 300
    initial_cooldown_period: Count = 0
    fallback: _Fallback | None = None
    advanced: _Advanced = _Advanced()
    triggers: tuple[_TriggerEntry, ...] = Field(min_length=1)


class _Manifest(_Part):
    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: _Metadata
    spec: _Spec


def _converted(manifest: _Manifest, path: Path) -> ScaledObject:
    spec = manifest.spec
    formula, target_value, activation = _measure(spec, path)
    _check_bounds(spec, path)
    return ScaledObject(
        name=manifest.metadata.name,
        target=spec.scale_target_ref.name,
        triggers=tuple(_trigger(entry) for entry in spec.triggers),
        formula=formula,
        target_value=target_value,
        activation=activation,
        min_replicas=spec.min_replica_count,
        max_replicas=spec.max_replica_count,
        idle_replicas=spec.idle_replica_count,
        polling_interval_s=spec.polling_interval,
        cooldown_s=spec.cooldown_period,
        initial_cooldown_s=spec.initial_cooldown_period,
        fallback=_fallback(spec.fallback),
        behavior=_behavior(spec.advanced.horizontal_pod_autoscaler_config.behavior),
        cached_metrics=all(entry.use_cached_metrics for entry in spec.triggers),
    )


def _check_bounds(spec: _Spec, path: Path) -> None:
    if spec.max_replica_count < spec.min_replica_count:
        raise InvalidScaledObject(
            path,
            "spec.maxReplicaCount",
            f"{spec.max_replica_count} is below {spec.min_replica_count}, the minimum",
        )
    if spec.idle_replica_count is not None and spec.idle_replica_count >= spec.min_replica_count:
        raise InvalidScaledObject(
            path,
            "spec.idleReplicaCount",
            f"{spec.idle_replica_count} is not below {spec.min_replica_count}, the minimum",
        )


def _measure(spec: _Spec, path: Path) -> tuple[Formula, float, float]:
    """The formula, its target and its activation; those of the only trigger where there is no formula."""
    names = [_trigger(entry).name for entry in spec.triggers]
    if len(set(names)) < len(names):
        raise InvalidScaledObject(path, "spec.triggers", f"two triggers have one name: {', '.join(names)}")
    for number, entry in enumerate(spec.triggers):
        if not (entry.metadata.account or entry.metadata.account_id):
            raise InvalidScaledObject(path, f"spec.triggers.{number}.metadata.account", "is missing")
    modifiers = spec.advanced.scaling_modifiers
    field = "spec.advanced.scalingModifiers"
    if modifiers is None:
        if len(names) > 1:
            raise InvalidScaledObject(
                path,
                field,
                f"is missing: of triggers ({', '.join(names)}) the HPA takes the largest, not the sum",
            )
        only = spec.triggers[0].metadata
        target_value, activation = float(only.lag_threshold), float(only.activation_lag_threshold)
        formula = _formula(names[0], path, "spec.triggers.0.name")
        field = "spec.triggers.0.metadata.lagThreshold"
    else:
        formula = _formula(modifiers.formula, path, f"{field}.formula")
        target_value, activation = modifiers.target, modifiers.activation_target
        unknown = sorted(formula.names - set(names))
        if unknown:
            raise InvalidScaledObject(path, f"{field}.formula", f"there is no trigger {unknown[0]!r}")
        field = f"{field}.target"
        if spec.fallback is not None and not target_value.is_integer():
            raise InvalidScaledObject(
                path, field, f"{target_value:g} is no whole number, and KEDA leaves the fallback out"
            )
    if target_value <= 0:
        raise InvalidScaledObject(path, field, f"{target_value:g} is not greater than 0")
    return formula, target_value, activation


def _formula(text: str, path: Path, field: str) -> Formula:
    try:
        return Formula(text)
    except FormulaError as error:
        raise InvalidScaledObject(path, field, str(error)) from error


def _trigger(entry: _TriggerEntry) -> Trigger:
    metadata = entry.metadata
    return Trigger(
        name=entry.name.replace("-", "_") or "lag",
        account=metadata.account or metadata.account_id,
        stream=metadata.stream,
        consumer=metadata.consumer,
    )


def _fallback(given: _Fallback | None) -> Fallback | None:
    if given is None:
        return None
    return Fallback(
        failure_threshold=given.failure_threshold, replicas=given.replicas, behavior=given.behavior
    )


def _behavior(given: _Behavior | None) -> Behavior | None:
    if given is None:
        return None
    return Behavior(up=_rules(given.scale_up, DEFAULT_UP), down=_rules(given.scale_down, DEFAULT_DOWN))


def _rules(given: _Rules, default: Rules) -> Rules:
    window_s = given.stabilization_window_seconds
    return Rules(
        policies=tuple(Policy(policy.type, policy.value, policy.period_seconds) for policy in given.policies)
        or default.policies,
        window_s=default.window_s if window_s is None else window_s,
        selection=given.select_policy,
        tolerance=given.tolerance,
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
