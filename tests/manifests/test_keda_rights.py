"""Each pod may do what its worker needs: on NATS, in the network, on the node, in Kubernetes."""

import re
from pathlib import Path

import pytest

from bus.permissions import API, FLEET_ROLES, fleet_role
from tests.manifests.conftest import Render
from tests.manifests.network import ANYWHERE, Door, closed, doors
from tests.manifests.strict import Manifest, named, read
from tests.manifests.workloads import BASE, KEDA, OVERLAYS, ROLES, Workload, variables, workloads

FOLDERS = (BASE, *OVERLAYS)
NOT_IN_PODS = {"operator"}
"""Roles of people."""

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


def _policies(manifests: list[Manifest]) -> list[Manifest]:
    return list(named(manifests, "NetworkPolicy").values())


def _needed(workload: Workload) -> set[Door]:
    """From the addresses in its own environment."""
    needed = {Door("kube-system", 53, "UDP"), Door("kube-system", 53), Door("nats", 4222)}
    environment, known = workload.environment, variables(workload.kind)
    if "AF_TRACE_ENDPOINT" in known:
        needed.add(Door("phoenix", 6006))
    if "AF_MILVUS_URI" in environment:
        needed.add(Door("milvus", 19530))
    if "AF_DSN" in environment:
        needed.add(Door("postgres", 5432))
    if "AF_KUBERNETES_NAMESPACE" in environment:
        needed |= {Door(ANYWHERE, 443), Door(ANYWHERE, 6443)}
    return needed


@each_folder
def test_a_pod_reaches_what_its_environment_names_and_nothing_else(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    for name, workload in workloads(manifests).items():
        allowed = doors(_policies(manifests), workload.labels, "Egress")
        assert allowed == _needed(workload), name
        for variable, value in workload.environment.items():
            if ".svc.cluster.local" in value:
                host, _, port = value.partition("://")[2].partition(":")
                assert Door(host.split(".")[1], int(port)) in allowed, variable


@each_folder
def test_a_pod_is_reached_by_prometheus_and_the_bridge_by_its_callers_too(
    rendered: Render, folder: Path
) -> None:
    manifests = rendered(folder)
    callers = "ingress"
    if folder.name == "aws-karpenter":  # its load balancers are no pods
        (cluster,) = read(KEDA / "platform" / "eks" / "cluster.yaml")
        callers = cluster["vpc"]["cidr"]
    for name, workload in workloads(manifests).items():
        allowed = doors(_policies(manifests), workload.labels, "Ingress")
        expected = {Door("monitoring", 8080)}
        assert allowed == expected | ({Door(callers, 8080)} if name == "bridge" else set()), name


@each_folder
def test_nothing_is_allowed_unless_a_policy_says_so(rendered: Render, folder: Path) -> None:
    denial = named(rendered(folder), "NetworkPolicy")["deny-all"]
    assert denial["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for direction in ("Ingress", "Egress"):
        assert closed([denial], {"app.kubernetes.io/name": "whoever"}, direction)


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
    (rule,) = policy["spec"]["validations"]
    kept = set(re.findall(r"\bobject\.([\w.?]+) == oldObject\.\1(?!\w)", rule["expression"]))
    assert kept == {"spec", "metadata.?labels", "metadata.?finalizers", "metadata.?ownerReferences"}
    assert all(
        f"variables.{when}.all(k, k == variables.cost ||" in rule["expression"]
        for when in ("before", "after")
    )
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
