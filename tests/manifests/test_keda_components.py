"""What may be added to a cluster: tenants that ask over NATS, a shared compile cache, weights, less."""

from pathlib import Path

import pytest

from tests.manifests.conftest import Added, Render
from tests.manifests.strict import Schemas, named
from tests.manifests.workloads import KEDA, workloads

AWS = KEDA / "overlays" / "aws-karpenter"
LABEL = "askfleet.dev/client"


@pytest.mark.parametrize("folder", ["clients", "weights"])
def test_every_object_that_may_be_added_is_valid(rendered: Render, schemas: Schemas, folder: str) -> None:
    assert [problem for one in rendered(KEDA / folder) for problem in schemas.problems(one)] == []


def test_a_namespace_with_the_label_reaches_the_clients_port_of_nats_and_no_other(rendered: Render) -> None:
    (policy,) = rendered(KEDA / "clients")
    assert policy["metadata"]["namespace"] == "nats"
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {LABEL: "true"}}}]
    workers = named(rendered(KEDA / "platform" / "nats"), "NetworkPolicy")["clients"]["spec"]["ingress"][0]
    assert rule["ports"] == workers["ports"]
    page = (KEDA.parents[1] / "docs" / "deploy-eks.md").read_text()
    assert f"{LABEL}=true" in page


def test_generation_pods_share_what_vllm_compiled(added: Added, schemas: Schemas) -> None:
    made = added(AWS, KEDA / "warm/compile-cache")
    claim = named(made, "PersistentVolumeClaim")["compile-cache"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    generation = workloads(made)["generation-default"]
    volumes = {volume["name"]: volume for volume in generation.pod["volumes"]}
    assert volumes["cache"] == {"name": "cache", "persistentVolumeClaim": {"claimName": "compile-cache"}}
    mounted = {mount["mountPath"]: mount for mount in generation.worker["volumeMounts"]}
    assert mounted["/cache"] == {"name": "cache", "mountPath": "/cache"}
    assert Path(generation.environment["AF_ENGINE_VLLM_CACHE_FOLDER"]).is_relative_to("/cache")
    assert schemas.problems(claim) == []


def test_a_cluster_without_workers_may_do_without_the_costs(added: Added) -> None:
    made = added(KEDA / "overlays" / "local-registry", KEDA / "without-costs")
    left = {one["kind"] for one in made if one["metadata"]["name"] == "costs"}
    assert not left & {"Deployment", "Role", "RoleBinding", "ServiceAccount"}
    assert set(workloads(made)) >= {"bridge", "router", "ops"}


def test_weights_come_from_outside_and_lie_where_the_engine_reads_them(rendered: Render) -> None:
    made = rendered(KEDA / "weights")
    (job,) = named(made, "Job").values()
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    compile(container["args"][0], "args", "exec")
    (values,) = [one["data"] for one in named(made, "ConfigMap").values()]
    generation = workloads(rendered(AWS))["generation-default"]
    assert values["FOLDER"] == generation.environment["AF_ENGINE_MODEL_PATH"]
    assert container["image"] == generation.worker["image"]
    assert pod["securityContext"] == generation.pod["securityContext"]
    assert container["securityContext"] == generation.worker["securityContext"]
    (policy,) = named(made, "NetworkPolicy").values()
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert policy["spec"]["egress"] == [{"ports": [{"port": 443, "protocol": "TCP"}]}]


@pytest.mark.parametrize("component", ["pause-pods", "capacity-buffer"])
def test_what_holds_a_gpu_node_takes_what_a_generation_pod_takes(
    rendered: Render, added: Added, component: str
) -> None:
    made = added(AWS, KEDA / f"warm/{component}")
    if component == "capacity-buffer":
        (buffer,) = named(made, "CapacityBuffer").values()
        pod = named(made, "PodTemplate")[buffer["spec"]["podTemplateRef"]["name"]]["template"]["spec"]
    else:
        pod = named(made, "Deployment")["warm-gpu"]["spec"]["template"]["spec"]
    generation = workloads(rendered(AWS))["generation-default"]
    assert pod["tolerations"] == generation.pod["tolerations"]
    (container,) = pod["containers"]
    assert container["resources"]["requests"] == generation.worker["resources"]["requests"]


def test_a_cluster_with_one_nats_server_keeps_one_copy_of_a_stream(rendered: Render) -> None:
    job = workloads(rendered(KEDA / "overlays" / "local-registry"))["provision"]
    assert job.worker["args"][-2:] == ["--replicas", "1"]
