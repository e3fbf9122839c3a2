"""One kustomize overlay for each cluster: what it runs, how far each role scales, whom it helps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import yaml

from askfleet.fleet.gpus import annotations, node_selector, pool_patch
from askfleet.fleet.objects import CLUSTER_LABEL, FLEET_LABEL, REGION_LABEL, Object, named
from askfleet.fleet.topology import ON_GPU, ROLES, SCALED, Topology

KEYS = "/var/run/askfleet/neighbours"
APIS = {
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "PodDisruptionBudget": "policy/v1",
    "ScaledObject": "keda.sh/v1alpha1",
}
OWN_NAMESPACE = "askfleet"
"""In which the manifests are written."""
USER = "request.userInfo.username"
OF_A_ROLE = {
    **dict.fromkeys(SCALED, ("Deployment", "ScaledObject", "PodDisruptionBudget")),
    "bridge": ("Deployment", "PodDisruptionBudget"),
    "ops": ("Deployment",),
}
"""What goes where a role does not run; accounts, configuration and network rules stay, and do nothing."""


def overlay(topology: Topology, cluster: str, *, manifests: str) -> Object:
    """The kustomization. `manifests`: from its folder to those of one cluster."""
    found = topology.clusters[cluster]
    labels = {FLEET_LABEL: topology.name, CLUSTER_LABEL: cluster, REGION_LABEL: found.region}
    scales = any(topology.runs(cluster, role) for role in SCALED)
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": topology.namespace,
        "resources": [f"{manifests}/{found.overlay}"],
        **({} if scales else {"components": [f"{manifests}/without-costs"]}),
        "labels": [{"pairs": labels}],
        "patches": [
            *targeted(patches(topology, cluster)),
            *account_patches(topology),
            *_pools(topology, cluster),
        ],
    }


def account_patches(topology: Topology) -> Iterator[Object]:
    """Kustomize moves objects to another namespace, not the account that an expression names."""
    if topology.namespace != OWN_NAMESPACE:
        account = f"system:serviceaccount:{topology.namespace}:costs"
        field = {"path": "/spec/matchConditions/0/expression", "value": f'{USER} == "{account}"'}
        yield {
            "target": {"kind": "ValidatingAdmissionPolicy", "name": "askfleet-costs"},
            "patch": _text([{"op": "replace", **field}]),
        }


def _pools(topology: Topology, cluster: str) -> Iterator[Object]:
    found = pool_patch(topology, cluster)
    if found is not None:
        pool, operations = found
        yield {"target": {"kind": pool["kind"], "name": _name(pool)}, "patch": _text(operations)}


def targeted(patches: Iterable[Object]) -> list[Object]:
    """As a kustomization has them: each with the one object that it is for."""
    return [
        {"target": {"kind": str(patch["kind"]), "name": _name(patch)}, "patch": _text(patch)}
        for patch in patches
    ]


def patches(topology: Topology, cluster: str) -> Iterator[Object]:
    """Strategic merge patches, role by role."""
    yield shared_queues_patch()
    for role in ROLES:
        if not topology.runs(cluster, role):
            yield from (_deleted(kind, role) for kind in OF_A_ROLE[role])
            continue
        if role in SCALED:
            scaled = limits_patch(topology, cluster, role)
            if scaled is not None:
                yield scaled
        if role in ON_GPU and topology.limits(cluster, role).gpu is not None:
            yield gpu_patch(topology, cluster, role)
        if neighbours(topology, cluster, role):
            yield guests_patch(topology, cluster, role)


def limits_patch(topology: Topology, cluster: str, role: str) -> Object | None:
    spec = replicas(topology, cluster, role)
    return _object("ScaledObject", role, spec) if spec else None


def replicas(topology: Topology, cluster: str, role: str) -> dict[str, int]:
    """The fields of a ScaledObject that a topology rules."""
    limits = topology.limits(cluster, role)
    both = {"minReplicaCount": limits.least, "maxReplicaCount": limits.most}
    return {name: number for name, number in both.items() if number is not None}


def gpu_patch(topology: Topology, cluster: str, role: str) -> Object:
    limits = topology.limits(cluster, role)
    assert limits.gpu is not None
    number = {"nvidia.com/gpu": limits.gpus_each}
    container: dict[str, object] = {"name": "worker", "resources": {"requests": number, "limits": number}}
    if limits.gpus_each > 1:
        container["env"] = [together(limits.gpus_each)]
    pod: dict[str, object] = {"containers": [container]}
    if selector := node_selector(topology, cluster, limits.gpu):
        pod["nodeSelector"] = selector
    template: dict[str, object] = {"spec": pod}
    if marks := annotations(topology, cluster, limits.gpu):
        template["metadata"] = {"annotations": marks}
    return _object("Deployment", role, {"template": template})


def together(gpus: int) -> Object:
    """All GPUs of a pod hold one model; vLLM would use the first alone."""
    return {"name": "AF_ENGINE_VLLM_TENSOR_PARALLEL", "value": str(gpus)}


def guests_patch(topology: Topology, cluster: str, role: str) -> Object:
    """Its keys for the neighbours' queues are in a Secret with one file for each, `<neighbour>.nk`."""
    return helping_patch(topology, role, {"AF_NEIGHBOURS": neighbours(topology, cluster, role)})


def helping_patch(topology: Topology, role: str, variables: Mapping[str, str]) -> Object:
    """What a role that may help needs in any cluster; where it helps nobody there need be no Secret."""
    named = {"AF_NEIGHBOUR_KEYS": KEYS, "AF_NEIGHBOUR_SHARE": str(topology.guest_share), **variables}
    container = {
        "name": "worker",
        "env": [{"name": name, "value": value} for name, value in named.items()],
        "volumeMounts": [{"name": "neighbours", "mountPath": KEYS, "readOnly": True}],
    }
    secret = {"secretName": f"nats-neighbours-{role}", "defaultMode": 0o440, "optional": True}
    volumes = [{"name": "neighbours", "secret": secret}]
    return _deployment(role, {"containers": [container], "volumes": volumes})


def neighbours(topology: Topology, cluster: str, role: str) -> str:
    """Whom a role helps, each with its place in that neighbour's order, as AF_NEIGHBOURS has it."""
    helped = topology.helped(cluster, role)
    return ",".join(f"{name}:{topology.helpers(name, role).index(cluster) + 1}" for name in helped)


def shared_queues_patch() -> Object:
    """Consumers that neighbours may pull from, too."""
    container = {"name": "worker", "env": [{"name": "AF_SHARED_QUEUES", "value": "true"}]}
    return _object("Job", "provision", {"template": {"spec": {"containers": [container]}}})


def _deployment(role: str, pod: Object) -> Object:
    return _object("Deployment", role, {"template": {"spec": pod}})


def _object(kind: str, name: str, spec: Object) -> Object:
    return named(APIS[kind], kind, name, spec)


def _deleted(kind: str, role: str) -> Object:
    return {"$patch": "delete", "apiVersion": APIS[kind], "kind": kind, "metadata": {"name": role}}


def _name(patch: Object) -> str:
    metadata = patch["metadata"]
    assert isinstance(metadata, dict)
    return str(metadata["name"])


def _text(patch: Object | Sequence[Object]) -> str:
    return yaml.safe_dump(patch, sort_keys=False)
