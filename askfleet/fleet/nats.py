"""NATS of each cluster of a topology: which neighbours' leaf nodes it opens, and which it lets in."""

from collections.abc import Callable
from pathlib import Path

from askfleet.fleet.objects import Object, named
from askfleet.fleet.topology import Topology
from bus.keys import PublicKeys
from bus.server import TLS_FOLDER, Block, Tls, load_keys
from bus.sites import Help, Place, Site, chart_values, configuration, in_kubernetes

Urls = Callable[[str], tuple[str, ...]]
"""The leaf-node addresses of a cluster."""


def site(topology: Topology, cluster: str, *, keys: PublicKeys, urls: Urls) -> Site:
    helps = tuple(
        Help(other, urls(other), _nats_roles(roles)) for other, roles in topology.guests(cluster).items()
    )
    helped_by = {
        other: _nats_roles(topology.guests(other)[cluster])
        for other in topology.clusters
        if cluster in topology.guests(other)
    }
    return Site(cluster, keys, helps, helped_by)


def server_configuration(topology: Topology, cluster: str, *, folder: Path) -> str:
    """What the cluster's NATS servers run with. `folder`: that of the topology's file."""
    return configuration(_shipped(topology, cluster, folder), place(topology))


def server_values(topology: Topology, cluster: str, *, folder: Path) -> Block:
    """The same for NATS' Helm chart, beside the values of one cluster."""
    return chart_values(_shipped(topology, cluster, folder), leaf_port=topology.leaf_port)


def _shipped(topology: Topology, cluster: str, folder: Path) -> Site:
    keys = load_keys(folder / (topology.clusters[cluster].keys or topology.keys))

    def urls(name: str) -> tuple[str, ...]:
        return (f"tls://{topology.clusters[name].nats}:{topology.leaf_port}",)

    return site(topology, cluster, keys=keys, urls=urls)


def links_policy(topology: Topology) -> Object:
    """In every cluster: NATS' servers may reach their neighbours, and be reached by them."""
    ports = [{"protocol": "TCP", "port": topology.leaf_port}]
    spec = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "nats"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": ports}],
        "egress": [{"ports": ports}],
    }
    return named("networking.k8s.io/v1", "NetworkPolicy", "links", spec, namespace="nats")


def place(topology: Topology) -> Place:
    return in_kubernetes(Tls.in_folder(TLS_FOLDER), leaf_port=topology.leaf_port)


def _nats_roles(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Deployments of all models have one role on NATS."""
    return tuple(dict.fromkeys(role.split("-")[0] for role in roles))
