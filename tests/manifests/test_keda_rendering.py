"""Every overlay renders, is valid to the last field, names what exists, and comes in the right order."""

import re
import tomllib
from pathlib import Path

import pytest

from bus.provision import lanes_of
from tests.manifests.conftest import ROOT, Added, Render
from tests.manifests.strict import KUBERNETES, Manifest, Schemas, named, read
from tests.manifests.workloads import BASE, KEDA, OVERLAYS, WARM, workloads
from workers.bridge.settings import BridgeSettings

FOLDERS = (BASE, *OVERLAYS)
WITHOUT_SCHEMA = {("autoscaling.x-k8s.io/v1alpha1", "CapacityBuffer")}
"""Kinds whose CRD is not beside the checkout."""
NEUTRAL = re.compile(
    r"(localhost:5000|registry\.example\.com|111122223333\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com)/"
)

each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


@each_folder
def test_every_object_is_valid(rendered: Render, schemas: Schemas, folder: Path) -> None:
    assert [problem for manifest in rendered(folder) for problem in schemas.problems(manifest)] == []


@each_folder
def test_core_kinds_are_valid_for_the_oldest_kubernetes_that_is_served(
    rendered: Render, schemas: Schemas, folder: Path
) -> None:
    said = re.search(r"needs Kubernetes (1\.\d+) or later", (KEDA / "README.md").read_text())
    (cluster,) = read(KEDA / "platform" / "eks" / "cluster.yaml")
    assert said is not None
    assert float(said[1]) <= float(cluster["metadata"]["version"]) <= float(KUBERNETES)
    problems = [p for manifest in rendered(folder) for p in schemas.problems(manifest, kubernetes=said[1])]
    assert problems == []


@pytest.mark.parametrize("component", WARM, ids=lambda folder: folder.name)
def test_every_way_to_keep_a_gpu_warm_fits_the_overlay(
    added: Added, rendered: Render, schemas: Schemas, component: Path
) -> None:
    overlay = KEDA / "overlays" / "aws-karpenter"
    made, plain = added(overlay, component), rendered(overlay)
    assert made != plain, f"{component.name} changes nothing"
    checked = [m for m in made if (m["apiVersion"], m["kind"]) not in WITHOUT_SCHEMA]
    assert [problem for manifest in checked for problem in schemas.problems(manifest)] == []


@each_folder
def test_no_object_is_there_twice(rendered: Render, folder: Path) -> None:
    names = [_name(manifest) for manifest in rendered(folder)]
    assert len(names) == len(set(names))


@each_folder
def test_the_number_of_pods_is_said_by_the_scaled_object_or_by_the_deployment_never_both(
    rendered: Render, folder: Path
) -> None:
    scaled = {s["spec"]["scaleTargetRef"]["name"] for s in named(rendered(folder), "ScaledObject").values()}
    deployments = named(rendered(folder), "Deployment")
    assert scaled <= set(deployments)
    stated = {name for name, found in deployments.items() if "replicas" in found["spec"]}
    assert stated == set(deployments) - scaled


@each_folder
def test_images_are_pinned(rendered: Render, folder: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for workload in workloads(rendered(folder)).values():
        for container in workload.containers:
            name, _, tag = container["image"].rpartition(":")
            assert tag == version, f"{workload.name}: {container['image']}"
            assert re.sub(NEUTRAL, "", name) in ("askfleet-worker", "askfleet-generation-gpu")


@each_folder
def test_what_a_pod_names_is_there(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    accounts, priorities = named(manifests, "ServiceAccount"), named(manifests, "PriorityClass")
    claims = named(manifests, "PersistentVolumeClaim")
    for workload in workloads(manifests).values():
        assert workload.pod["serviceAccountName"] == workload.name
        assert workload.name in accounts
        assert workload.pod["priorityClassName"] in priorities
        volumes = {volume["name"]: volume for volume in workload.pod["volumes"]}
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        for container in workload.containers:
            for reference in container["envFrom"]:
                assert reference["configMapRef"]["name"] in workload.config_maps
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
        mounted = {mount["name"] for mount in workload.worker["volumeMounts"]}
        assert mounted == set(volumes), f"{workload.name} mounts {mounted}"


@each_folder
def test_every_budget_and_service_finds_the_pods_of_its_name(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    known = workloads(manifests)
    for kind in ("PodDisruptionBudget", "Service"):
        for name, found in named(manifests, kind).items():
            wanted = found["spec"]["selector"]
            labels = wanted.get("matchLabels", wanted)
            assert labels.items() <= known[name].labels.items(), f"{kind}/{name}"


def test_the_load_balancer_finds_the_bridge_and_bears_its_longest_answer(rendered: Render) -> None:
    manifests = rendered(KEDA / "overlays" / "aws-karpenter")
    (ingress,) = named(manifests, "Ingress").values()
    bridge = workloads(manifests)["bridge"]
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    behind = path["backend"]["service"]
    service = named(manifests, "Service")[behind["name"]]
    assert service["spec"]["selector"].items() <= bridge.labels.items()
    assert behind["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
    marks = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    assert marks["healthcheck-path"] == bridge.worker["readinessProbe"]["httpGet"]["path"]
    idle_s = int(marks["load-balancer-attributes"].removeprefix("idle_timeout.timeout_seconds="))
    assert idle_s > BridgeSettings().longest_deadline_s
    (namespace,) = named(manifests, "Namespace").values()
    assert namespace["metadata"]["labels"]["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"
    leaving_s = int(marks["target-group-attributes"].removeprefix("deregistration_delay.timeout_seconds="))
    assert leaving_s <= bridge.pod["terminationGracePeriodSeconds"]


@each_folder
def test_whoever_can_have_two_pods_has_a_disruption_budget(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    budgets = set(named(manifests, "PodDisruptionBudget"))
    scaled = {
        name for name, s in named(manifests, "ScaledObject").items() if s["spec"]["maxReplicaCount"] > 1
    }
    fixed = {
        name for name, found in named(manifests, "Deployment").items() if found["spec"].get("replicas", 0) > 1
    }
    assert budgets == scaled | fixed


@each_folder
def test_consumers_are_made_before_a_worker_starts_and_before_keda_looks(
    rendered: Render, folder: Path
) -> None:
    manifests = rendered(folder)
    waves = {
        _name(manifest): int(
            manifest["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0")
        )
        for manifest in manifests
    }
    job = waves["Job/provision"]
    for name, wave in waves.items():
        kind = name.partition("/")[0]
        if kind in ("Namespace", "ServiceAccount", "ConfigMap", "NetworkPolicy", "PriorityClass"):
            assert wave < job, name
        if kind == "Deployment":
            assert job < wave, name
        if kind == "ScaledObject":
            assert job < wave, name
            # A wave waits for the health of the one before, and a generation pod for a GPU and its weights.
            assert wave <= waves["Deployment/generation-default"], name
    hooks = named(manifests, "Job")["provision"]["metadata"]["annotations"]
    assert hooks["argocd.argoproj.io/hook"] == "Sync"
    assert hooks["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"
    for manifest in manifests:
        is_scaling = manifest["metadata"].get("labels", {}).get("askfleet.dev/step") == "scaling"
        assert is_scaling == (manifest["kind"] == "ScaledObject"), _name(manifest)


@each_folder
def test_every_worker_waits_for_the_consumers_that_it_pulls_from(rendered: Render, folder: Path) -> None:
    for name, workload in workloads(rendered(folder)).items():
        if name == "provision":
            assert workload.worker["args"][0] == "apply"
            continue
        (first,) = workload.pod["initContainers"]
        assert first["command"][-1] == workload.containers[0]["command"][-1] == "bus.provision"
        command, durable = first["args"]
        assert command == "wait"
        assert lanes_of(durable)[1], durable
        if workload.kind in ("router", "retrieval", "sql", "generation", "ingest"):
            assert durable == name
        assert first["image"] == workload.worker["image"]
        assert first["envFrom"] == workload.worker["envFrom"]
