"""GPU nodes of one cluster, one for each replica: ordered, kept a while, given back, and what they cost."""

from dataclasses import dataclass

HOUR_S = 3_600.0


@dataclass(frozen=True)
class Provisioning:
    """From the wish for a replica to its first answer, in seconds.

    Args:
        node_s: a new machine with its GPU, drivers and plugin.
        model_s: image, process, weights, graphs: until it is ready.
        keep_node_s: how long a node without a pod stays (Karpenter's consolidateAfter).
        warm_nodes: nodes kept without a replica, as pause pods do: the next replica needs no `node_s`.
        gpus: of one replica.
    """

    node_s: float = 180.0
    model_s: float = 120.0
    keep_node_s: float = 300.0
    warm_nodes: int = 0
    gpus: int = 1


class Nodes:
    """Counts them; whoever has a clock tells it when something is due.

    A node costs from its order on, since machines are paid for while they boot, to its end.
    """

    def __init__(self, provisioning: Provisioning, *, occupied: int = 0) -> None:
        self.provisioning = provisioning
        self.count = occupied + provisioning.warm_nodes
        self._free = provisioning.warm_nodes
        self._coming = 0
        self._node_s = 0.0
        self._since_s = 0.0

    def take(self, now_s: float) -> float:
        """One for a replica; in how many seconds it is there."""
        if self._free:
            self._free -= 1
            return 0.0
        self._change(now_s, 1)
        return self.provisioning.node_s

    def order_spare(self, now_s: float) -> bool:
        """Whether a warm node was ordered, because one is missing; `spare_came` is due after `node_s`."""
        if self._free + self._coming >= self.provisioning.warm_nodes:
            return False
        self._coming += 1
        self._change(now_s, 1)
        return True

    def spare_came(self) -> None:
        self._coming -= 1
        self._free += 1

    def release(self) -> None:
        """The replica has gone; `give_back` is due after `keep_node_s`."""
        self._free += 1

    def give_back(self, now_s: float) -> None:
        """Unless another replica took it meanwhile, or it is one of the warm ones."""
        if self._free > self.provisioning.warm_nodes:
            self._free -= 1
            self._change(now_s, -1)

    def gpu_hours(self, now_s: float) -> float:
        """Until now."""
        self._change(now_s, 0)
        return self._node_s / HOUR_S * self.provisioning.gpus

    def _change(self, now_s: float, by: int) -> None:
        self._node_s += self.count * (now_s - self._since_s)
        self._since_s = now_s
        self.count += by
