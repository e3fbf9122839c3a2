"""ScaledObjects are read from the manifests that ship; what is wrong in one is named."""

import re
from pathlib import Path

import pytest
import yaml

from askfleet.scaling import InvalidScaledObject, Policy, PolicyKind, read_scaled_object, read_scaled_objects

SHIPPED = Path(__file__).parents[2] / "deploy/keda/base/scaledobjects"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = (SHIPPED / "generation-default.yaml").read_text()
    assert old in text
    path = tmp_path / "changed.yaml"
    path.write_text(text.replace(old, new))
    return path


def test_every_shipped_scaled_object_is_read() -> None:
    names = [scaled_object.name for scaled_object in read_scaled_objects(SHIPPED)]
    assert names == ["generation-default", "ingest", "retrieval", "router", "sql"]


def test_generation_is_read_with_both_lanes_and_its_windows() -> None:
    path = SHIPPED / "generation-default.yaml"
    spec = yaml.safe_load(path.read_text())["spec"]
    found = read_scaled_object(path)
    assert (found.min_replicas, found.max_replicas) == (0, spec["maxReplicaCount"])
    assert (found.polling_interval_s, found.cooldown_s) == (spec["pollingInterval"], spec["cooldownPeriod"])
    assert {trigger.consumer for trigger in found.triggers} == {
        "generation-default",
        "generation-default-bulk",
    }
    assert found.metric({"fresh": 3, "bulk": 4}) == 7
    assert found.behavior is not None
    assert found.behavior.down.window_s == 300
    assert Policy(PolicyKind.PERCENT, 100, 15) in found.behavior.up.policies
    assert found.cached_metrics


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("maxReplicaCount: 16", "maxReplicaCount: sixteen", "spec.maxReplicaCount", "'sixteen'"),
        ("maxReplicaCount: 16", "maxReplicaCount: -1", "spec.maxReplicaCount", "-1"),
        ("minReplicaCount: 0", "minReplicaCount: 17", "spec.maxReplicaCount", "16 is below 17"),
        ("minReplicaCount: 0", "minReplicaCuont: 0", "spec.minReplicaCuont", "0"),
        ('lagThreshold: "', 'lagThreshold: !!int "', "spec.triggers.0.metadata.lagThreshold", "80"),
        (
            "formula: fresh + bulk",
            "formula: fresh + slow",
            "spec.advanced.scalingModifiers.formula",
            "'slow'",
        ),
        ("formula: fresh + bulk", "formula: fresh +", "spec.advanced.scalingModifiers.formula", "'fresh +'"),
        ("name: bulk", "name: fresh", "spec.triggers", "fresh, fresh"),
        ("type: Percent, value: 100", "type: Share, value: 100", "scaleUp.policies.0.type", "'Share'"),
        ("type: nats-jetstream", "type: kafka", "spec.triggers.0.type", "'kafka'"),
        ("metricType: AverageValue", "metricType: Value", "metricType", "'Value'"),
        ('lagThreshold: "80"', 'lagThreshold: "7.5"', "spec.triggers.0.metadata.lagThreshold", "'7.5'"),
        ('target: "80"', 'target: "7.5"', "spec.advanced.scalingModifiers.target", "7.5 is no whole number"),
        ("account: FLEET", 'account: ""', "spec.triggers.0.metadata.account", "is missing"),
        ("behavior: currentReplicas", "behavior: triggerScoped", "spec.fallback.behavior", "'triggerScoped'"),
    ],
)
def test_what_is_wrong_is_named_by_file_field_and_value(
    tmp_path: Path, old: str, new: str, field: str, value: str
) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(InvalidScaledObject, match=re.escape(field)) as caught:
        read_scaled_object(path)
    assert value in caught.value.detail
    assert str(path) in caught.value.detail


def test_two_lanes_without_a_formula_are_refused_since_the_hpa_does_not_add(tmp_path: Path) -> None:
    document = yaml.safe_load((SHIPPED / "generation-default.yaml").read_text())
    del document["spec"]["advanced"]["scalingModifiers"]
    path = tmp_path / "unadded.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InvalidScaledObject, match="the largest, not the sum"):
        read_scaled_object(path)


def test_a_folder_without_any_and_a_name_that_stands_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidScaledObject, match="holds no ScaledObject"):
        read_scaled_objects(tmp_path)
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text((SHIPPED / "sql.yaml").read_text())
    with pytest.raises(InvalidScaledObject, match="twice"):
        read_scaled_objects(tmp_path)


def test_what_is_no_yaml_or_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [")
    with pytest.raises(InvalidScaledObject, match="no YAML"):
        read_scaled_object(path)
    path.write_text("just text")
    with pytest.raises(InvalidScaledObject, match="document"):
        read_scaled_object(path)
    with pytest.raises(InvalidScaledObject, match="can't be read"):
        read_scaled_object(tmp_path / "absent.yaml")
