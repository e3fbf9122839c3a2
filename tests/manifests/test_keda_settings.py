"""Environment of the pods and settings of the processes are the same list, and no secret is written down."""

import re
from pathlib import Path

import pytest
import yaml

from bus.permissions import fleet_role
from bus.settings import BusSettings
from tests.manifests.conftest import ROOT, Render
from tests.manifests.strict import named
from tests.manifests.workloads import (
    BASE,
    KEDA,
    OVERLAYS,
    ROLES,
    SECRET,
    SETTINGS,
    is_secret,
    settings_of,
    variables,
    workloads,
)

FOLDERS = (BASE, *OVERLAYS)
LEFT = KEDA / "left-at-default.yaml"
DOCKERFILE = ROOT / "deploy" / "images" / "Dockerfile"
IN_IMAGE = Path("/opt/askfleet")
ADVICE = f"set it in deploy/keda/base/config, or name it in deploy/keda/{LEFT.name}"
WITH_PASSWORD = re.compile(r"://[^/\s:]+:[^@\s]+@")

each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def _left(kind: str) -> set[str]:
    found = yaml.safe_load(LEFT.read_text())
    return {*found["nowhere"], *found["by"].get(kind, ())}


@each_folder
def test_every_variable_of_a_pod_is_a_setting_of_its_worker(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        unknown = set(workload.environment) - set(variables(workload.kind))
        assert not unknown, f"{workload.name} does not read {sorted(unknown)}"


def test_every_setting_is_set_or_left_at_its_default_on_purpose(rendered: Render) -> None:
    for workload in workloads(rendered(BASE)).values():
        forgotten = set(variables(workload.kind)) - set(workload.environment) - _left(workload.kind)
        assert not forgotten, f"{workload.name}: {sorted(forgotten)}: {ADVICE}"


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: folder.name)
def test_an_overlay_sets_what_the_base_sets(rendered: Render, folder: Path) -> None:
    """But for the engine: another kind has other settings."""
    base = workloads(rendered(BASE))
    for name, workload in workloads(rendered(folder)).items():
        lost = set(base[name].environment) - set(workload.environment)
        assert all(variable.startswith("AF_ENGINE_") for variable in lost), f"{name}: {lost}"


def test_the_list_of_settings_that_are_left_is_not_longer_than_that(rendered: Render) -> None:
    known = workloads(rendered(BASE)).values()
    everywhere = {name for kind in SETTINGS for name in variables(kind)}
    set_somewhere = {name for workload in known for name in workload.environment}
    listed = yaml.safe_load(LEFT.read_text())
    assert set(listed["nowhere"]) <= everywhere - set_somewhere
    for workload in known:
        by = set(listed["by"].get(workload.kind, ()))
        assert by <= set(variables(workload.kind)) - set(workload.environment), workload.name


@each_folder
def test_every_process_would_start_with_what_its_pod_says(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        assert settings_of(workload), workload.name


@each_folder
def test_probes_and_metrics_are_where_the_worker_serves_them(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        if workload.kind == "provision":
            continue
        assert workload.environment["AF_HTTP_HOST"] == "0.0.0.0"
        port = int(workload.environment["AF_HTTP_PORT"])
        assert [(p["name"], p["containerPort"]) for p in workload.worker["ports"]] == [("http", port)]
        for probe, path in (("startup", "/readyz"), ("readiness", "/readyz"), ("liveness", "/healthz")):
            assert workload.worker[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
        annotations = workload.manifest["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(port)


@each_folder
def test_a_worker_starts_within_its_startup_probe(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        if workload.kind == "provision":
            continue
        probe = workload.worker["startupProbe"]
        patience_s = probe["periodSeconds"] * probe["failureThreshold"]
        assert patience_s > float(workload.environment["AF_CONNECT_TIMEOUT_S"]) + 60
        if workload.kind == "generation":
            assert patience_s >= 1200
            assert workload.manifest["spec"]["progressDeadlineSeconds"] > patience_s


@each_folder
def test_every_process_has_the_key_of_its_own_role_and_no_other(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        role = ROLES[workload.kind]
        bus = BusSettings.model_validate(
            {name.removeprefix("AF_").lower(): value for name, value in workload.environment.items()}
        )
        assert bus.nats_inbox_prefix == fleet_role(role).inbox
        secrets = [volume["secret"] for volume in workload.pod["volumes"] if "secret" in volume]
        (keys,) = [
            secret for secret in secrets if secret["secretName"].startswith("nats-") and "items" in secret
        ]
        assert keys["secretName"] == f"nats-{role}"
        assert [item["path"] for item in keys["items"]] == [f"{role}.nk"]
        (mount,) = [m for m in workload.worker["volumeMounts"] if m["name"] == "keys"]
        assert Path(mount["mountPath"]) / f"{role}.nk" == bus.nats_nkey_file
        assert mount["readOnly"] is True


@each_folder
def test_files_that_settings_name_are_mounted_or_in_the_image(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        mounts = [Path(mount["mountPath"]) for mount in workload.worker["volumeMounts"]]
        for name, value in workload.environment.items():
            if value.startswith("/"):
                found = any(Path(value).is_relative_to(mount) for mount in (*mounts, IN_IMAGE))
                assert found, f"{workload.name}: {name}"


def test_the_images_are_made_for_these_pods(rendered: Render) -> None:
    """User, prepared files and volumes are named in both places."""
    recipe = DOCKERFILE.read_text()
    known = workloads(rendered(BASE))
    users = {f"USER {w.pod['securityContext']['runAsUser']}:" for w in known.values()}
    assert all(user in recipe for user in users)
    for name in ("retrieval", "ingest"):
        assert f"AF_EMBEDDER_CACHE_DIR={known[name].environment['AF_EMBEDDER_CACHE_DIR']} " in recipe
    generation = known["generation-default"]
    mounts = {mount["mountPath"] for mount in generation.worker["volumeMounts"]}
    assert {"/models", "/cache"} <= mounts
    assert f"VLLM_CACHE_ROOT={generation.environment['AF_ENGINE_VLLM_CACHE_FOLDER']}" in recipe


@each_folder
def test_nats_is_reached_over_tls_with_a_certificate_of_our_own(rendered: Render, folder: Path) -> None:
    for workload in workloads(rendered(folder)).values():
        environment = workload.environment
        assert environment["AF_NATS_URL"].startswith("tls://")
        assert environment["AF_NATS_TLS_FIRST"] == "true"
        assert {"AF_NATS_TLS_CA", "AF_NATS_TLS_CERT", "AF_NATS_TLS_KEY"} <= set(environment)


@each_folder
def test_secrets_are_referred_to_and_not_written_down(rendered: Render, folder: Path) -> None:
    manifests = rendered(folder)
    assert not named(manifests, "Secret")
    for workload in workloads(manifests).values():
        secret = {name for name, field in variables(workload.kind).items() if is_secret(field)}
        for name, value in workload.environment.items():
            assert value.startswith(SECRET) or name not in secret, f"{workload.name}: {name}"
            assert not WITH_PASSWORD.search(value), f"{workload.name}: {name}"
