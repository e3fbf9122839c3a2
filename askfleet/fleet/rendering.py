"""From a topology to files: the same topology gives the same bytes."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from askfleet.fleet.argo import application_set
from askfleet.fleet.karmada import override_policies, propagation_policies, templates
from askfleet.fleet.kustomize import overlay
from askfleet.fleet.nats import links_policy, server_configuration, server_values
from askfleet.fleet.nova import schedule_policies
from askfleet.fleet.objects import HEAD_LINE, Object, written
from askfleet.fleet.ocm import namespace_work, placements
from askfleet.fleet.topology import Topology, TopologyError
from contracts.errors import Misconfigured

Files = Mapping[str, str]
"""Text by path below the folder of what is rendered."""
FOLDERS = ("argocd", "clusters", "karmada", "nats", "nova", "ocm")


def check_overlays(topology: Topology, *, folder: Path) -> None:
    """Raises TopologyError: what a cluster builds on is not there. Not asked of a topology of the past."""
    manifests = (folder / topology.manifests).resolve()
    for name, cluster in topology.clusters.items():
        if not (manifests / cluster.overlay / "kustomization.yaml").is_file():
            problem = f"has no kustomization.yaml below {manifests}."
            remedy = "Name a folder below `manifests`, such as base or overlays/luna."
            raise TopologyError(f"clusters.{name}.overlay", cluster.overlay, problem, remedy=remedy)


def render(topology: Topology, *, folder: Path, out: Path) -> Files:
    """All files. `folder`: of the topology's file; `out`: where they will lie, for paths between them.

    Raises:
        Misconfigured: a file of public keys can't be read.
    """
    manifests = (folder / topology.manifests).resolve()
    files: dict[str, str] = {"argocd/applicationset.yaml": written([application_set(topology)])}
    for name in topology.clusters:
        below = out.resolve() / "clusters" / name
        found = overlay(topology, name, manifests=os.path.relpath(manifests, below))
        files[f"clusters/{name}/kustomization.yaml"] = written([found])
        files[f"nats/{name}.conf"] = server_configuration(topology, name, folder=folder)
        files[f"nats/{name}.values.yaml"] = written([server_values(topology, name, folder=folder)])
    above = os.path.relpath(manifests, out.resolve() / "karmada")
    return files | _written(
        {
            "karmada/kustomization.yaml": [templates(topology, manifests=above)],
            "karmada/propagation.yaml": propagation_policies(topology),
            "karmada/overrides.yaml": override_policies(topology),
            "nats/network.yaml": [links_policy(topology)],
            "nova/policies.yaml": schedule_policies(topology),
            "ocm/namespace.yaml": [namespace_work(topology)],
            "ocm/placements.yaml": placements(topology),
        }
    )


def _written(found: Mapping[str, Iterable[Object]]) -> dict[str, str]:
    return {path: written(objects) for path, objects in found.items()}


def standing(out: Path) -> Files:
    """What was rendered there before.

    Raises:
        Misconfigured: something else lies there; it would be taken for what is gone, and removed.
    """
    if out.exists() and not out.is_dir():
        raise _not_ours(out)
    for path in sorted(out.iterdir()) if out.exists() else ():
        if path.name not in FOLDERS or not path.is_dir():
            raise _not_ours(path)
    return {str(path.relative_to(out)): _read(path) for path in sorted(out.rglob("*")) if not path.is_dir()}


def _read(path: Path) -> str:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise _not_ours(path) from error
    if not text.startswith(HEAD_LINE):
        raise _not_ours(path)
    return text


def _not_ours(path: Path) -> Misconfigured:
    return Misconfigured(
        f"{path} was not rendered by askfleet.", remedy="Name an empty folder, or one that was rendered."
    )


def write(files: Files, out: Path) -> None:
    """Files of clusters that are gone are removed.

    Raises:
        Misconfigured: the folder holds something that was not rendered, or can't be written.
    """
    gone = set(standing(out)) - set(files)
    try:
        for path in gone:
            (out / path).unlink()
        for path, text in files.items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_text(text)
        for folder in sorted((found for found in out.rglob("*") if found.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise Misconfigured(
            f"{error.filename or out} can't be written: {error.strerror}.",
            remedy="Name a folder of your own.",
        ) from error


def stale(files: Files, out: Path) -> tuple[str, ...]:
    """Paths that differ from what would be rendered, are missing, or are too many; raises as `standing`."""
    there = standing(out)
    return tuple(sorted(path for path in {*files, *there} if files.get(path) != there.get(path)))
