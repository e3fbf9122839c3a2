"""NATS of each cluster of a topology: which neighbours' leaf nodes it opens, and which it lets in."""

from collections.abc import Callable
from pathlib import Path

from askfleet.fleet.topology import Topology
from bus.keys import PublicKeys
from bus.server import TLS_FOLDER, Tls, load_keys
from bus.sites import Help, Place, Site, configuration, in_kubernetes

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
    keys = load_keys(folder / (topology.clusters[cluster].keys or topology.keys))

    def urls(name: str) -> tuple[str, ...]:
        return (f"tls://{topology.clusters[name].nats}:{topology.leaf_port}",)

    found = site(topology, cluster, keys=keys, urls=urls)
    return configuration(found, place(topology))


def place(topology: Topology) -> Place:
    return in_kubernetes(Tls.in_folder(TLS_FOLDER), leaf_port=topology.leaf_port)


def _nats_roles(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Deployments of all models have one role on NATS."""
    return tuple(dict.fromkeys(role.split("-")[0] for role in roles))
