"""How a kind of GPU is asked for: by whom a cluster has its nodes from.

A label that a node carries only once it runs (`nvidia.com/gpu.product`, by NVIDIA's feature discovery) finds
nodes that are there; Karpenter and Luna must know the kind before they add one.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from askfleet.fleet.objects import Object, named
from askfleet.fleet.topology import ON_GPU, Limits, Topology

POOL = "askfleet-gpu"
"""The NodePool of the overlay for Karpenter."""
EC2_NAME, EC2_COUNT = (f"karpenter.k8s.aws/instance-gpu-{what}" for what in ("name", "count"))
LUNA_LABEL = "elotl-luna"
KEEPS: Mapping[str, str] = MappingProxyType(
    {"karpenter": "karpenter.sh/do-not-disrupt", "luna": "pod.elotl.co/do-not-evict"}
)
"""The annotation by which a pod that writes answers is not moved; overlays have it already."""
LUNA_SKU, LUNA_TYPES = (f"node.elotl.co/instance-{what}" for what in ("gpu-skus", "type-regexp"))


def node_selector(topology: Topology, cluster: str, kind: str) -> dict[str, str]:
    match topology.clusters[cluster].nodes_by:
        case "karpenter":
            return {EC2_NAME: kind}
        case "luna":
            return {}
        case "labels":
            return {"nvidia.com/gpu.product": topology.gpus[kind].product}


def annotations(topology: Topology, cluster: str, kind: str) -> dict[str, str | None]:
    """Of the pod; None takes one away that the overlay has."""
    if topology.clusters[cluster].nodes_by != "luna":
        return {}
    return {LUNA_SKU: kind.upper(), LUNA_TYPES: None}


def pool_patch(topology: Topology, cluster: str) -> tuple[Object, list[Object]] | None:
    """What Karpenter may add: the kinds and the number that the topology gives.

    Returns its NodePool and a JSON patch. `test` stops the rendering where the overlay was changed beneath.
    """
    asked = {limits.gpu: limits for limits in _asking(topology, cluster)}
    if topology.clusters[cluster].nodes_by != "karpenter" or not asked:
        return None
    requirements = "/spec/template/spec/requirements"
    return named("karpenter.sh/v1", "NodePool", POOL, {}), [
        _operation("replace", "/spec/limits", {"nvidia.com/gpu": str(_number(topology, cluster))}),
        _operation("test", f"{requirements}/1/key", EC2_NAME),
        _operation("replace", f"{requirements}/1/values", sorted(map(str, asked))),
        _operation("test", f"{requirements}/2/key", EC2_COUNT),
        _operation("replace", f"{requirements}/2", _count(min(found.gpus_each for found in asked.values()))),
    ]


def _asking(topology: Topology, cluster: str) -> Iterator[Limits]:
    for role in ON_GPU:
        limits = topology.limits(cluster, role)
        if limits.gpu is not None and topology.runs(cluster, role):
            yield limits


def _number(topology: Topology, cluster: str) -> int:
    return sum(topology.clusters[cluster].gpus.values())


def _count(each: int) -> Object:
    """One GPU: a node of its own. Several: any node that has as many."""
    if each == 1:
        return {"key": EC2_COUNT, "operator": "In", "values": ["1"]}
    return {"key": EC2_COUNT, "operator": "Gt", "values": [str(each - 1)]}


def _operation(name: str, path: str, value: object) -> Object:
    return {"op": name, "path": path, "value": value}
