"""Each pod may do what its worker needs: on NATS, in the network, on the node, in Kubernetes."""

from pathlib import Path

import pytest

from bus.permissions import API, FLEET_ROLES, fleet_role
from tests.manifests.conftest import Render
from tests.manifests.strict import Manifest, named
from tests.manifests.workloads import BASE, OVERLAYS, ROLES, Workload, variables, workloads

FOLDERS = (BASE, *OVERLAYS)
NOT_IN_PODS = {"operator"}
"""Roles of people."""
NAMESPACE = "kubernetes.io/metadata.name"

each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@each_folder
def test_every_role_of_nats_is_one_workload_and_the_other_way_round(rendered: Render, folder: Path) -> None:
    used = {ROLES[workload.kind] for workload in workloads(rendered(folder)).values()}
    assert used == {role.name for role in FLEET_ROLES} - NOT_IN_PODS


@each_folder
def test_a_pod_is_scaled_by_the_streams_that_its_role_may_pull_from(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    pulls = f"{API}.CONSUMER.MSG.NEXT."
    scaled = named(manifests, "ScaledObject")
    for name, workload in workloads(manifests).items():
        allowed = {
            tuple(subject.removeprefix(pulls).split("."))
            for subject in fleet_role(ROLES[workload.kind]).publish
            if subject.startswith(pulls)
        }
        triggers = scaled[name]["spec"]["triggers"] if name in scaled else ()
        asked = {(t["metadata"]["stream"], t["metadata"]["consumer"]) for t in triggers}
        if workload.kind == "generation":  # its role serves any model
            asked = {(stream, "*") for stream, _ in asked}
        if workload.kind != "bridge":  # reads the log of answers, which is no queue
            assert asked == allowed, name


def _selected(policy: Manifest, known: dict[str, Workload]) -> set[str]:
    selector = policy["spec"]["podSelector"]
    (rule,) = selector.get("matchExpressions", [None])
    if rule is not None:
        assert rule["operator"] == "In"
        return set(rule["values"])
    wanted = selector.get("matchLabels", {}).items()
    return {name for name, workload in known.items() if wanted <= workload.labels.items()}


def _egress(manifests: list[Manifest]) -> dict[str, set[tuple[str, int]]]:
    """By workload: namespace (`*` for any address) and port."""
    known = workloads(manifests)
    result: dict[str, set[tuple[str, int]]] = {name: set() for name in known}
    for policy in named(manifests, "NetworkPolicy").values():
        for rule in policy["spec"].get("egress", ()):
            places = [peer["namespaceSelector"]["matchLabels"][NAMESPACE] for peer in rule.get("to", ())] or [
                "*"
            ]
            for name in _selected(policy, known):
                result[name] |= {(place, port["port"]) for place in places for port in rule["ports"]}
    return result


def _needed(workload: Workload) -> set[tuple[str, int]]:
    """From the addresses in its own environment."""
    needed = {("kube-system", 53), ("nats", 4222)}
    environment, known = workload.environment, variables(workload.kind)
    if "AF_TRACE_ENDPOINT" in known:
        needed.add(("phoenix", 6006))
    if "AF_MILVUS_URI" in environment:
        needed.add(("milvus", 19530))
    if "AF_DSN" in environment:
        needed.add(("postgres", 5432))
    if "AF_KUBERNETES_NAMESPACE" in environment:
        needed |= {("*", 443), ("*", 6443)}
    return needed


@each_folder
def test_a_pod_reaches_what_its_environment_names_and_nothing_else(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    allowed = _egress(manifests)
    for name, workload in workloads(manifests).items():
        assert allowed[name] == _needed(workload), name
        for variable, value in workload.environment.items():
            if ".svc.cluster.local" in value:
                host, _, port = value.partition("://")[2].partition(":")
                assert (host.split(".")[1], int(port)) in allowed[name], variable


@each_folder
def test_nothing_is_allowed_unless_a_policy_says_so(rendered: Render, folder: Path) -> None:
    policies = named(rendered(folder), "NetworkPolicy")
    denial = policies.pop("deny-all")["spec"]
    assert denial == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in policy["spec"].get("ingress", ()):
            assert rule["from"], name
            assert [port["port"] for port in rule["ports"]] == [8080], name
    entered = {name for name, p in policies.items() if "Ingress" in p["spec"]["policyTypes"]}
    assert entered == {"metrics", "door"}
    assert _selected(policies["door"], workloads(rendered(folder))) == {"bridge"}


@each_folder
def test_a_container_is_no_root_writes_nothing_and_gains_nothing(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        pod = workload.pod["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] >= 10000
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            assert field not in workload.pod
        for container in workload.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, f"{workload.name}/{container['name']}"
        assert not [volume for volume in workload.pod["volumes"] if "hostPath" in volume]


@each_folder
def test_the_namespace_refuses_a_pod_that_would_be_more(rendered: Render, folder: Path) -> None:
    (namespace,) = named(rendered(folder), "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each_folder
def test_every_container_says_what_it_takes(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        for container in workload.containers:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), workload.name
            # No limit on CPU: it would slow a burst down while the node is idle.
            assert "memory" in resources["limits"]
            assert "cpu" not in resources["limits"]


@each_folder
def test_only_the_costs_speak_to_kubernetes_and_may_patch_pods_alone(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    for name, account in named(manifests, "ServiceAccount").items():
        assert account["automountServiceAccountToken"] is False, name
    for name, workload in workloads(manifests).items():
        assert workload.pod["automountServiceAccountToken"] is False
        tokens = [volume for volume in workload.pod["volumes"] if "projected" in volume]
        assert bool(tokens) == (name == "costs"), name
    (role,) = named(manifests, "Role").values()
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}]
    (binding,) = named(manifests, "RoleBinding").values()
    assert [(s["name"], s["namespace"]) for s in binding["subjects"]] == [("costs", "askfleet")]
    (policy,) = named(manifests, "ValidatingAdmissionPolicy").values()
    (bound,) = named(manifests, "ValidatingAdmissionPolicyBinding").values()
    assert bound["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
    (condition,) = policy["spec"]["matchConditions"]
    assert '"system:serviceaccount:askfleet:costs"' in condition["expression"]


@each_folder
def test_pods_are_spread_over_zones_and_nodes(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        if workload.kind == "provision":
            continue
        spread = workload.pod["topologySpreadConstraints"]
        keys = [constraint["topologyKey"] for constraint in spread]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        for constraint in spread:
            assert constraint["labelSelector"]["matchLabels"].items() <= workload.labels.items()
