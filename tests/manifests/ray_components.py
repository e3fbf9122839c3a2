"""The components under deploy/keda/ray, rendered on a whole overlay, and the pods that they bring."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.manifests.conftest import ROOT
from tests.manifests.strict import Manifest, named, render
from tests.manifests.workloads import OVERLAYS

RAY = ROOT / "deploy" / "keda" / "ray"
WITHOUT_SCHEMA = {"LeaderWorkerSet", "RayService", "RayJob"}
"""Their CRDs are not beside the checkout. What they hold of core kinds (pods) is validated as such."""
IMAGES = ("askfleet-worker", "askfleet-generation-gpu", "askfleet-bulk", "ray-llm")


def on_eks(kubectl: Path, folder: Path, component: str) -> list[Manifest]:
    """The overlay for EKS with the component in it."""
    overlay = next(path for path in OVERLAYS if path.name == "aws-karpenter")
    chosen = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(overlay, folder.resolve())],
        "components": [os.path.relpath(RAY / component, folder.resolve())],
        "images": [
            {"name": name, "newName": f"registry.example.com/{name}", "newTag": "1"} for name in IMAGES
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(chosen))
    return render(kubectl, folder)


def pods_of(made: list[Manifest]) -> Iterator[tuple[str, Any]]:
    """The pod specifications that a component brings."""
    for name, deployment in named(made, "Deployment").items():
        if name == "generation-large":
            yield "worker", deployment["spec"]["template"]["spec"]
    for group in named(made, "LeaderWorkerSet").values():
        template = group["spec"]["leaderWorkerTemplate"]
        yield "leader", template["leaderTemplate"]["spec"]
        yield "follower", template["workerTemplate"]["spec"]
    for service in named(made, "RayService").values():
        yield from _nodes(service["spec"]["rayClusterConfig"])
    for job in named(made, "RayJob").values():
        yield "submitter", job["spec"]["submitterPodTemplate"]["spec"]
        yield from _nodes(job["spec"]["rayClusterSpec"])


def _nodes(cluster: Any) -> Iterator[tuple[str, Any]]:
    yield "head", cluster["headGroupSpec"]["template"]["spec"]
    for nodes in cluster["workerGroupSpecs"]:
        yield nodes["groupName"], nodes["template"]["spec"]
