"""The numbers of the manifests hang together: slots of a worker, lag per pod, limits of the queue, grace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.permissions import FLEET
from bus.provision import lanes_of
from bus.settings import BusSettings
from bus.topology import STAGES, Stream
from tests.manifests.conftest import Render
from tests.manifests.strict import Manifest, named
from tests.manifests.workloads import BASE, KEDA, OVERLAYS, Workload, quantity, workloads
from workers.ops.settings import OpsSettings

FOLDERS = (BASE, *OVERLAYS)
HEADLESS = "nats-headless.nats.svc.cluster.local:8222"
QUEUE = "askfleet.dev/queue-per-pod"
SPOT_NOTICE_S = 120
GPU = "nvidia.com/gpu"
AWS = next(folder for folder in OVERLAYS if folder.name == "aws-karpenter")
LEAVING_S = 10
"""After the drain: connections are closed, the last spans leave, the process ends."""

each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def _scaled(manifests: list[Manifest]) -> Iterator[tuple[Manifest, Workload, Stream]]:
    known = workloads(manifests)
    for name, scaled in named(manifests, "ScaledObject").items():
        yield scaled, known[name], STAGES[known[name].kind]


def _triggers(scaled: Manifest) -> dict[str, dict[str, Any]]:
    """By the name that the formula uses."""
    return {trigger["name"]: trigger for trigger in scaled["spec"]["triggers"]}


def _target(scaled: Manifest) -> int:
    modifiers = scaled["spec"]["advanced"].get("scalingModifiers")
    (only, *_) = scaled["spec"]["triggers"]
    return int(modifiers["target"] if modifiers else only["metadata"]["lagThreshold"])


@each_folder
def test_every_stage_is_scaled_by_both_lanes_of_its_queue(rendered: Render, folder: Path) -> None:
    found = {}
    for scaled, workload, _ in _scaled(rendered(folder)):
        stream, consumers = lanes_of(workload.name)
        triggers = _triggers(scaled)
        assert [trigger["metadata"]["consumer"] for trigger in triggers.values()] == list(consumers)
        assert {trigger["metadata"]["stream"] for trigger in triggers.values()} == {stream}
        assert {trigger["metadata"]["account"] for trigger in triggers.values()} == {FLEET}
        found[workload.kind] = stream
    assert found == {stage: stream.name for stage, stream in STAGES.items()}


@each_folder
def test_lanes_are_added_since_an_autoscaler_takes_the_larger_of_two(rendered: Render, folder: Path) -> None:
    for scaled, workload, _ in _scaled(rendered(folder)):
        triggers = _triggers(scaled)
        if len(triggers) == 1:
            continue
        modifiers = scaled["spec"]["advanced"]["scalingModifiers"]
        assert modifiers["formula"] == " + ".join(triggers), workload.name
        assert modifiers["metricType"] == "AverageValue"
        assert modifiers["activationTarget"] == "0", "one message has to start a worker"
        # KEDA ignores the fallback of a formula whose target is no whole number.
        assert modifiers["target"].isdigit()


@each_folder
def test_triggers_ask_the_headless_service_seldom_and_count_per_pod(rendered: Render, folder: Path) -> None:
    for scaled, workload, _ in _scaled(rendered(folder)):
        for trigger in scaled["spec"]["triggers"]:
            assert trigger["type"] == "nats-jetstream"
            assert trigger["metadata"]["natsServerMonitoringEndpoint"] == HEADLESS
            assert trigger["metricType"] == "AverageValue"
            assert trigger["useCachedMetrics"] is True
            assert int(trigger["metadata"]["lagThreshold"]) == _target(scaled), workload.name
            assert trigger["metadata"]["activationLagThreshold"] == "0"


@each_folder
def test_the_lag_of_a_pod_is_what_it_works_on_and_the_queue_that_is_borne(
    rendered: Render, folder: Path
) -> None:
    """A target below the slots would have busy pods ask for more pods without end."""
    for scaled, workload, _ in _scaled(rendered(folder)):
        borne = int(scaled["metadata"]["annotations"][QUEUE])
        assert borne >= 1
        assert _target(scaled) == workload.slots + borne, workload.name


@each_folder
def test_the_operators_page_is_told_the_lag_that_is_aimed_at(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    aimed_at = {name: _target(scaled) for name, scaled in named(manifests, "ScaledObject").items()}
    told = OpsSettings(scaling_targets=workloads(manifests)["ops"].environment["AF_SCALING_TARGETS"]).targets
    assert told == aimed_at


@each_folder
def test_all_pods_together_may_hold_what_their_slots_take(rendered: Render, folder: Path) -> None:
    for scaled, workload, stream in _scaled(rendered(folder)):
        at_most = scaled["spec"]["maxReplicaCount"] * workload.slots
        for consumer in stream.consumers:
            assert at_most <= consumer.max_ack_pending, workload.name


@each_folder
def test_the_last_pod_stays_until_a_message_could_have_come_again(rendered: Render, folder: Path) -> None:
    for scaled, workload, _ in _scaled(rendered(folder)):
        spec = scaled["spec"]
        assert 0 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
        if spec["minReplicaCount"] == 0:
            ack_wait_s = float(workload.environment["AF_ACK_WAIT_S"])
            assert spec["cooldownPeriod"] >= ack_wait_s
            assert spec["cooldownPeriod"] >= 2 * spec["pollingInterval"]
            # Nothing known of the queue is no reason to start or end a GPU.
            assert spec["fallback"]["behavior"] == "currentReplicas"
        else:
            assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"


@each_folder
def test_pods_come_at_once_and_go_slowly(rendered: Render, folder: Path) -> None:
    """The autoscaler's own defaults are the bound: five minutes before it takes pods away."""
    for scaled, workload, _ in _scaled(rendered(folder)):
        behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        up, down = behavior["scaleUp"], behavior["scaleDown"]
        assert up["stabilizationWindowSeconds"] == 0, workload.name
        assert down["stabilizationWindowSeconds"] >= 300, workload.name
        (policy,) = down["policies"]
        assert policy["type"] == "Percent"
        assert policy["value"] <= 50, "half of the pods drain at a time, at most"
        assert policy["periodSeconds"] >= scaled["spec"]["pollingInterval"]


@each_folder
def test_a_pod_has_the_time_to_drain(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        if workload.name == "provision":
            continue
        before = workload.worker.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = float(workload.environment["AF_DRAIN_GRACE_S"])
        assert workload.pod["terminationGracePeriodSeconds"] >= before + drain + LEAVING_S, workload.name


@each_folder
def test_whoever_serves_http_leaves_the_load_balancer_before_it_drains(
    rendered: Render, folder: Path
) -> None:
    manifests = rendered(folder)
    for name in named(manifests, "Service"):
        seconds = workloads(manifests)[name].worker["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert seconds >= 5


@each_folder
def test_an_answer_that_keeps_its_deadline_is_written_to_its_end_before_a_pod_goes(
    rendered: Render, folder: Path
) -> None:
    known = workloads(rendered(folder))
    deadline_s = float(known["bridge"].environment["AF_DEFAULT_DEADLINE_S"])
    for workload in known.values():
        if workload.kind == "generation":
            assert float(workload.environment["AF_DRAIN_GRACE_S"]) >= deadline_s


@each_folder
def test_the_grace_of_karpenter_does_not_cut_that_of_a_pod(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    longest = max(
        w.pod["terminationGracePeriodSeconds"] for w in workloads(manifests).values() if w.kind != "provision"
    )
    for pool in named(manifests, "NodePool").values():
        grace = pool["spec"]["template"]["spec"]["terminationGracePeriod"]
        assert grace.endswith("m")
        assert int(grace.removesuffix("m")) * 60 >= longest


def test_a_pod_asks_for_the_memory_that_was_measured_and_may_take_twice_as_much(rendered: Render) -> None:
    """The table is in the README of deploy/keda, beside the commands that measured it."""
    lines = (
        (KEDA / "README.md")
        .read_text()
        .partition("## What a pod takes")[2]
        .partition("\n## ")[0]
        .splitlines()
    )
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")
    ]
    known = {name: w for name, w in workloads(rendered(BASE)).items() if name != "provision"}
    assert {row[0] for row in rows} == set(known)
    for name, peak, requested, limit, _ in rows:
        resources = known[name].worker["resources"]
        assert (resources["requests"]["memory"], resources["limits"]["memory"]) == (requested, limit), name
        if peak != "not measured":
            measured = float(peak.partition(",")[0]) * 2**20
            assert quantity(requested) >= measured, name
            assert quantity(limit) >= 2 * measured, name


def test_karpenter_moves_no_pod_that_writes_answers(rendered: Render) -> None:
    manifests = rendered(AWS)
    gpu = named(manifests, "NodePool")["askfleet-gpu"]["spec"]
    assert gpu["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert gpu["template"]["spec"]["expireAfter"] == "Never"
    for name, workload in workloads(manifests).items():
        marks = workload.manifest["spec"]["template"]["metadata"].get("annotations", {})
        assert (marks.get("karpenter.sh/do-not-disrupt") == "true") == (workload.kind == "generation"), name


def test_what_drains_in_time_could_run_on_spot_nodes_and_generation_could_not(rendered: Render) -> None:
    """AWS says two minutes before that it takes a machine."""
    for name, workload in workloads(rendered(AWS)).items():
        if workload.kind != "provision":
            in_time = workload.pod["terminationGracePeriodSeconds"] <= SPOT_NOTICE_S
            assert in_time == (workload.kind != "generation"), name


def _fits(pod: dict[str, Any], pool: dict[str, Any]) -> bool:
    """Whether the nodes of a pool bear its taints and its selector."""
    template = pool["spec"]["template"]
    borne = {(found["key"], found.get("value")) for found in pod.get("tolerations", ())}
    anything = {found["key"] for found in pod.get("tolerations", ()) if found["operator"] == "Exists"}
    taints = template["spec"]["taints"]
    tolerated = all(t["key"] in anything or (t["key"], t.get("value")) in borne for t in taints)
    return tolerated and pod.get("nodeSelector", {}).items() <= template["metadata"]["labels"].items()


def test_there_are_nodes_to_come_for_all_pods_that_there_may_be(rendered: Render) -> None:
    """Each worker by one pool alone; at their maximum, and one quarter more while they are updated."""
    manifests = rendered(AWS)
    scaled = named(manifests, "ScaledObject")
    taken: dict[str, dict[str, float]] = {}
    for name, workload in workloads(manifests).items():
        if name == "provision":
            continue
        (pool,) = [key for key, found in named(manifests, "NodePool").items() if _fits(workload.pod, found)]
        assert pool == ("askfleet-gpu" if workload.kind == "generation" else "askfleet-cpu")
        spec = workload.manifest["spec"]
        most = scaled[name]["spec"]["maxReplicaCount"] if name in scaled else spec["replicas"]
        for resource, asked in workload.worker["resources"]["requests"].items():
            by = taken.setdefault(pool, {})
            by[resource] = by.get(resource, 0.0) + most * quantity(asked)
    for pool, resources in taken.items():
        limits = named(manifests, "NodePool")[pool]["spec"]["limits"]
        for resource, limit in limits.items():
            more = 1.0 if resource == GPU else 1.25
            assert quantity(limit) >= more * resources[resource], f"{pool}: {resource}"


@each_folder
def test_an_update_of_generation_ends_where_every_gpu_is_taken_and_leaves_a_few_pods_whole(
    rendered: Render, folder: Path
) -> None:
    manifests = rendered(folder)
    most = named(manifests, "ScaledObject")["generation-default"]["spec"]["maxReplicaCount"]
    update = named(manifests, "Deployment")["generation-default"]["spec"]["strategy"]["rollingUpdate"]
    assert update["maxSurge"] == 1, "each one more is a GPU node more"
    share = int(str(update["maxUnavailable"]).removesuffix("%")) / 100
    for replicas in range(1, most + 1):
        away = int(replicas * share)  # Kubernetes rounds down
        assert away >= 1 or replicas < most, "with all GPUs taken, nothing could give way"
        assert away <= replicas / 4


@each_folder
def test_bridges_share_the_limits_by_their_number_and_offer_the_models_that_are_provisioned(
    rendered: Render, folder: Path
) -> None:
    known = workloads(rendered(folder))
    bridge = known["bridge"]
    assert int(bridge.environment["AF_BRIDGE_REPLICAS"]) == bridge.manifest["spec"]["replicas"]
    served = {w.environment["AF_MODEL"] for w in known.values() if w.kind == "generation"}
    assert served == {w.name.partition("-")[2] for w in known.values() if w.kind == "generation"}
    assert set(bridge.environment["AF_MODELS"].split(",")) == served
    arguments = known["provision"].worker["args"]
    assert set(arguments[arguments.index("--models") + 1].split(",")) == served


@each_folder
def test_the_job_and_the_workers_agree_on_how_long_a_message_may_be_silent(
    rendered: Render, folder: Path
) -> None:
    waits = {w.environment.get("AF_ACK_WAIT_S") for w in workloads(rendered(folder)).values()}
    assert waits == {f"{BusSettings().ack_wait_s:g}"}


@each_folder
def test_documents_are_preempted_before_answers_and_warm_nodes_before_all(
    rendered: Render, folder: Path
) -> None:
    manifests = rendered(folder)
    values = {name: found["value"] for name, found in named(manifests, "PriorityClass").items()}
    known = workloads(manifests)
    value = {name: values[workload.pod["priorityClassName"]] for name, workload in known.items()}
    # Pods without a class, such as NATS and the databases, have 0: no worker may push them off a node.
    assert value["ingest"] < value["generation-default"] < value["bridge"] <= 0
    # Below -10 the cluster autoscaler adds no node for a pod.
    assert -10 <= values["askfleet-warm"] < value["ingest"]
    assert value["router"] == value["retrieval"] == value["sql"] == value["generation-default"]
