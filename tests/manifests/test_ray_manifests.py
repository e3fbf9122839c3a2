"""What runs on Ray, a model over several nodes (two ways) and bulk ingestion, renders on a whole overlay.

The CRDs of LeaderWorkerSet, RayService and RayJob are not beside the checkout. What they hold of core kinds
(pods) is validated as such; their own fields are checked here, as far as they say something about ours.
"""

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from bus.provision import lanes_of
from tests.components import missing
from tests.manifests.conftest import ROOT
from tests.manifests.ray_components import WITHOUT_SCHEMA, on_eks, pods_of
from tests.manifests.strict import Manifest, Schemas, named
from tests.manifests.workloads import BASE, variables
from workers.engines.vllm.settings import VllmSettings

GPU = "nvidia.com/gpu"


@pytest.fixture(scope="module")
def groups(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return on_eks(kubectl, tmp_path_factory.mktemp("lws"), "leader-worker-set")


@pytest.fixture(scope="module")
def serve(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return on_eks(kubectl, tmp_path_factory.mktemp("serve"), "ray-service")


@pytest.fixture(scope="module")
def bulk(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return on_eks(kubectl, tmp_path_factory.mktemp("bulk"), "bulk")


@pytest.fixture(params=["groups", "serve"])
def made(request: pytest.FixtureRequest) -> list[Manifest]:
    found: list[Manifest] = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["groups", "serve", "bulk"])
def each(request: pytest.FixtureRequest) -> list[Manifest]:
    found: list[Manifest] = request.getfixturevalue(request.param)
    return found


def test_every_object_is_valid_down_to_its_pods(each: list[Manifest], schemas: Schemas) -> None:
    whole = [manifest for manifest in each if manifest["kind"] not in WITHOUT_SCHEMA]
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        for name, spec in pods_of(each)
    ]
    assert len(pods) >= 2
    assert [problem for manifest in (*whole, *pods) for problem in schemas.problems(manifest)] == []


def test_pods_take_configuration_accounts_and_secrets_that_are_there(each: list[Manifest]) -> None:
    for name, spec in pods_of(each):
        references = [
            source["configMapRef"]["name"]
            for container in (*spec.get("initContainers", ()), *spec["containers"])
            for source in container.get("envFrom", ())
        ]
        assert set(references) <= set(named(each, "ConfigMap")), name
        assert spec["serviceAccountName"] in named(each, "ServiceAccount"), name


def test_every_image_takes_the_name_and_the_tag_that_an_overlay_gives(each: list[Manifest]) -> None:
    images = {
        container["image"]
        for spec in (spec for _, spec in pods_of(each))
        for container in (*spec.get("initContainers", ()), *spec["containers"])
    }
    assert all(image.startswith("registry.example.com/") and image.endswith(":1") for image in images), images


def test_no_pod_may_gain_rights_or_runs_as_root(each: list[Manifest]) -> None:
    for name, spec in pods_of(each):
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False, name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name


def test_settings_are_known_and_valid(made: list[Manifest]) -> None:
    given = configuration(made)
    prefix = str(VllmSettings.model_config["env_prefix"])
    known = set(variables("generation")) | {f"{prefix}{name}".upper() for name in VllmSettings.model_fields}
    ours = {name for name in given if name.startswith("AF_")}
    assert ours - known == set()
    values = {name.removeprefix(prefix).lower(): given[name] for name in ours if name.startswith(prefix)}
    VllmSettings.model_validate(values)


def test_a_group_has_a_node_for_each_stage_and_a_gpu_for_each_part_of_a_layer(groups: list[Manifest]) -> None:
    settings = configuration(groups)
    group = named(groups, "LeaderWorkerSet")["generation-large"]["spec"]
    assert "replicas" not in group, "the number of groups is KEDA's"
    template = group["leaderWorkerTemplate"]
    assert template["size"] == int(settings["AF_ENGINE_VLLM_PIPELINE_PARALLEL"])
    assert template["restartPolicy"] == "RecreateGroupOnPodRestart"
    for part in ("leaderTemplate", "workerTemplate"):
        limits = template[part]["spec"]["containers"][0]["resources"]["limits"]
        assert limits[GPU] == int(settings["AF_ENGINE_VLLM_TENSOR_PARALLEL"])
    assert settings["AF_ENGINE_VLLM_EXECUTOR"] == "ray"


def test_only_the_leader_takes_work_and_drains_before_it_ends(groups: list[Manifest]) -> None:
    template = named(groups, "LeaderWorkerSet")["generation-large"]["spec"]["leaderWorkerTemplate"]
    leader, follower = template["leaderTemplate"]["spec"], template["workerTemplate"]["spec"]
    assert "exec python -P -m workers.generation" in leader["containers"][0]["args"][0]
    assert "workers" not in follower["containers"][0]["args"][0].replace("$LWS_WORKER", "")
    drain = int(configuration(groups)["AF_DRAIN_GRACE_S"])
    assert leader["terminationGracePeriodSeconds"] >= drain + 10
    mounted = {mount["name"] for mount in follower["containers"][0]["volumeMounts"]}
    assert not mounted & {"keys", "tls"}, "a follower does not speak to NATS"


def test_serve_has_the_gpus_that_one_copy_of_the_model_takes(serve: list[Manifest]) -> None:
    service = named(serve, "RayService")["large"]["spec"]
    (application,) = yaml.safe_load(service["serveConfigV2"])["applications"]
    (model,) = application["args"]["llm_configs"]
    engine = model["engine_kwargs"]
    (nodes,) = service["rayClusterConfig"]["workerGroupSpecs"]
    gpus = nodes["template"]["spec"]["containers"][0]["resources"]["limits"][GPU]
    scale = model["deployment_config"]["autoscaling_config"]
    assert engine["tensor_parallel_size"] == gpus
    assert nodes["minReplicas"] == engine["pipeline_parallel_size"] * scale["min_replicas"]
    assert nodes["maxReplicas"] == engine["pipeline_parallel_size"] * scale["max_replicas"]
    assert service["rayClusterConfig"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_workers_ask_serve_for_the_model_that_it_serves(serve: list[Manifest]) -> None:
    settings = configuration(serve)
    (name,) = named(serve, "RayService")
    service = named(serve, "RayService")[name]["spec"]
    (application,) = yaml.safe_load(service["serveConfigV2"])["applications"]
    assert settings["AF_ENGINE_URL"] == f"http://{name}-serve-svc:8000/v1"
    assert (
        settings["AF_ENGINE_MODEL"]
        == application["args"]["llm_configs"][0]["model_loading_config"]["model_id"]
    )
    assert large_worker(serve)["containers"][0]["args"] == ["generation"]


def test_serves_configuration_has_fields_that_ray_knows(serve: list[Manifest]) -> None:
    spec = find_spec("ray")
    if spec is None or spec.origin is None:
        missing("Ray is not installed: `make ray`")
    service = named(serve, "RayService")["large"]["spec"]
    (application,) = yaml.safe_load(service["serveConfigV2"])["applications"]
    (model,) = application["args"]["llm_configs"]
    source = Path(spec.origin).parent / "llm/_internal/serve/core/configs/llm_config.py"
    assert set(model) <= fields_of(source, "LLMConfig")
    assert set(model["model_loading_config"]) <= fields_of(source, "ModelLoadingConfig")
    scaling = Path(spec.origin).parent / "serve/config.py"
    assert set(model["deployment_config"]["autoscaling_config"]) <= fields_of(scaling, "AutoscalingConfig")
    locked = (ROOT / "requirements" / "generation-gpu.txt").read_text()
    assert f"ray=={service['rayClusterConfig']['rayVersion']} " in locked


def test_what_keda_scales_is_there_and_counts_both_lanes_of_the_model(made: list[Manifest]) -> None:
    scaled = named(made, "ScaledObject")["generation-large"]
    target = {"kind": "Deployment", "apiVersion": "apps/v1"} | scaled["spec"]["scaleTargetRef"]
    assert named(made, target["kind"])[target["name"]]["apiVersion"] == target["apiVersion"]
    consumers = [trigger["metadata"]["consumer"] for trigger in scaled["spec"]["triggers"]]
    assert tuple(consumers) == lanes_of("generation-large")[1]
    slots = int(configuration(made)["AF_ENGINE_SLOTS"])
    wanted = slots + int(scaled["metadata"]["annotations"]["askfleet.dev/queue-per-pod"])
    assert int(scaled["spec"]["advanced"]["scalingModifiers"]["target"]) == wanted
    assert {trigger["metadata"]["lagThreshold"] for trigger in scaled["spec"]["triggers"]} == {str(wanted)}


def test_the_job_makes_the_consumers_of_both_models(made: list[Manifest]) -> None:
    (container,) = named(made, "Job")["provision"]["spec"]["template"]["spec"]["containers"]
    plain = next(yaml.safe_load_all((BASE / "workers" / "provision.yaml").read_text()))
    before = plain["spec"]["template"]["spec"]["containers"][0]["args"]
    models = before.index("--models") + 1
    assert container["args"] == [*before[:models], f"{before[models]},large", *before[models + 1 :]]


def large_worker(made: list[Manifest]) -> Any:
    """The pod that takes work of the model."""
    deployments = named(made, "Deployment")
    if "generation-large" in deployments:
        return deployments["generation-large"]["spec"]["template"]["spec"]
    return next(spec for name, spec in pods_of(made) if name == "leader")


def configuration(made: list[Manifest]) -> dict[str, str]:
    (found,) = (
        config["data"]
        for name, config in named(made, "ConfigMap").items()
        if name.startswith("generation-large")
    )
    data: dict[str, str] = found
    return data


def fields_of(source: Path, name: str) -> set[str]:
    """Of a class of settings, read and not imported: it wants packages that are not here."""
    tree = ast.parse(source.read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {
        node.target.id
        for node in found.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
