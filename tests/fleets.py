"""Topologies for tests: a small one to change, and any valid one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from askfleet.fleet.reading import parse_topology
from askfleet.fleet.rules import check
from askfleet.fleet.topology import ROLES, SCALED, STAGES, Topology

FOLDER = Path(__file__).parents[1] / "deploy" / "fleet"
FILE = FOLDER / "topology.yaml"


def topology(**changes: object) -> Topology:
    """Two clusters that help each other with generation, checked."""
    raw: dict[str, object] = {
        "name": "harbour",
        "repository": "https://git.example.org/askfleet.git",
        "revision": "v1",
        "clusters": {"north": cluster("north"), "south": cluster("south")},
        "spill": [{"cluster": "north", "to": ["south"]}, {"cluster": "south", "to": ["north"]}],
    }
    found = parse_topology(raw | changes)
    check(found)
    return found


def cluster(name: str, **fields: object) -> dict[str, object]:
    return {"region": f"{name}-1", "nats": f"nats.{name}.example.org", **fields}


@st.composite
def valid_topologies(draw: st.DrawFn) -> Topology:
    """One to five clusters with limits, GPUs, placement and spill as they come, within the rules."""
    names = draw(
        st.lists(
            st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True), min_size=1, max_size=5, unique=True
        )
    )
    clusters = {name: _cluster(draw, name) for name in names}
    everywhere = [role for role in ROLES if role not in STAGES]
    placement = []
    for role in draw(st.lists(st.sampled_from(everywhere), unique=True)):
        chosen = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        mode = draw(st.sampled_from(["each", "first"]))
        placement.append({"roles": [role], "clusters": chosen, "mode": mode})
    spill = [rule for name in names for rule in _spill(draw, name, names, clusters)]
    raw = {
        "name": draw(st.sampled_from(["harbour", "a1"])),
        "repository": "https://git.example.org/askfleet.git",
        "revision": "v1",
        "gpus": {"l40s": {"product": "NVIDIA-L40S"}},
        "clusters": clusters,
        "placement": placement,
        "spill": spill,
    }
    found = parse_topology(raw)
    check(found)
    return found


def _cluster(draw: st.DrawFn, name: str) -> dict[str, Any]:
    roles: dict[str, Mapping[str, object]] = {}
    for role in draw(st.lists(st.sampled_from(SCALED), unique=True)):
        most = draw(st.integers(1, 32))
        roles[role] = {"least": draw(st.integers(0, most)), "most": most}
    if "generation-default" in roles and draw(st.booleans()):
        roles["generation-default"] = {**roles["generation-default"], "gpu": "l40s", "gpus_each": 2}
    overlay = draw(st.sampled_from(["base", "overlays/luna", "overlays/aws-karpenter"]))
    data = draw(st.sampled_from(["here", "there"]))
    return cluster(name, roles=roles, gpus={"l40s": 64}, overlay=overlay, data=data)


def _spill(
    draw: st.DrawFn, name: str, names: list[str], clusters: Mapping[str, dict[str, Any]]
) -> list[dict[str, object]]:
    others = [other for other in names if other != name]
    rules: list[dict[str, object]] = []
    if draw(st.booleans()) and others:
        rules.append({"cluster": name, "to": draw(st.permutations(others))})
    alike = [other for other in others if clusters[other]["data"] == clusters[name]["data"]]
    if draw(st.booleans()) and alike:
        rules.append({"cluster": name, "to": alike, "roles": ["router", "retrieval", "sql"]})
    return rules
