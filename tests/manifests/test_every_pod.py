"""What holds for every pod under deploy/keda, whoever wrote its program: image, rights, ports, secrets."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from askfleet.reference import PLATFORM
from tests.manifests.conftest import Render
from tests.manifests.strict import Manifest, read
from tests.manifests.workloads import KEDA, OVERLAYS

FOLDERS = (
    *OVERLAYS,
    KEDA / "weights",
    *sorted(path.parent for path in PLATFORM.glob("*/kustomization.yaml")),
)
PARTS = (*sorted(KEDA.glob("warm/*/*.yaml")), *sorted(KEDA.glob("ray/*/*.yaml")))
"""Components, which are rendered on an overlay by other tests; here each file as it stands."""
PINNED = re.compile(r"[^\s:@]+(:\d+)?[^\s:@]*(:(?!latest$)[\w.-]*\d[\w.-]*)(@sha256:[0-9a-f]{64})?")
OURS = re.compile(r"askfleet-(worker|generation-gpu|bulk)|ray-llm")
"""Names in components, to which an overlay gives registry and tag."""
SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|API_KEY|DSN|CREDENTIALS)$")


WRITES = {"RayService/large"}
"""Ray's own image for LLMs, which installs and compiles where it stands."""


class Pod(NamedTuple):
    name: str
    spec: dict[str, Any]
    labels: dict[str, str]
    namespace: str


def _pods(manifest: Manifest) -> Iterator[Pod]:
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    for template in _templates(manifest):
        labels = template.get("metadata", {}).get("labels", {})
        yield Pod(name, template["spec"], labels, manifest["metadata"].get("namespace", ""))


def _templates(found: object) -> Iterator[dict[str, Any]]:
    """Pod templates, wherever a kind has them."""
    if isinstance(found, dict):
        if isinstance(found.get("spec"), dict) and "containers" in found["spec"]:
            yield found
        else:
            for inner in found.values():
                yield from _templates(inner)
    elif isinstance(found, list):
        for inner in found:
            yield from _templates(inner)


@pytest.fixture(scope="module")
def pods(rendered: Render) -> list[Pod]:
    whole = [manifest for folder in FOLDERS for manifest in rendered(folder)]
    parts = [m for file in PARTS for m in read(file) if "metadata" in m]
    found = [pod for manifest in (*whole, *parts) for pod in _pods(manifest)]
    assert {pod.name for pod in found} >= {
        "Deployment/bridge",
        "Job/provision",
        "Job/weights",
        "Deployment/phoenix",
        "Deployment/warm-gpu",
        "PodTemplate/generation-room",
        "LeaderWorkerSet/generation-large",
        "RayService/large",
        "RayJob/bulk",
    }
    return found


def _containers(pod: Pod) -> list[dict[str, Any]]:
    return [*pod.spec.get("initContainers", ()), *pod.spec["containers"]]


def test_every_image_has_a_version(pods: list[Pod]) -> None:
    for pod in pods:
        for container in _containers(pod):
            image = container.get("image", "")
            assert PINNED.fullmatch(image) or OURS.fullmatch(image), f"{pod.name}: {image!r}"


def test_the_image_of_a_database_has_a_version_too() -> None:
    (cluster,) = read(PLATFORM / "postgres" / "cluster.yaml")
    assert PINNED.fullmatch(cluster["spec"]["imageName"])


@pytest.mark.parametrize(
    "image", ["phoenix", "docker.io/a/phoenix", "localhost:5000/a", "a:latest", "a:stable", ""]
)
def test_an_image_without_a_version_is_found(image: str) -> None:
    assert not PINNED.fullmatch(image)


def test_every_pod_is_one_that_a_restricted_namespace_takes(pods: list[Pod]) -> None:
    """As Pod Security has it, and a file system that nobody writes."""
    for pod in pods:
        context = pod.spec.get("securityContext", {})
        assert context.get("runAsNonRoot") is True, pod.name
        assert context.get("seccompProfile") == {"type": "RuntimeDefault"}, pod.name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec), pod.name
        assert not [volume for volume in pod.spec.get("volumes", ()) if "hostPath" in volume], pod.name
        for container in _containers(pod):
            own = container.get("securityContext", {})
            assert own.get("allowPrivilegeEscalation") is False, f"{pod.name}/{container['name']}"
            assert own.get("capabilities") == {"drop": ["ALL"]}, f"{pod.name}/{container['name']}"
            writes = pod.name in WRITES
            assert own.get("readOnlyRootFilesystem", False) is not writes, f"{pod.name}/{container['name']}"
            assert not {"privileged", "runAsUser"} & set(own), f"{pod.name}/{container['name']}"


def test_no_secret_is_written_down(pods: list[Pod]) -> None:
    for pod in pods:
        for container in _containers(pod):
            for entry in (entry for entry in container.get("env", ()) if "value" in entry):
                plain, where = entry["value"], f"{pod.name}: {entry['name']}"
                assert not SECRET.search(entry["name"]) or plain.startswith("/"), where
                assert not re.search(r"://[^/\s:]+:[^@\s]+@|password=", plain), where


def _ports(pod: Pod) -> dict[str, int]:
    return {p["name"]: p["containerPort"] for c in _containers(pod) for p in c.get("ports", ())}


def test_probes_ask_a_port_that_the_container_has(pods: list[Pod]) -> None:
    asked = 0
    for pod in pods:
        for container in _containers(pod):
            ports = {port["name"] for port in container.get("ports", ())}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                port = container.get(kind, {}).get("httpGet", {}).get("port")
                if isinstance(port, str):
                    asked += 1
                    assert port in ports, f"{pod.name}: {kind}"
    assert asked > 20


def test_a_service_and_its_container_have_one_port(rendered: Render, pods: list[Pod]) -> None:
    """Network policies of EKS need that; the port of Phoenix is also in the workers' settings."""
    for folder in FOLDERS:
        for service in (found for found in rendered(folder) if found["kind"] == "Service"):
            wanted = service["spec"]["selector"].items()
            namespace = service["metadata"]["namespace"]
            behind = [pod for pod in pods if wanted <= pod.labels.items() and pod.namespace == namespace]
            assert behind, service["metadata"]["name"]
            for port in service["spec"]["ports"]:
                for pod in behind:
                    ports = {
                        p["name"]: p["containerPort"] for c in _containers(pod) for p in c.get("ports", ())
                    }
                    assert ports[port["targetPort"]] == port["port"], f"{pod.name}: {port}"
