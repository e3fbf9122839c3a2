"""What must hold between the parts of a topology."""

from collections import Counter
from collections.abc import Iterator

from askfleet.fleet.topology import (
    DATA_STAGES,
    ON_GPU,
    ROLES,
    SCALED,
    STAGES,
    Limits,
    Spill,
    Topology,
    TopologyError,
)


def check(topology: Topology) -> None:
    """Raises TopologyError for the first rule that is broken."""
    for rule in (_addresses, _gpus, _limits, _placements, _spills, _questions_end):
        for found in rule(topology):
            raise found


def _addresses(topology: Topology) -> Iterator[TopologyError]:
    seen: dict[str, str] = {}
    for name, cluster in topology.clusters.items():
        if cluster.nats in seen:
            yield TopologyError(
                f"clusters.{name}.nats",
                cluster.nats,
                f"is the address of {seen[cluster.nats]}, too.",
                remedy="Give each cluster the address of its own NATS servers.",
            )
        seen[cluster.nats] = name


def _gpus(topology: Topology) -> Iterator[TopologyError]:
    kinds = ", ".join(topology.gpus) or "none"
    remedy = f"Add it to `gpus` of the fleet; there are: {kinds}."
    for name, cluster in topology.clusters.items():
        for kind, number in cluster.gpus.items():
            if kind not in topology.gpus:
                yield TopologyError(f"clusters.{name}.gpus", kind, "is no kind of GPU here.", remedy=remedy)
            if number < 1:
                path = f"clusters.{name}.gpus.{kind}"
                yield TopologyError(path, number, "GPUs are none.", remedy="Leave the kind out.")
        for role in ON_GPU:
            gpu = topology.limits(name, role).gpu
            if gpu is not None and gpu not in topology.gpus:
                yield TopologyError(f"clusters.{name}.roles.{role}.gpu", gpu, "is unknown.", remedy=remedy)


def _limits(topology: Topology) -> Iterator[TopologyError]:
    for name in topology.clusters:
        for role in ROLES:
            yield from _limits_of(role, topology.limits(name, role), f"clusters.{name}.roles.{role}")
        yield from _enough_gpus(topology, name)


def _limits_of(role: str, limits: Limits, path: str) -> Iterator[TopologyError]:
    if role not in SCALED and (limits.least is not None or limits.most is not None):
        remedy = f"Those with a queue are {', '.join(SCALED)}; leave out the limits of {role}."
        yield TopologyError(path, role, "is not scaled by a queue.", remedy=remedy)
    if limits.least is not None and limits.most is not None and limits.least > limits.most:
        remedy = f"Set `most` to {limits.least} or more, or `least` to {limits.most} or less."
        yield TopologyError(f"{path}.least", limits.least, f"exceeds `most` {limits.most}.", remedy=remedy)
    if limits.gpu is not None and role not in ON_GPU:
        yield TopologyError(f"{path}.gpu", limits.gpu, f"is not for {role}.", remedy="Leave `gpu` out.")


def _enough_gpus(topology: Topology, name: str) -> Iterator[TopologyError]:
    wanted: Counter[str] = Counter()
    for role in ON_GPU:
        limits = topology.limits(name, role)
        if limits.gpu is not None and limits.most is not None and topology.runs(name, role):
            wanted[limits.gpu] += limits.most * limits.gpus_each
    for kind, number in wanted.items():
        there = topology.clusters[name].gpus.get(kind, 0)
        if number > there:
            yield TopologyError(
                f"clusters.{name}.gpus.{kind}",
                there,
                f"GPUs are fewer than the {number} that its roles may grow to.",
                remedy=f"Lower `most` in {name}, or give it {number} of {kind}.",
            )


def _placements(topology: Topology) -> Iterator[TopologyError]:
    ruled: set[str] = set()
    for number, rule in enumerate(topology.placement):
        path = f"placement.{number}"
        for cluster in rule.clusters:
            if cluster not in topology.clusters:
                yield _unknown(topology, f"{path}.clusters", cluster)
        if len(set(rule.clusters)) < len(rule.clusters):
            yield TopologyError(
                f"{path}.clusters", rule.clusters, "names one twice.", remedy="Name each once."
            )
        for role in rule.roles:
            if role in ruled:
                remedy = "Keep one rule for each role."
                yield TopologyError(f"{path}.roles", role, "has a rule already.", remedy=remedy)
            ruled.add(role)


def _spills(topology: Topology) -> Iterator[TopologyError]:
    seen: set[tuple[str, str]] = set()
    for number, rule in enumerate(topology.spill):
        path = f"spill.{number}"
        if rule.cluster not in topology.clusters:
            yield _unknown(topology, f"{path}.cluster", rule.cluster)
            continue
        yield from _helpers(topology, rule, path)
        for role in rule.roles:
            if (rule.cluster, role) in seen:
                remedy = "Join the two rules: their order is that of the neighbours."
                yield TopologyError(f"{path}.roles", role, f"of {rule.cluster} spills twice.", remedy=remedy)
            seen.add((rule.cluster, role))


def _helpers(topology: Topology, rule: Spill, path: str) -> Iterator[TopologyError]:
    if len(set(rule.to)) < len(rule.to):
        yield TopologyError(f"{path}.to", rule.to, "names one twice.", remedy="Name each once.")
    for to in rule.to:
        if to not in topology.clusters:
            yield _unknown(topology, f"{path}.to", to)
            continue
        if to == rule.cluster:
            yield TopologyError(f"{path}.to", to, "is the cluster itself.", remedy="Name its neighbours.")
        for role in rule.roles:
            yield from _can_help(topology, rule, to, role, path)


def _can_help(topology: Topology, rule: Spill, to: str, role: str, path: str) -> Iterator[TopologyError]:
    if role not in STAGES:
        remedy = f"Roles that can help a neighbour: {', '.join(STAGES)}."
        yield TopologyError(f"{path}.roles", role, "works for its own cluster only.", remedy=remedy)
    elif not topology.runs(to, role):
        remedy = f"Place {role} in {to}, or take {to} out of `to`."
        yield TopologyError(f"{path}.to", to, f"does not run {role}.", remedy=remedy)
    own, theirs = topology.clusters[rule.cluster].data, topology.clusters[to].data
    if role in DATA_STAGES and own != theirs:
        yield TopologyError(
            f"{path}.to",
            to,
            f"has the data {theirs!r}, and {role} of {rule.cluster} reads {own!r}.",
            remedy="Spill generation only: its evidence comes with the question.",
        )


def _questions_end(topology: Topology) -> Iterator[TopologyError]:
    for name in topology.clusters:
        for role in STAGES if topology.runs(name, "bridge") else ():
            if not topology.runs(name, role) and not topology.helpers(name, role):
                yield TopologyError(
                    f"clusters.{name}",
                    role,
                    "runs neither here nor in a neighbour that helps: questions asked here would not end.",
                    remedy=f"Place {role} in {name}, let it spill to a neighbour, or place no bridge there.",
                )


def _unknown(topology: Topology, path: str, name: str) -> TopologyError:
    known = ", ".join(topology.clusters)
    return TopologyError(path, name, "is no cluster.", remedy=f"The clusters are {known}.")
