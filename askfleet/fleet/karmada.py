"""Karmada: which member clusters get what, and what differs in each.

Replicas are duplicated, not divided, and a Deployment keeps those that the member's own KEDA set, which
Karmada would put back otherwise.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import yaml

from askfleet.fleet.gpus import KEEPS, LUNA_LABEL, annotations, node_selector
from askfleet.fleet.kustomize import (
    account_patches,
    helping_patch,
    neighbours,
    replicas,
    shared_queues_patch,
    targeted,
    together,
)
from askfleet.fleet.objects import PART_OF, Object, named
from askfleet.fleet.topology import ON_GPU, ROLES, SCALED, Topology

API = "policy.karmada.io/v1alpha1"
RETAIN = {"resourcetemplate.karmada.io/retain-replicas": "true"}
COMMON = (
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
)
"""Kinds that every cluster gets whole. The namespace itself Karmada makes in each of them."""
WITHOUT_NAMESPACE = (
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
)
"""The same for what no PropagationPolicy reaches: that one selects within its own namespace."""


def templates(topology: Topology, *, manifests: str) -> Object:
    """What is applied to Karmada's own API server: the manifests of one cluster and the policies.

    Kustomize writes the namespace on kinds, too, of which it does not know that they have none; the API
    server drops it there.
    """
    label = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any", "labels": RETAIN}}
    helping = (
        helping_patch(topology, role, {})
        for role in ROLES
        if any(neighbours(topology, name, role) for name in topology.clusters)
    )
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": topology.namespace,
        "resources": [f"{manifests}/base", "propagation.yaml", "overrides.yaml"],
        "patches": [
            {"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(label, sort_keys=False)},
            *targeted((shared_queues_patch(), *helping)),
            *account_patches(topology),
        ],
    }


def propagation_policies(topology: Topology) -> Iterator[Object]:
    everywhere = _clusters(topology.clusters)
    wide = _propagated(_of_kinds(WITHOUT_NAMESPACE), everywhere)
    yield named(API, "ClusterPropagationPolicy", f"{topology.name}-common", wide)
    yield _propagation(topology, f"{topology.name}-common", _of_kinds(COMMON), everywhere)
    marking = [name for name in topology.clusters if any(_may_run(topology, name, role) for role in SCALED)]
    if marking:
        costs = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "costs"}]
        yield _propagation(topology, f"{topology.name}-costs", costs, _clusters(marking))
    for role in ROLES:
        selected = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": role}]
        if role in SCALED:
            selected.append({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": role})
        yield _propagation(topology, f"{topology.name}-{role}", selected, _affinity(topology, role))


def _of_kinds(kinds: Iterable[tuple[str, str]]) -> list[Object]:
    return [
        {"apiVersion": api, "kind": kind, "labelSelector": {"matchLabels": PART_OF}} for api, kind in kinds
    ]


def _clusters(names: Iterable[str]) -> Object:
    return {"clusterAffinity": {"clusterNames": list(names)}}


def _affinity(topology: Topology, role: str) -> Object:
    rule = topology.placed(role)
    if rule.mode == "each":
        return _clusters(rule.clusters)
    ordered = [{"affinityName": name, "clusterNames": [name]} for name in rule.clusters]
    return {"clusterAffinities": ordered}


def _propagation(topology: Topology, name: str, selected: Sequence[Object], affinity: Object) -> Object:
    spec = _propagated(selected, affinity)
    return named(API, "PropagationPolicy", name, spec, namespace=topology.namespace)


def _propagated(selected: Sequence[Object], affinity: Object) -> Object:
    placement = {**affinity, "replicaScheduling": {"replicaSchedulingType": "Duplicated"}}
    return {"resourceSelectors": selected, "placement": placement, "conflictResolution": "Abort"}


def override_policies(topology: Topology) -> Iterator[Object]:
    """One for each role that differs from the manifests somewhere."""
    for role in ROLES:
        scaled = {name: _limits(topology, name, role) for name in topology.clusters}
        if role in SCALED and any(scaled.values()):
            selected = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": role}
            yield _override(topology, f"{role}-limits", selected, scaled)
        pods = {name: _pod(topology, name, role) for name in topology.clusters}
        if any(pods.values()):
            selected = {"apiVersion": "apps/v1", "kind": "Deployment", "name": role}
            yield _override(topology, f"{role}-pods", selected, pods)


def _override(topology: Topology, name: str, selected: Object, changes: Mapping[str, list[Object]]) -> Object:
    rules = [
        {"targetCluster": {"clusterNames": [cluster]}, "overriders": {"plaintext": found}}
        for cluster, found in changes.items()
        if found
    ]
    spec = {"resourceSelectors": [selected], "overrideRules": rules}
    return named(API, "OverridePolicy", f"{topology.name}-{name}", spec, namespace=topology.namespace)


def _limits(topology: Topology, cluster: str, role: str) -> list[Object]:
    if not _may_run(topology, cluster, role):
        return []
    return [_put(f"/spec/{field}", number) for field, number in replicas(topology, cluster, role).items()]


def _pod(topology: Topology, cluster: str, role: str) -> list[Object]:
    if not _may_run(topology, cluster, role):
        return []
    worker = "/spec/template/spec/containers/0"
    found: list[Object] = []
    limits = topology.limits(cluster, role)
    if role in ON_GPU and limits.gpu is not None:
        found += _nodes(topology, cluster, limits.gpu)
        found += [
            _put(f"{worker}/resources/{part}/nvidia.com~1gpu", limits.gpus_each)
            for part in ("requests", "limits")
        ]
        if limits.gpus_each > 1:
            found.append(_put(f"{worker}/env/-", together(limits.gpus_each)))
    helped = neighbours(topology, cluster, role)
    if helped:
        found.append(_put(f"{worker}/env/-", {"name": "AF_NEIGHBOURS", "value": helped}))
    return found


def _nodes(topology: Topology, cluster: str, gpu: str) -> Iterator[Object]:
    """What an overlay says of nodes: Karmada is given the base, which is the same for all."""
    template, by = "/spec/template", topology.clusters[cluster].nodes_by
    if selector := node_selector(topology, cluster, gpu):
        yield _put(f"{template}/spec/nodeSelector", selector)
    if by == "luna":
        yield _put(f"{template}/metadata/labels/{LUNA_LABEL}", "true")
    marks = annotations(topology, cluster, gpu) | ({KEEPS[by]: "true"} if by in KEEPS else {})
    for name, value in marks.items():
        if value is not None:
            yield _put(f"{template}/metadata/annotations/{name.replace('/', '~1')}", value)


def _may_run(topology: Topology, cluster: str, role: str) -> bool:
    return cluster in topology.placed(role).clusters


def _put(path: str, value: object) -> Object:
    """JSON patch's `add`, which replaces a field that is there."""
    return {"path": path, "operator": "add", "value": value}
