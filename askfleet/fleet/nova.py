"""Nova: a SchedulePolicy for each role, by its documentation: there is no public schema."""

from collections.abc import Iterator

from askfleet.fleet.kustomize import replicas
from askfleet.fleet.objects import PART_OF, Object, named
from askfleet.fleet.topology import ROLES, SCALED, Topology

CLUSTER = "kubernetes.io/metadata.name"
ROLE = "app.kubernetes.io/name"


def schedule_policies(topology: Topology) -> Iterator[Object]:
    for role in ROLES:
        yield _policy(f"{topology.name}-{role}", _spec(topology, role))
    common = [{"key": ROLE, "operator": "NotIn", "values": list(ROLES)}]
    spec = {
        "namespaceSelector": {"matchLabels": {CLUSTER: topology.namespace}},
        "resourceSelectors": {"labelSelectors": [{"matchLabels": PART_OF, "matchExpressions": common}]},
        **_each(list(topology.clusters)),
    }
    yield _policy(f"{topology.name}-common", spec)


def _spec(topology: Topology, role: str) -> Object:
    rule = topology.placed(role)
    spec: dict[str, object] = {
        "namespaceSelector": {"matchLabels": {CLUSTER: topology.namespace}},
        "resourceSelectors": {"labelSelectors": [{"matchLabels": {**PART_OF, ROLE: role}}]},
    }
    if rule.mode == "first":
        return {**spec, "orderedClusterSelector": {"matchExpressions": [_in(rule.clusters)]}}
    return {**spec, **_each(list(rule.clusters), _overrides(topology, role, rule.clusters))}


def _each(clusters: list[str], overrides: list[Object] | None = None) -> dict[str, object]:
    spread: dict[str, object] = {"spreadMode": "Duplicate", "topologyKey": CLUSTER}
    if overrides:
        spread["overrides"] = overrides
    return {"clusterSelector": {"matchExpressions": [_in(clusters)]}, "spreadConstraints": spread}


def _overrides(topology: Topology, role: str, clusters: tuple[str, ...]) -> list[Object]:
    """How far a role scales in each cluster; selectors of nodes and keys of neighbours are the overlay's."""
    if role not in SCALED:
        return []
    resource = {"kind": "ScaledObject", "apiVersion": "keda.sh/v1alpha1", "name": role}
    return [
        {
            "topologyValue": name,
            "resources": [
                {
                    **resource,
                    "namespace": topology.namespace,
                    "override": [
                        {"fieldPath": f"spec.{field}", "value": {"staticValue": number}}
                        for field, number in replicas(topology, name, role).items()
                    ],
                }
            ],
        }
        for name in clusters
        if replicas(topology, name, role)
    ]


def _in(clusters: list[str] | tuple[str, ...]) -> Object:
    return {"key": CLUSTER, "operator": "In", "values": list(clusters)}


def _policy(name: str, spec: Object) -> Object:
    return named("policy.elotl.co/v1alpha1", "SchedulePolicy", name, spec)
