"""The scripts that make certificates and Secrets, run for real: the manifests find in them what they name."""

import base64
import os
from pathlib import Path

import pytest
import yaml

from bus.connection import connect
from bus.keys import KeyFolder
from bus.testing import NatsServer
from contracts.errors import Misconfigured
from tests.manifests.conftest import Render, run_script
from tests.manifests.strict import Manifest, Schemas
from tests.manifests.workloads import BASE, KEDA, SECRET, workloads

GIVEN = {
    "SQL_DSN": "postgresql://askfleet_reader:word@postgres-ro.postgres.svc:5432/askfleet",
    "MILVUS_TOKEN": "worker:word",
    "OPS_KEY_SHA256": "0" * 64,
    "READER_PASSWORD": "word",
}


@pytest.fixture(scope="module")
def secrets(deployment: Path, kubectl: Path) -> list[Manifest]:
    path = f"{kubectl.parent}:{os.environ['PATH']}"
    printed = run_script(
        [str(KEDA / "secrets.sh"), "keys", "tls", "tenants.yaml"], deployment, {**GIVEN, "PATH": path}
    )
    return [found for found in yaml.safe_load_all(printed) if found]


def test_every_secret_is_valid(secrets: list[Manifest], schemas: Schemas) -> None:
    for found in secrets:
        found["metadata"].pop("creationTimestamp", None)
        assert schemas.problems(found) == []


def test_what_the_manifests_refer_to_is_made_and_nothing_else(
    rendered: Render, secrets: list[Manifest]
) -> None:
    made = {
        (found["metadata"]["name"], key)
        for found in secrets
        if found["metadata"]["namespace"] == "askfleet"
        for key in found["data"]
    }
    wanted: set[tuple[str, str]] = set()
    for workload in workloads(rendered(BASE)).values():
        paths = [Path(value) for value in workload.environment.values() if value.startswith("/")]
        for value in workload.environment.values():
            if value.startswith(SECRET):
                name, _, key = value.removeprefix(SECRET).partition("/")
                wanted.add((name, key))
        for volume in workload.pod["volumes"]:
            if "secret" in volume:
                (mount,) = (
                    Path(mount["mountPath"])
                    for mount in workload.worker["volumeMounts"]
                    if mount["name"] == volume["name"]
                )
                wanted |= {(volume["secret"]["secretName"], p.name) for p in paths if p.parent == mount}
    assert made == wanted


def test_a_value_arrives_as_it_was_given(secrets: list[Manifest]) -> None:
    values = {
        key: base64.b64decode(value).decode()
        for found in secrets
        for key, value in found["data"].items()
        if key in ("uri", "token", "key-sha256", "password")
    }
    assert values == {
        "uri": GIVEN["SQL_DSN"],
        "token": GIVEN["MILVUS_TOKEN"],
        "key-sha256": GIVEN["OPS_KEY_SHA256"],
        "password": GIVEN["READER_PASSWORD"],
    }


async def test_a_worker_reaches_nats_with_these_certificates_by_the_name_in_its_configuration(
    deployment: Path, tls_server: NatsServer, rendered: Render
) -> None:
    url = workloads(rendered(BASE))["router"].environment["AF_NATS_URL"]
    host = url.partition("://")[2].partition(":")[0]
    tls = deployment / "tls"
    settings = KeyFolder(deployment / "keys").settings(tls_server.url.replace("nats://", "tls://"), "router")
    settings = settings.model_copy(
        update={
            "nats_tls_ca": tls / "ca.crt",
            "nats_tls_cert": tls / "client.crt",
            "nats_tls_key": tls / "client.key",
            "nats_tls_hostname": host,
            "nats_tls_first": True,
        }
    )
    async with connect(settings, name="router") as bus:
        assert bus.nc.is_connected
    stranger = settings.model_copy(update={"nats_tls_hostname": "nats.example.com"})
    with pytest.raises(Misconfigured, match="no trusted connection"):
        async with connect(stranger, name="router"):
            pass


def test_certificates_that_are_there_are_kept(deployment: Path) -> None:
    before = {path.name: path.read_bytes() for path in (deployment / "tls").glob("*.crt")}
    run_script([str(KEDA / "certificates.sh"), "tls"], deployment, {})
    assert {path.name: path.read_bytes() for path in (deployment / "tls").glob("*.crt")} == before
    assert set(before) == {"ca.crt", "server.crt", "client.crt"}
