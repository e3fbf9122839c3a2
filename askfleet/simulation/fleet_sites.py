"""Clusters for a simulation: those of a topology file, or a number of equal ones in a ring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from askfleet.fleet.topology import Topology
from askfleet.scaling import ScaledObject
from askfleet.simulation.assumptions import Assumptions
from askfleet.simulation.policy import by_queue
from askfleet.simulation.site import Site
from contracts.errors import Misconfigured

ROLE = "generation-default"


@dataclass(frozen=True)
class Place:
    """One cluster: replicas at least and at most, GPUs of each, and who helps it."""

    name: str
    least: int
    most: int
    gpus_each: int
    helpers: tuple[str, ...]


def of_topology(topology: Topology, shipped: ScaledObject) -> list[Place]:
    """Clusters that run generation; limits that the topology leaves open are the ScaledObject's."""
    found = []
    for name in topology.clusters:
        if not topology.runs(name, ROLE):
            continue
        limits = topology.limits(name, ROLE)
        least = shipped.min_replicas if limits.least is None else limits.least
        most = shipped.max_replicas if limits.most is None else limits.most
        found.append(Place(name, least, max(most, least), limits.gpus_each, topology.helpers(name, ROLE)))
    return found


def ring(clusters: int, gpus: int, *, least: int = 1) -> list[Place]:
    """Equal clusters with so many GPUs in all; each is helped by the two beside it."""
    if clusters < 1 or gpus < clusters:
        raise Misconfigured(
            f"{gpus} GPUs in {clusters} clusters are not one for each.",
            remedy="Give more, or fewer clusters.",
        )
    names = [f"cluster-{number}" for number in range(1, clusters + 1)]
    places = []
    for number, name in enumerate(names):
        beside = dict.fromkeys((names[(number + 1) % clusters], names[number - 1]))
        share = gpus // clusters + (number < gpus % clusters)
        helpers = tuple(other for other in beside if other != name)
        places.append(Place(name, min(least, share), share, 1, helpers))
    return places


def sites(places: Sequence[Place], shipped: ScaledObject, assumed: Assumptions, *, spill: bool) -> list[Site]:
    """Each is scaled by its own queue, as the ScaledObject says."""
    names = [place.name for place in places]
    return [
        Site(
            place.name,
            by_queue(
                replace(shipped, min_replicas=place.least, max_replicas=place.most, idle_replicas=None),
                name=place.name,
            ),
            assumed.service,
            replace(assumed.provisioning, gpus=place.gpus_each),
            helpers=tuple(names.index(other) for other in place.helpers if other in names) if spill else (),
            ack_pending=assumed.ack_pending,
        )
        for place in places
    ]
