"""`python -m bus.provision` on a real server with permissions, as the Job and the init containers run it."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.connection import connect
from bus.keys import KeyFolder
from bus.permissions import FLEET_ROLES
from bus.provision import lanes_of, wait_for_consumers
from bus.testing import NatsServer
from contracts.errors import DependencyUnavailable, Misconfigured

READERS = {
    "router": "router",
    "retrieval": "retrieval",
    "sql": "sql",
    "generation": "generation-large",
    "ingest": "ingest",
    "bridge": "router",
    "ops": "router",
}


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def nats_server(tmp_path: Path, keys: KeyFolder) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats", permissions=keys.ensure((r.name for r in FLEET_ROLES), ())).start()
    yield server
    server.stop()


async def _wait(server: NatsServer, keys: KeyFolder, role: str, *, within_s: float) -> None:
    async with connect(keys.settings(server.url, role), name=role) as bus:
        await wait_for_consumers(bus.js, READERS[role], within_s=within_s)


async def _command(server: NatsServer, keys: KeyFolder, role: str, *arguments: str) -> tuple[int | None, str]:
    environment = {**os.environ, "AF_NATS_URL": server.url, **keys.environment(role)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bus.provision", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_every_worker_waits_with_its_own_key_until_its_consumers_are_made(
    nats_server: NatsServer, keys: KeyFolder
) -> None:
    waiting = [asyncio.create_task(_wait(nats_server, keys, role, within_s=60)) for role in READERS]
    code, said = await _command(nats_server, keys, "provision", "apply", "--models", "default,large")
    assert code == 0, said
    await asyncio.gather(*waiting)


async def test_a_consumer_that_does_not_come_ends_the_wait_with_a_remedy(
    nats_server: NatsServer, keys: KeyFolder
) -> None:
    with pytest.raises(DependencyUnavailable):
        await _wait(nats_server, keys, "sql", within_s=0)
    code, said = await _command(nats_server, keys, "router", "wait", "router", "--within-s", "0")
    assert code == 2
    assert "bus.provision apply" in said


@pytest.mark.parametrize("durable", ["answers", "generation", "router-large"])
def test_a_consumer_that_nobody_makes_is_refused(durable: str) -> None:
    with pytest.raises(Misconfigured, match="generation-<model>"):
        lanes_of(durable)


def test_both_lanes_are_waited_for() -> None:
    assert lanes_of("generation-large") == ("GENERATE", ("generation-large", "generation-large-bulk"))
    assert lanes_of("ingest") == ("INGEST", ("ingest",))
