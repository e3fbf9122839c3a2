"""What a change of the topology does, in words."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from askfleet.fleet.rendering import render
from askfleet.fleet.topology import ROLES, SCALED, Cluster, Limits, Placement, Topology


def said(old: Topology, new: Topology) -> tuple[str, ...]:
    """A line for each thing that changes; one that says so when nothing does."""
    found = (*_clusters(old, new), *_fleet(old, new), *_roles(old, new), *_spill(old, new))
    return found or ("nothing changes",)


def _clusters(old: Topology, new: Topology) -> Iterator[str]:
    for name in new.clusters:
        if name not in old.clusters:
            yield _added(new, name)
    for name in old.clusters:
        if name not in new.clusters:
            yield (
                f"cluster {name} leaves: its workers, queues and answers stay as they are, and nobody helps "
                "it; drain it before you take its label from Argo CD"
            )
    for name in new.clusters:
        if name in old.clusters:
            yield from _changed(name, old.clusters[name], new.clusters[name])


def _added(topology: Topology, name: str) -> str:
    cluster = topology.clusters[name]
    gpus = ", ".join(f"{number} {kind}" for kind, number in cluster.gpus.items()) or "no GPU"
    runs = ", ".join(role for role in ROLES if topology.runs(name, role))
    return f"cluster {name} joins in {cluster.region}, {gpus}, data {cluster.data}: runs {runs}"


def _changed(name: str, old: Cluster, new: Cluster) -> Iterator[str]:
    words = {
        "region": "only labels change",
        "nats": "neighbours open their leaf nodes to the new address",
        "overlay": "its manifests are built on another folder",
        "data": "neighbours with the same data may do its retrieval and SQL",
        "gpus": "what its roles may grow to is checked against it, and Karpenter adds no more",
        "keys": "its NATS servers let in other keys once they are restarted",
    }
    yield from _fields(f"cluster {name}", old, new, words)


def _fleet(old: Topology, new: Topology) -> Iterator[str]:
    words = {
        "name": "labels of clusters, names of policies and applications change",
        "repository": "Argo CD reads from another place",
        "revision": "Argo CD brings every cluster to it",
        "folder": "Argo CD reads from another folder; what is rendered has to lie there",
        "manifests": "every cluster is built on another folder",
        "keys": "NATS servers let in other keys once they are restarted",
        "namespace": "everything moves to another namespace: queues are not moved with it",
        "leaf_port": "every link between clusters is opened anew",
        "guest_share": "every worker that helps is restarted",
    }
    yield from _fields("fleet", old, new, words)
    for kind, before in old.gpus.items():
        after = new.gpus.get(kind, before)
        if before != after:
            yield f"fleet: {kind} {before.product} -> {after.product}: its pods go to other nodes"
    for role in ROLES:
        yield from _placement(role, old.placed(role), new.placed(role))


def _fields(whose: str, old: BaseModel, new: BaseModel, words: Mapping[str, str]) -> Iterator[str]:
    for field, word in words.items():
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield f"{whose}: {field} {before} -> {after}: {word}"


def _placement(role: str, old: Placement, new: Placement) -> Iterator[str]:
    """Where a role runs is said cluster by cluster; here, what only controllers of fleets look at."""
    if (old.mode, new.mode) == ("first", "first") and old.clusters != new.clusters:
        yield f"{role}: the first that has room of {', '.join(old.clusters)} -> {', '.join(new.clusters)}"
    elif old.mode != new.mode:
        each = {"each": "in each of its clusters", "first": "in the first of its clusters that has room"}
        yield f"{role}: {each[old.mode]} -> {each[new.mode]}"


def _roles(old: Topology, new: Topology) -> Iterator[str]:
    for name in new.clusters:
        if name not in old.clusters:
            continue
        for role in ROLES:
            was, now = old.runs(name, role), new.runs(name, role)
            if was and not now:
                yield f"{role} stops in {name}: work in hand is finished or handed back"
            elif now and not was:
                yield f"{role} starts in {name}{_range(new.limits(name, role))}"
            elif now:
                yield from _limits(name, role, old.limits(name, role), new.limits(name, role))


def _limits(name: str, role: str, old: Limits, new: Limits) -> Iterator[str]:
    if role in SCALED and (old.least, old.most) != (new.least, new.most):
        yield f"{role} in {name}{_range(old)} -> {_range(new).removeprefix(', ')}"
    if (old.gpu, old.gpus_each) != (new.gpu, new.gpus_each):
        yield (
            f"{role} in {name}: {old.gpus_each} x {old.gpu or 'any GPU'} -> {new.gpus_each} x "
            f"{new.gpu or 'any GPU'} each: its pods are replaced, one after another"
        )


def _range(limits: Limits) -> str:
    if limits.least is None and limits.most is None:
        return ", replicas as in the manifests"
    least = "as in the manifests" if limits.least is None else limits.least
    most = "as in the manifests" if limits.most is None else limits.most
    return f", {least} to {most} replicas"


def _spill(old: Topology, new: Topology) -> Iterator[str]:
    for name in {**old.clusters, **new.clusters}:
        for role in ROLES:
            before = old.helpers(name, role)
            after = new.helpers(name, role)
            if before == after:
                continue
            if not after:
                yield f"{role} of {name}: what waits there is worked on by its own workers only"
            else:
                yield f"{role} of {name}: what its workers leave waiting goes to {', then '.join(after)}"


def files_changed(old: Topology, new: Topology, *, folder: Path) -> tuple[str, ...]:
    """Which rendered files differ, by what the operator has to do about them."""
    out = folder / "rendered"
    before = render(old, folder=folder, out=out)
    after = render(new, folder=folder, out=out)
    found = []
    for path in sorted({*before, *after}):
        if before.get(path) != after.get(path):
            verb = "new" if path not in before else "gone" if path not in after else "changed"
            found.append(f"file {path}: {verb}{_then(path)}")
    return tuple(found)


def _then(path: str) -> str:
    return "; restart the NATS servers there, one by one" if path.endswith(".conf") else ""
