"""One cluster as it is simulated: what it has, who is asked there, and who helps it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from askfleet.simulation.nodes import Provisioning
from askfleet.simulation.policy import Policy
from askfleet.simulation.service import Service

GUEST_SHARE = 0.5


@dataclass(frozen=True)
class Site:
    """Without its arrivals.

    Args:
        helpers: places in the fleet of those who take what waits here, nearest first.
        ack_pending: questions asked here that may be in work at once, wherever; 0: no limit.
    """

    name: str
    policy: Policy
    service: Service = field(default_factory=Service)
    provisioning: Provisioning = field(default_factory=Provisioning)
    helpers: tuple[int, ...] = ()
    ack_pending: int = 0

    @property
    def nodes(self) -> Provisioning:
        return replace(self.provisioning, warm_nodes=self.policy.warm_nodes)


def helped_by(sites: Sequence[Site], place: int) -> tuple[int, ...]:
    """Whose work a cluster takes: first those that count on it before others, then by name."""
    found = [
        (site.helpers.index(place), site.name, other)
        for other, site in enumerate(sites)
        if place in site.helpers
    ]
    return tuple(other for _, _, other in sorted(found))


def guest_slots(slots: int, share: float, neighbours: int) -> int:
    """What one neighbour's work may take of so many slots (workers.generation's rule, for each worker)."""
    return max(1, int(slots * share / neighbours)) if slots and neighbours else 0
