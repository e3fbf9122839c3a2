"""The run of bulk ingestion on KubeRay: what it runs, reads and reaches, and that its numbers agree."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from askfleet.bulk import RaySettings
from askfleet.commands.ingest import Engine
from askfleet.main import application
from tests.manifests.conftest import ROOT
from tests.manifests.ray_components import on_eks, pods_of
from tests.manifests.strict import Manifest, named, render
from tests.manifests.workloads import fields, workloads

# Of a RayJob and its cluster, as KubeRay 1.5's API reference lists them; as far as the manifest uses them.
JOB = {
    "entrypoint",
    "submissionMode",
    "backoffLimit",
    "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished",
    "submitterPodTemplate",
    "rayClusterSpec",
}
CLUSTER = {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
NODES = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


@pytest.fixture(scope="module")
def made(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return on_eks(kubectl, tmp_path_factory.mktemp("bulk"), "bulk")


@pytest.fixture
def job(made: list[Manifest]) -> Any:
    return named(made, "RayJob")["bulk"]["spec"]


@pytest.fixture
def head(made: list[Manifest]) -> Any:
    return dict(pods_of(made))["head"]["containers"][0]


def test_it_has_the_fields_that_kuberay_knows(job: Any) -> None:
    assert set(job) <= JOB
    cluster = job["rayClusterSpec"]
    assert set(cluster) <= CLUSTER
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert set(group) <= NODES
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_it_runs_the_command_that_a_person_would_run_on_the_head(job: Any, head: Any) -> None:
    program, command, *arguments = shlex.split(job["entrypoint"])
    assert (program, command) == ("askfleet", "ingest")
    commands: Any = typer.main.get_command(application("ingest"))
    given = commands.commands[command].commands["folder"].make_context("folder", arguments).params
    assert given["engine"] is Engine.RAY
    assert given["ray_address"] == "auto"
    assert str(given["path"]) in {mount["mountPath"] for mount in head["volumeMounts"]}


def test_it_indexes_as_the_ingest_workers_of_the_same_overlay(made: list[Manifest], head: Any) -> None:
    worker = workloads(made)["ingest"]
    assert [source["configMapRef"]["name"] for source in head["envFrom"]] == [
        source["configMapRef"]["name"]
        for source in worker.worker["envFrom"]
        if source["configMapRef"]["name"].startswith("ingest")
    ]
    token = next(entry for entry in head["env"] if entry["name"] == "AF_MILVUS_TOKEN")
    assert token in worker.worker["env"]


def test_the_cpu_nodes_of_the_workers_take_its_pods(made: list[Manifest]) -> None:
    (taint,) = named(made, "NodePool")["askfleet-cpu"]["spec"]["template"]["spec"]["taints"]
    for name, pod in pods_of(made):
        assert {**taint, "operator": "Equal"} in pod["tolerations"], name


def test_settings_of_the_run_are_known_and_secrets_are_referred_to(made: list[Manifest], head: Any) -> None:
    entries = {entry["name"]: entry for entry in head["env"]}
    assert set(entries) <= {*fields(RaySettings), "AF_TENANT", "AF_MILVUS_TOKEN"}
    assert [name for name, entry in entries.items() if "valueFrom" in entry] == ["AF_MILVUS_TOKEN"]
    others = [container for name, pod in pods_of(made) for container in pod["containers"] if name != "head"]
    assert not [container for container in others if "env" in container or "envFrom" in container]


def test_there_is_an_embedding_process_for_each_cpu(job: Any, head: Any) -> None:
    nodes = job["rayClusterSpec"]["workerGroupSpecs"]
    cpus = [int(group["rayStartParams"]["num-cpus"]) for group in nodes]
    for group, number in zip(nodes, cpus, strict=True):
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["requests"]["cpu"] == str(number)
        assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]
    embedders = next(entry["value"] for entry in head["env"] if entry["name"] == "AF_RAY_EMBEDDERS")
    assert int(embedders) == sum(
        number * group["replicas"] for number, group in zip(cpus, nodes, strict=True)
    )
    assert job["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_every_node_sees_the_same_folder_and_has_room_for_rays_memory(job: Any, made: list[Manifest]) -> None:
    cluster = job["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        assert volumes[mounts["/corpus"]["name"]]["persistentVolumeClaim"] == {
            "claimName": "corpus",
            "readOnly": True,
        }
        shared = volumes[mounts["/dev/shm"]["name"]]["emptyDir"]
        assert shared["medium"] == "Memory"
        assert int(group["rayStartParams"]["object-store-memory"]) <= _bytes(shared["sizeLimit"])
        limit = _bytes(pod["containers"][0]["resources"]["limits"]["memory"])
        assert int(group["rayStartParams"]["object-store-memory"]) < limit / 2


def test_it_reaches_milvus_and_itself_and_is_reached_by_kuberay(made: list[Manifest], job: Any) -> None:
    policy = named(made, "NetworkPolicy")["bulk"]["spec"]
    labels = policy["podSelector"]["matchLabels"]
    templates = [job["submitterPodTemplate"]]
    templates += [job["rayClusterSpec"]["headGroupSpec"]["template"]]
    templates += [group["template"] for group in job["rayClusterSpec"]["workerGroupSpecs"]]
    assert all(labels.items() <= template["metadata"]["labels"].items() for template in templates)
    allowed = [(rule.get("ports"), peer) for rule in policy["egress"] for peer in rule["to"]]
    assert allowed == [
        (None, {"podSelector": {"matchLabels": labels}}),
        (
            [{"port": 19530, "protocol": "TCP"}],
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "milvus"}}},
        ),
    ]
    ports = {port["port"] for rule in policy["ingress"] for port in rule.get("ports", ())}
    assert ports == {8265}


def test_what_is_applied_for_a_run_is_found_by_its_label(made: list[Manifest]) -> None:
    chosen = [
        manifest["kind"]
        for manifest in made
        if manifest["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "bulk"
    ]
    assert sorted(chosen) == ["NetworkPolicy", "RayJob", "ServiceAccount"]


def test_the_image_has_the_ray_that_the_cluster_is_told_and_what_its_jobs_want(job: Any) -> None:
    locked = (ROOT / "requirements" / "ray-cluster.txt").read_text()
    version = job["rayClusterSpec"]["rayVersion"]
    assert f"\nray=={version} " in locked
    assert f"\nray=={version} " in (ROOT / "requirements" / "ray.txt").read_text()
    for package in ("aiohttp", "aiohttp-cors", "opencensus", "opentelemetry-exporter-prometheus"):
        assert re.search(rf"^{package}==", locked, re.M), f"without {package} there is no API for jobs"
    assert "-r requirements/ray-cluster.txt" in (ROOT / "deploy" / "images" / "Dockerfile").read_text()


def test_packages_that_the_image_has_twice_over_have_one_version(job: Any) -> None:
    def pinned(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.M))

    runtime, cluster = pinned("runtime"), pinned("ray-cluster")
    both = runtime.keys() & cluster.keys()
    assert len(both) > 10
    assert {name: cluster[name] for name in both} == {name: runtime[name] for name in both}


def test_the_folder_of_the_documentation_renders_a_run_for_another_tenant(
    kubectl: Path, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "bulk-ingest.md").read_text()
    (text,) = re.findall(r"```yaml\n(# deploy/keda/overlays/bulk/.*?)```", page, re.S)
    here = os.path.relpath(ROOT / "deploy" / "keda", tmp_path.resolve())
    text = text.replace("../../ray", f"{here}/ray").replace("../aws", f"{here}/overlays/aws")
    (tmp_path / "kustomization.yaml").write_text(text)
    made = render(kubectl, tmp_path)
    (container,) = dict(pods_of(made))["head"]["containers"]
    assert {"name": "AF_TENANT", "value": "acme"} in container["env"]
    assert container["image"] == "registry.example.org/team/askfleet-bulk:0.1.0"


def _bytes(quantity: str) -> int:
    number, unit = quantity[:-2], quantity[-2:]
    return int(number) * {"Mi": 2**20, "Gi": 2**30}[unit]
