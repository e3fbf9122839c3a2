"""The scripts that make certificates and Secrets, run for real: the manifests find in them what they name."""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bus.connection import connect
from bus.keys import KeyFolder
from bus.permissions import FLEET_ROLES
from bus.server import Tls
from bus.testing import NatsServer
from contracts.errors import Misconfigured
from tests.components import missing
from tests.manifests.conftest import Render
from tests.manifests.strict import Manifest, Schemas
from tests.manifests.workloads import BASE, KEDA, SECRET, workloads

GIVEN = {
    "SQL_DSN": "postgresql://askfleet_reader:word@postgres-ro.postgres.svc:5432/askfleet",
    "MILVUS_TOKEN": "worker:word",
    "OPS_KEY_SHA256": "0" * 64,
    "READER_PASSWORD": "word",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With keys, certificates and a tenants file."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    made = tmp_path_factory.mktemp("deployment")
    KeyFolder(made / "keys").ensure((role.name for role in FLEET_ROLES), ("acme",))
    (made / "tenants.yaml").write_text("tenants: {acme: {keys: []}}\n")
    _run([str(KEDA / "certificates.sh"), "tls"], made, {})
    return made


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def secrets(folder: Path, kubectl: Path) -> list[Manifest]:
    path = f"{kubectl.parent}:{os.environ['PATH']}"
    printed = _run([str(KEDA / "secrets.sh"), "keys", "tls", "tenants.yaml"], folder, {**GIVEN, "PATH": path})
    return [found for found in yaml.safe_load_all(printed) if found]


@pytest.fixture
def nats_server(folder: Path, tmp_path: Path) -> Iterator[NatsServer]:
    tls = Tls(*(str(folder / "tls" / name) for name in ("ca.crt", "server.crt", "server.key")))
    keys = KeyFolder(folder / "keys").ensure((role.name for role in FLEET_ROLES), ())
    server = NatsServer(tmp_path / "nats", permissions=keys, tls=tls).start()
    yield server
    server.stop()


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
    folder: Path, nats_server: NatsServer, rendered: Render
) -> None:
    url = workloads(rendered(BASE))["router"].environment["AF_NATS_URL"]
    host = url.partition("://")[2].partition(":")[0]
    tls = folder / "tls"
    settings = KeyFolder(folder / "keys").settings(nats_server.url.replace("nats://", "tls://"), "router")
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


def test_certificates_that_are_there_are_kept(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in (folder / "tls").glob("*.crt")}
    _run([str(KEDA / "certificates.sh"), "tls"], folder, {})
    assert {path.name: path.read_bytes() for path in (folder / "tls").glob("*.crt")} == before
    assert set(before) == {"ca.crt", "server.crt", "client.crt"}
