"""The check itself: what is wrong in a manifest is found, what is right passes."""

import copy
from pathlib import Path

import pytest

from tests.manifests.strict import Manifest, Schemas, read

SCALED = Path(__file__).parents[2] / "deploy" / "keda" / "base" / "scaledobjects" / "generation-default.yaml"


@pytest.fixture
def scaled() -> Manifest:
    return copy.deepcopy(read(SCALED)[0])


def _job(**spec: object) -> Manifest:
    container = {"name": "worker", "image": "askfleet-worker"}
    pod = {"restartPolicy": "Never", "containers": [container], **spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "provision"},
        "spec": {"template": {"spec": pod}},
    }


def test_what_is_right_passes(schemas: Schemas, scaled: Manifest) -> None:
    assert schemas.problems(scaled) == []
    assert schemas.problems(_job()) == []


def test_a_misspelled_field_of_a_core_kind_is_found(schemas: Schemas) -> None:
    (problem,) = schemas.problems(_job(serviceAcountName="provision"))
    assert "Job/provision" in problem
    assert "serviceAcountName" in problem


def test_a_misspelled_field_of_a_custom_resource_is_found(schemas: Schemas, scaled: Manifest) -> None:
    scaled["spec"]["advanced"]["scalingModifiers"]["formulae"] = "fresh"
    (problem,) = schemas.problems(scaled)
    assert "ScaledObject/generation-default" in problem
    assert "formulae" in problem


def test_metadata_of_a_custom_resource_takes_no_unknown_field(schemas: Schemas, scaled: Manifest) -> None:
    scaled["metadata"]["anotations"] = {}
    assert "anotations" in schemas.problems(scaled)[0]


@pytest.mark.parametrize(("field", "value"), [("consumers", "router"), ("lagThreshold", 80)])
def test_what_a_trigger_does_not_know_is_found(
    schemas: Schemas, scaled: Manifest, field: str, value: object
) -> None:
    scaled["spec"]["triggers"][0]["metadata"][field] = value
    assert schemas.problems(scaled)


def test_what_a_trigger_needs_is_missed(schemas: Schemas, scaled: Manifest) -> None:
    del scaled["spec"]["triggers"][0]["metadata"]["stream"]
    assert schemas.problems(scaled) == [
        "ScaledObject/generation-default trigger nats-jetstream: 'stream' is missing"
    ]


def test_a_kind_without_a_schema_is_a_problem(schemas: Schemas) -> None:
    unknown = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "one"}}
    assert schemas.problems(unknown) == ["Thing/one no schema for example.org/v1"]
