"""TLS on a real nats-server that asks its clients for certificates, and the configuration for production."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from askfleet.fleet.keys import make_link_keys, variables
from askfleet.fleet.reading import read_topology
from bus import server
from bus.connection import connect
from bus.keys import KeyFolder
from bus.server import TLS_FOLDER, Tls, production
from bus.settings import BusSettings
from bus.testing import NatsServer, nats_server_binary
from contracts.errors import Misconfigured

DEPLOY = Path(__file__).parents[2] / "deploy" / "nats"
TOPOLOGY = DEPLOY.parent / "fleet" / "topology.yaml"
WITHIN_S = 10.0


@dataclass(frozen=True)
class Certificates:
    """`ca` signed the server's certificate and the client's; `foreign` signed nothing of theirs."""

    ca: Path
    foreign: Path
    client: Path
    client_key: Path
    server: Tls


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    authority, foreign = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    foreign.cert_pem.write_to_path(str(folder / "foreign.pem"))
    for name, host in (("server", "nats.example.org"), ("client", "worker.example.org")):
        made = authority.issue_cert(host)
        made.private_key_pem.write_to_path(str(folder / f"{name}-key.pem"))
        (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    return Certificates(
        ca=folder / "ca.pem",
        foreign=folder / "foreign.pem",
        client=folder / "client.pem",
        client_key=folder / "client-key.pem",
        server=Tls.in_folder(str(folder)),
    )


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def nats_server(tmp_path: Path, keys: KeyFolder, certificates: Certificates) -> Iterator[NatsServer]:
    public = keys.ensure(("operator",), ())
    running = NatsServer(tmp_path / "nats", permissions=public, tls=certificates.server).start()
    yield running
    running.stop()


@pytest.fixture
def trusted(nats_server: NatsServer, keys: KeyFolder, certificates: Certificates) -> BusSettings:
    url = nats_server.url.replace("nats://", "tls://")
    return keys.settings(url, "operator").model_copy(
        update={
            "nats_tls_ca": certificates.ca,
            "nats_tls_cert": certificates.client,
            "nats_tls_key": certificates.client_key,
            "nats_tls_hostname": "nats.example.org",
            "connect_timeout_s": WITHIN_S,
        }
    )


@pytest.mark.parametrize("first", [False, True])
async def test_a_client_with_a_certificate_and_a_key_connects(trusted: BusSettings, first: bool) -> None:
    async with connect(trusted.model_copy(update={"nats_tls_first": first}), name="test") as bus:
        await bus.nc.flush()
        assert bus.nc.is_connected


async def refusal(settings: BusSettings) -> Misconfigured:
    with pytest.raises(Misconfigured) as refused:
        async with asyncio.timeout(WITHIN_S / 2), connect(settings, name="test"):
            pass
    return refused.value


async def test_a_server_whose_certificate_somebody_else_signed_is_refused_at_once(
    trusted: BusSettings, certificates: Certificates
) -> None:
    error = await refusal(trusted.model_copy(update={"nats_tls_ca": certificates.foreign}))

    assert "certificate verify failed" in error.detail
    assert "AF_NATS_TLS_CA" in error.remedy


async def test_a_server_of_another_name_is_refused_at_once(trusted: BusSettings) -> None:
    error = await refusal(trusted.model_copy(update={"nats_tls_hostname": ""}))

    assert "127.0.0.1" in error.detail
    assert "AF_NATS_TLS_HOSTNAME" in error.remedy


async def test_a_client_without_a_certificate_is_refused(trusted: BusSettings) -> None:
    update = {"nats_tls_cert": None, "nats_tls_key": None, "connect_timeout_s": 1.0}
    error = await refusal(trusted.model_copy(update=update))

    assert "AF_NATS_TLS_CERT" in error.remedy


async def test_a_server_that_hangs_up_on_tls_without_a_word_is_told_as_a_refusal(
    certificates: Certificates,
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1024,"tls_required":true}\r\n')
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        settings = BusSettings(
            nats_url=f"tls://127.0.0.1:{port}", nats_tls_ca=certificates.foreign, connect_timeout_s=0.5
        )
        error = await refusal(settings)

    assert "AF_NATS_TLS_CERT" in error.remedy


async def test_a_certificate_without_its_key_is_refused(trusted: BusSettings) -> None:
    error = await refusal(trusted.model_copy(update={"nats_tls_key": None}))

    assert "AF_NATS_TLS_KEY" in error.detail


async def test_a_file_that_holds_no_certificate_is_named(trusted: BusSettings, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    error = await refusal(trusted.model_copy(update={"nats_tls_ca": empty}))

    assert str(empty) in error.detail


def test_the_server_takes_the_configuration_for_production(
    tmp_path: Path, certificates: Certificates
) -> None:
    public = server.load_keys(DEPLOY / "public.yaml")
    path = tmp_path / "nats-server.conf"
    path.write_text(production(public, tls=certificates.server, store=str(tmp_path)))
    checked = subprocess.run([nats_server_binary(), "-t", "-c", str(path)], capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("cluster", read_topology(TOPOLOGY).clusters)
def test_the_server_takes_the_configuration_of_each_cluster_of_the_fleet(
    tmp_path: Path, certificates: Certificates, cluster: str
) -> None:
    """As it is rendered, but for the folders of certificates and of the store."""
    topology = read_topology(TOPOLOGY)
    make_link_keys(topology, tmp_path / "keys")
    rendered = (TOPOLOGY.parent / "rendered" / "nats" / f"{cluster}.conf").read_text()
    moved = rendered.replace(TLS_FOLDER, str(Path(certificates.server.ca).parent))
    path = tmp_path / "nats-server.conf"
    path.write_text(moved.replace(server.STORE, str(tmp_path / "store")))
    named = {**variables(topology, tmp_path / "keys", cluster), "POD_NAME": "nats-0"}
    command = [nats_server_binary(), "-t", "-c", str(path)]
    checked = subprocess.run(command, env=named, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr


def test_making_keys_again_keeps_those_that_are_there(tmp_path: Path) -> None:
    tenants = tmp_path / "tenants.yaml"
    tenants.write_text("tenants:\n  acme: {keys: []}\n")
    first = server.make_keys(tmp_path / "keys", tenants)
    (tmp_path / "keys" / "router.nk").unlink()
    tenants.write_text("tenants:\n  acme: {keys: []}\n  other: {keys: []}\n")
    second = server.make_keys(tmp_path / "keys", tenants)

    assert len(second.roles["router"]) == 2
    assert second.roles["router"][0] == first.roles["router"][0]
    assert second.tenants["acme"] == first.tenants["acme"]
    assert server.load_keys(tmp_path / "keys" / "public.yaml") == second


def test_a_role_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "public.yaml"
    path.write_text("roles: {routr: [UA]}\n")
    with pytest.raises(Misconfigured, match="routr"):
        server.load_keys(path)
