"""What a topology renders, held to the schemas of its kinds. Argo CD and Nova have none: structure only."""

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from askfleet.fleet.gpus import pool_patch
from askfleet.fleet.karmada import RETAIN, WITHOUT_NAMESPACE, templates
from askfleet.fleet.kustomize import gpu_patch, overlay
from askfleet.fleet.reading import read_topology
from askfleet.fleet.rendering import render as render_topology
from askfleet.fleet.rendering import write
from askfleet.fleet.topology import SCALED, STAGES, Topology
from askfleet.main import application
from tests.fleets import FILE, FOLDER, valid_topologies
from tests.fleets import cluster as cluster_of
from tests.fleets import topology as topology_of
from tests.manifests.strict import Manifest, Schemas, named, read, render
from tests.manifests.workloads import fields
from workers.engines.vllm.settings import VllmSettings
from workers.shell.settings import WorkerSettings

RENDERED = FOLDER / "rendered"
CLUSTERS = tuple(read_topology(FILE).clusters)
POLICIES = ("PropagationPolicy", "ClusterPropagationPolicy")
WITH_SCHEMA = (
    "karmada/propagation.yaml",
    "karmada/overrides.yaml",
    "nats/network.yaml",
    "ocm/placements.yaml",
    "ocm/namespace.yaml",
)


@pytest.fixture(scope="module")
def topology() -> Topology:
    return read_topology(FILE)


@pytest.fixture(scope="module")
def overlays(kubectl: Path) -> dict[str, list[Manifest]]:
    return {name: render(kubectl, RENDERED / "clusters" / name) for name in CLUSTERS}


@pytest.mark.parametrize("file", WITH_SCHEMA)
def test_every_rendered_policy_is_right_by_its_schema(schemas: Schemas, file: str) -> None:
    objects = read(RENDERED / file)
    assert objects
    assert [problem for found in objects for problem in schemas.problems(_with_schema(found))] == []


def _with_schema(found: Manifest) -> Manifest:
    """Karmada's two kinds of policy have one specification, and one of them has its CRD here."""
    return {**found, "kind": "PropagationPolicy"} if found["kind"] == "ClusterPropagationPolicy" else found


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_object_of_a_cluster_is_right_by_its_schema(
    schemas: Schemas, overlays: dict[str, list[Manifest]], cluster: str
) -> None:
    assert [problem for found in overlays[cluster] for problem in schemas.problems(found)] == []


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(valid_topologies())
def test_any_valid_topology_renders_to_objects_that_are_right(schemas: Schemas, found: Topology) -> None:
    files = render_topology(found, folder=FOLDER, out=RENDERED)
    for file in WITH_SCHEMA:
        for manifest in yaml.safe_load_all(files[file]):
            assert schemas.problems(_with_schema(manifest)) == []
    for name in found.clusters:
        names = [patch["target"] for patch in overlay(found, name, manifests="x")["patches"]]  # type: ignore[attr-defined]
        assert names


def test_another_namespace_reaches_every_object_and_the_account_that_the_admission_policy_names(
    kubectl: Path, tmp_path: Path
) -> None:
    found = topology_of(namespace="answers", clusters={"north": cluster_of("north")}, roles={}, spill=[])
    manifests = os.path.relpath(FOLDER.parent / "keda", tmp_path / "clusters")
    kustomizations = {
        "clusters": overlay(found, "north", manifests=manifests),
        "karmada": templates(found, manifests=manifests),
    }
    for folder, kustomization in kustomizations.items():
        (tmp_path / folder).mkdir()
        here = [path for path in kustomization["resources"] if "/" in path]  # type: ignore[attr-defined]
        text = yaml.safe_dump({**kustomization, "resources": here})
        (tmp_path / folder / "kustomization.yaml").write_text(text)
        objects = render(kubectl, tmp_path / folder)
        assert {each["metadata"].get("namespace") for each in objects} <= {"answers", None}
        assert "serviceaccount:askfleet:" not in yaml.safe_dump(objects)
        (condition,) = named(objects, "ValidatingAdmissionPolicy")["askfleet-costs"]["spec"][
            "matchConditions"
        ]
        shipped = named(render(kubectl, FOLDER.parent / "keda" / "base"), "ValidatingAdmissionPolicy")
        (own,) = shipped["askfleet-costs"]["spec"]["matchConditions"]
        expected = own["expression"].replace("serviceaccount:askfleet:", "serviceaccount:answers:")
        assert condition == {**own, "expression": expected}


def test_each_cluster_runs_what_it_is_placed_for(
    overlays: dict[str, list[Manifest]], topology: Topology
) -> None:
    for cluster, objects in overlays.items():
        deployed, scaled = named(objects, "Deployment"), named(objects, "ScaledObject")
        for role in SCALED:
            runs = topology.runs(cluster, role)
            assert (role in deployed) == (role in scaled) == runs, f"{role} in {cluster}"
        assert ("ops" in deployed) == (cluster == "eu-west")


def test_limits_and_gpus_of_the_topology_reach_the_manifests(overlays: dict[str, list[Manifest]]) -> None:
    scaled = named(overlays["eu-west"], "ScaledObject")["generation-default"]["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (2, 24)
    pod = named(overlays["us-east"], "Deployment")["generation-default"]["spec"]["template"]["spec"]
    (worker,) = [found for found in pod["containers"] if found["name"] == "worker"]
    assert {str(worker["resources"][part]["nvidia.com/gpu"]) for part in ("requests", "limits")} == {"2"}
    assert {"name": "AF_ENGINE_VLLM_TENSOR_PARALLEL", "value": "2"} in worker["env"]
    assert "AF_ENGINE_VLLM_TENSOR_PARALLEL" in fields(VllmSettings)


def test_karpenter_can_add_the_nodes_that_pods_ask_for_as_many_as_there_may_be(
    overlays: dict[str, list[Manifest]], topology: Topology
) -> None:
    """It refuses a pod whose selector names a label that neither a NodePool sets nor it knows itself."""
    added = [name for name in CLUSTERS if topology.clusters[name].nodes_by == "karpenter"]
    assert len(added) > 1
    for cluster in added:
        pool = named(overlays[cluster], "NodePool")["askfleet-gpu"]["spec"]
        asked = {rule["key"]: rule["values"] for rule in pool["template"]["spec"]["requirements"]}
        pod = named(overlays[cluster], "Deployment")["generation-default"]["spec"]["template"]["spec"]
        offered = asked | {key: [value] for key, value in pool["template"]["metadata"]["labels"].items()}
        for label, value in pod["nodeSelector"].items():
            assert value in offered[label], f"{cluster}: {label}"
        limits = topology.limits(cluster, "generation-default")
        most = named(overlays[cluster], "ScaledObject")["generation-default"]["spec"]["maxReplicaCount"]
        assert int(pool["limits"]["nvidia.com/gpu"]) >= most * limits.gpus_each


def test_luna_is_told_the_gpu_and_no_instance_type_that_lacks_it(
    overlays: dict[str, list[Manifest]],
) -> None:
    pod = named(overlays["us-east"], "Deployment")["generation-default"]["spec"]["template"]
    marks = {k: v for k, v in pod["metadata"]["annotations"].items() if k.startswith("node.elotl.co/")}
    assert marks == {"node.elotl.co/instance-gpu-skus": "H100"}
    assert "nodeSelector" not in pod["spec"]


def _alone(overlay: str, **limits: object) -> Topology:
    """A fleet of one cluster with eight GPUs."""
    north = cluster_of("north", overlay=overlay, gpus={"h100": 8})
    roles = {"generation-default": {"gpu": "h100", **limits}}
    return topology_of(
        gpus={"h100": {"product": "NVIDIA-H100"}}, clusters={"north": north}, roles=roles, spill=[]
    )


def test_gpu_nodes_that_are_there_are_found_by_nvidias_label() -> None:
    found = _alone("base", most=8)
    assert "nvidia.com/gpu.product: NVIDIA-H100" in yaml.safe_dump(
        gpu_patch(found, "north", "generation-default")
    )
    assert pool_patch(found, "north") is None


def test_nodes_with_several_gpus_are_asked_for_where_a_pod_needs_them() -> None:
    made = pool_patch(_alone("overlays/aws-karpenter", most=2, gpus_each=4), "north")
    assert made is not None
    count = {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "Gt", "values": ["3"]}
    assert made[1][-1]["value"] == count


def test_workers_that_help_know_whom_and_have_the_keys(overlays: dict[str, list[Manifest]]) -> None:
    deployments = named(overlays["us-east"], "Deployment")
    pod = deployments["generation-default"]["spec"]["template"]["spec"]
    (worker,) = [found for found in pod["containers"] if found["name"] == "worker"]
    variables = {one["name"]: one.get("value") for one in worker["env"]}
    assert variables["AF_NEIGHBOURS"] == "eu-central:2,eu-west:2"
    assert variables["AF_NEIGHBOUR_KEYS"] in [mount["mountPath"] for mount in worker["volumeMounts"]]
    assert "nats-neighbours-generation-default" in [
        volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume
    ]
    router = deployments["router"]["spec"]["template"]["spec"]["containers"][0]
    assert "AF_NEIGHBOURS" not in [one["name"] for one in router["env"]]


def test_every_variable_that_a_fleet_sets_is_a_setting(overlays: dict[str, list[Manifest]]) -> None:
    settings = {f"AF_{name.upper()}" for name in WorkerSettings.model_fields}
    for objects in overlays.values():
        workers = [*named(objects, "Deployment").values(), *named(objects, "Job").values()]
        containers = [one for found in workers for one in found["spec"]["template"]["spec"]["containers"]]
        names = {one["name"] for found in containers for one in found.get("env", ())}
        assert {name for name in names if "NEIGHBOUR" in name or "SHARED" in name} <= settings


def test_consumers_are_made_for_several_clusters(overlays: dict[str, list[Manifest]]) -> None:
    for objects in overlays.values():
        container = named(objects, "Job")["provision"]["spec"]["template"]["spec"]["containers"][0]
        assert {"name": "AF_SHARED_QUEUES", "value": "true"} in container["env"]


def test_every_object_of_a_cluster_carries_its_name(overlays: dict[str, list[Manifest]]) -> None:
    for cluster, objects in overlays.items():
        assert {found["metadata"]["labels"]["askfleet.dev/cluster"] for found in objects} == {cluster}


def test_argo_cd_applies_a_folder_that_was_rendered_for_each_cluster(topology: Topology) -> None:
    (found,) = read(RENDERED / "argocd" / "applicationset.yaml")
    assert (found["apiVersion"], found["kind"]) == ("argoproj.io/v1alpha1", "ApplicationSet")
    spec = found["spec"]
    assert set(spec) <= {
        "goTemplate",
        "goTemplateOptions",
        "generators",
        "syncPolicy",
        "template",
        "strategy",
    }
    (generator,) = spec["generators"]
    (expression,) = generator["clusters"]["selector"]["matchExpressions"]
    source = spec["template"]["spec"]["source"]
    assert source["targetRevision"] == topology.revision
    label = 'index .metadata.labels "askfleet.dev/cluster"'
    for cluster in expression["values"]:
        path = source["path"].replace(f"{{{{{label}}}}}", cluster)
        assert (FOLDER.parents[1] / path / "kustomization.yaml").is_file()


def test_karmada_keeps_the_replicas_that_keda_set(kubectl: Path, schemas: Schemas) -> None:
    objects = render(kubectl, RENDERED / "karmada")
    assert [problem for found in objects for problem in schemas.problems(_with_schema(found))] == []
    for deployment in named(objects, "Deployment").values():
        assert RETAIN.items() <= deployment["metadata"]["labels"].items()
    for policy in named(objects, "PropagationPolicy").values():
        assert policy["spec"]["placement"]["replicaScheduling"] == {"replicaSchedulingType": "Duplicated"}


def test_karmada_selects_only_what_there_is_and_changes_only_fields_that_are_there(kubectl: Path) -> None:
    objects = render(kubectl, RENDERED / "karmada")
    for policy in named(objects, "OverridePolicy").values():
        (selected,) = policy["spec"]["resourceSelectors"]
        target = named(objects, selected["kind"])[selected["name"]]
        for rule in policy["spec"]["overrideRules"]:
            for change in rule["overriders"]["plaintext"]:
                _parent(target, change["path"])


def _parent(found: Manifest, pointer: str) -> object:
    """What a JSON patch adds to; raises KeyError or IndexError when it is not there."""
    *parts, _ = [part.replace("~1", "/") for part in pointer.removeprefix("/").split("/")]
    at: object = found
    for part in parts:
        at = at[int(part)] if isinstance(at, list) else at[part]  # type: ignore[index]
    return at


def test_nova_duplicates_what_each_cluster_scales_by_itself(topology: Topology) -> None:
    policies = {found["metadata"]["name"]: found for found in read(RENDERED / "nova" / "policies.yaml")}
    known = {
        "namespaceSelector",
        "resourceSelectors",
        "groupBy",
        "clusterSelector",
        "orderedClusterSelector",
        "spreadConstraints",
    }
    for policy in policies.values():
        assert (policy["apiVersion"], policy["kind"]) == ("policy.elotl.co/v1alpha1", "SchedulePolicy")
        assert set(policy["spec"]) <= known
        assert "percentageSplit" not in policy["spec"].get("spreadConstraints", {})
    spread = policies["harbour-generation-default"]["spec"]["spreadConstraints"]
    assert spread["spreadMode"] == "Duplicate"
    assert [one["topologyValue"] for one in spread["overrides"]] == list(topology.clusters)
    ordered = policies["harbour-ops"]["spec"]["orderedClusterSelector"]["matchExpressions"]
    assert ordered[0]["values"] == ["eu-west", "us-east"]


def test_karmada_sends_all_that_is_applied_to_it_and_nothing_by_two_policies(kubectl: Path) -> None:
    """The namespace is Karmada's own: it makes one in each member."""
    objects = render(kubectl, RENDERED / "karmada")
    policies = [found for found in objects if found["kind"] in POLICIES]
    sent = [found for found in objects if found["kind"] not in {*POLICIES, "OverridePolicy", "Namespace"}]
    assert len(sent) > 40
    for found in sent:
        wide = found["kind"] in {kind for _, kind in WITHOUT_NAMESPACE}
        by = [policy["metadata"]["name"] for policy in policies if _selects(policy, found)]
        assert len(by) == 1, f"{found['kind']}/{found['metadata']['name']}: {by}"
        kind = "ClusterPropagationPolicy" if wide else "PropagationPolicy"
        assert by[0] in named(policies, kind), "a PropagationPolicy reaches its own namespace only"


def _selects(policy: Manifest, found: Manifest) -> bool:
    def matches(selector: Manifest) -> bool:
        labels = selector.get("labelSelector", {}).get("matchLabels", {})
        return (
            (selector["apiVersion"], selector["kind"]) == (found["apiVersion"], found["kind"])
            and selector.get("name", found["metadata"]["name"]) == found["metadata"]["name"]
            and labels.items() <= found["metadata"].get("labels", {}).items()
        )

    return any(matches(selector) for selector in policy["spec"]["resourceSelectors"])


def test_a_cluster_that_scales_nothing_has_nobody_who_marks_pods(kubectl: Path, tmp_path: Path) -> None:
    found = topology_of(
        clusters={"north": cluster_of("north"), "south": cluster_of("south")},
        placement=[{"roles": list(SCALED), "clusters": ["north"]}],
        spill=[{"cluster": "south", "to": ["north"], "roles": list(STAGES)}],
    )
    write(render_topology(found, folder=FOLDER, out=tmp_path), tmp_path)
    north, south = (render(kubectl, tmp_path / "clusters" / name) for name in ("north", "south"))
    assert "costs" in named(north, "Deployment")
    assert "costs" in named(north, "RoleBinding")
    assert set(named(south, "Deployment")) == {"bridge", "ops"}
    assert named(south, "RoleBinding") == {}
    costs = named(read(tmp_path / "karmada" / "propagation.yaml"), "PropagationPolicy")["harbour-costs"]
    assert costs["spec"]["placement"]["clusterAffinity"] == {"clusterNames": ["north"]}


def test_a_cluster_that_is_added_as_the_documentation_shows_renders_to_objects_that_are_right(
    kubectl: Path, schemas: Schemas, tmp_path: Path
) -> None:
    page = (FOLDER.parents[1] / "docs" / "fleet.md").read_text()
    added, spill = re.findall(r"```yaml\n(.*?)```", page, re.S)[:2]
    assert len((added + spill).splitlines()) <= 10
    deploy = tmp_path / "deploy"
    (deploy / "fleet").mkdir(parents=True)
    for name in ("keda", "nats"):
        shutil.copytree(FOLDER.parent / name, deploy / name)
    text = FILE.read_text().replace("clusters:\n", f"clusters:\n{added}", 1) + spill
    file = deploy / "fleet" / "topology.yaml"
    file.write_text(text)
    run = CliRunner().invoke(application("fleet"), ["fleet", "render", "-f", str(file)])
    assert run.exit_code == 0, run.output
    for name in ("eu-north", "eu-west"):
        objects = render(kubectl, deploy / "fleet" / "rendered" / "clusters" / name)
        assert [problem for found in objects for problem in schemas.problems(found)] == []
        assert "generation-default" in named(objects, "Deployment")
    for policies in WITH_SCHEMA:
        for found in read(deploy / "fleet" / "rendered" / policies):
            assert schemas.problems(_with_schema(found)) == []
    links = (deploy / "fleet" / "rendered" / "nats" / "eu-west.conf").read_text()
    assert "$LINK_TO_EU_NORTH" in links
