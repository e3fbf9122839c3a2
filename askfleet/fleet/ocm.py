"""Open Cluster Management: a Placement for each role, and the namespace by a ManifestWorkReplicaSet.

A ManifestWorkReplicaSet sends the same manifests to all clusters of a Placement. That fits the namespace;
what differs between clusters comes from their overlays, which Argo CD applies.
"""

from collections.abc import Iterator

from askfleet.fleet.objects import FLEET_LABEL, PART_OF, Object, named
from askfleet.fleet.topology import ROLES, Topology

NAME = "name"
"""The label with a cluster's name that the import controller of OCM sets."""


def placements(topology: Topology) -> Iterator[Object]:
    yield _placement(topology, topology.name, list(topology.clusters))
    for role in ROLES:
        chosen = [name for name in topology.clusters if topology.runs(name, role)]
        yield _placement(topology, f"{topology.name}-{role}", chosen)


def _placement(topology: Topology, name: str, clusters: list[str]) -> Object:
    expression = {"key": NAME, "operator": "In", "values": sorted(clusters)}
    spec = {
        "clusterSets": [topology.name],
        "predicates": [{"requiredClusterSelector": {"labelSelector": {"matchExpressions": [expression]}}}],
        # A hub that can't see a cluster must not take its work away: the cluster goes on by itself.
        "tolerations": [
            {"key": f"cluster.open-cluster-management.io/{state}", "operator": "Exists"}
            for state in ("unreachable", "unavailable")
        ],
    }
    api = "cluster.open-cluster-management.io/v1beta1"
    return named(api, "Placement", name, spec, namespace=topology.namespace)


def namespace_work(topology: Topology) -> Object:
    labels = {
        **PART_OF,
        FLEET_LABEL: topology.name,
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": topology.namespace, "labels": labels},
    }
    spec = {
        "cascadeDeletionPolicy": "Background",
        "placementRefs": [
            {
                "name": topology.name,
                "rolloutStrategy": {"type": "Progressive", "progressive": {"maxConcurrency": 1}},
            }
        ],
        "manifestWorkTemplate": {
            # Taking a cluster out of the fleet leaves its namespace, and the work in it, where it is.
            "deleteOption": {"propagationPolicy": "Orphan"},
            "workload": {"manifests": [namespace]},
        },
    }
    api = "work.open-cluster-management.io/v1alpha1"
    name = f"{topology.name}-namespace"
    return named(api, "ManifestWorkReplicaSet", name, spec, namespace=topology.namespace)
