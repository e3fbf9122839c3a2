"""NetworkPolicies as a cluster applies them: who may speak with whom, by the labels of pods."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tests.manifests.strict import Manifest

NAMESPACE = "kubernetes.io/metadata.name"
ANYWHERE = "*"
OWN = "."
"""The pods of the policy's own namespace."""


class Door(NamedTuple):
    place: str
    """A namespace, a range of addresses, OWN or ANYWHERE."""
    port: int
    """0 for all of them."""
    protocol: str = "TCP"


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """An empty selector finds every pod."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}, selector
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(_holds(rule, labels) for rule in selector.get("matchExpressions", ()))


def _holds(rule: Manifest, labels: Mapping[str, str]) -> bool:
    assert rule["operator"] == "In", f"{rule['operator']} is not read here"
    return labels.get(rule["key"]) in rule["values"]


def closed(policies: Iterable[Manifest], labels: Mapping[str, str], direction: str) -> bool:
    """Whether a pod is denied all that no policy allows it: one that no policy selects is denied nothing."""
    return any(
        direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], labels)
        for policy in policies
    )


def doors(policies: Iterable[Manifest], labels: Mapping[str, str], direction: str) -> set[Door]:
    """What the policies that select a pod allow it: direction is `Ingress` or `Egress`."""
    return {
        door
        for policy in policies
        # Rules of a direction that is not among the types are ignored, as a cluster ignores them.
        if closed([policy], labels, direction)
        for rule in policy["spec"].get(direction.lower(), ())
        for door in _of_rule(rule, "from" if direction == "Ingress" else "to")
    }


def _of_rule(rule: Manifest, side: str) -> Iterator[Door]:
    assert set(rule) <= {side, "ports"}, f"a cluster drops {set(rule)}"
    places = [_place(peer) for peer in rule[side]] if rule.get(side) else [ANYWHERE]
    for place in places:
        if not rule.get("ports"):
            yield Door(place, 0)
        for port in rule.get("ports", ()):
            yield Door(place, port["port"], port.get("protocol", "TCP"))


def _place(peer: Manifest) -> str:
    match peer:
        case {"namespaceSelector": {"matchLabels": labels}, **rest} if not rest and len(labels) == 1:
            ((label, value),) = labels.items()
            return str(value) if label == NAMESPACE else f"{label}={value}"
        case {"ipBlock": {"cidr": cidr, **rest}} if not rest:
            return str(cidr)
        case {"podSelector": selector} if not selector and len(peer) == 1:
            return OWN
    raise AssertionError(f"{peer} is not read here")
