"""Pods as processes: the command and the environment of a manifest, real NATS with TLS and permissions.

Only addresses and mounts are replaced by those of this machine.
"""

import asyncio
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.testing import NatsServer
from tests.manifests.conftest import Render
from tests.manifests.workloads import BASE, Workload, workloads

READY_WITHIN_S = 60.0


@pytest.fixture
def mounts(deployment: Path, tmp_path: Path) -> dict[str, Path]:
    """What Secrets put into a pod, by path there."""
    made, tls = deployment / "tls", tmp_path / "tls"
    tls.mkdir()
    for name, file in (("ca.crt", "ca.crt"), ("tls.crt", "client.crt"), ("tls.key", "client.key")):
        (tls / name).symlink_to(made / file)
    return {
        "/var/run/askfleet/keys": deployment / "keys",
        "/var/run/askfleet/tls": tls,
        "/var/run/askfleet/tenants": deployment,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(workload: Workload, server: NatsServer, mounts: dict[str, Path]) -> dict[str, str]:
    environment = workload.environment
    host = environment["AF_NATS_URL"].partition("://")[2].partition(":")[0]
    environment |= {"AF_NATS_TLS_HOSTNAME": host, "AF_NATS_URL": server.url.replace("nats://", "tls://")}
    environment |= (
        {"AF_TRACE_ENDPOINT": "", "AF_HTTP_HOST": "127.0.0.1"} if workload.name != "provision" else {}
    )
    for inside, here in mounts.items():
        environment = {name: value.replace(inside, str(here)) for name, value in environment.items()}
    return {"PATH": os.environ["PATH"], **environment}


def _command(container: dict[str, list[str]]) -> list[str]:
    python, *rest = [*container["command"], *container.get("args", [])]
    assert python == "python"
    return [sys.executable, *rest]


async def _succeeds(container: dict[str, list[str]], environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *_command(container),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@asynccontextmanager
async def _running(workload: Workload, environment: dict[str, str]) -> AsyncIterator[None]:
    """Ready by its own probe; ended by SIGTERM within its grace period, with status 0."""
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *_command(workload.worker), env={**environment, "AF_HTTP_PORT": str(port)}
    )
    try:
        url = f"http://127.0.0.1:{port}{workload.worker['readinessProbe']['httpGet']['path']}"
        deadline = time.monotonic() + READY_WITHIN_S
        while not await asyncio.to_thread(_ready, url):
            assert process.returncode is None, f"{workload.name} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{workload.name} is not ready"
            await asyncio.sleep(0.1)
        yield
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(workload.pod["terminationGracePeriodSeconds"]):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_job_makes_what_a_pod_waits_for_and_the_pod_gets_ready_and_ends(
    rendered: Render, tls_server: NatsServer, mounts: dict[str, Path]
) -> None:
    known = workloads(rendered(BASE))
    job = known["provision"]
    one = {**job.worker, "args": [argument.replace("3", "1") for argument in job.worker["args"]]}
    await _succeeds(one, _environment(job, tls_server, mounts))
    bridge = known["bridge"]
    environment = _environment(bridge, tls_server, mounts)
    (waits,) = bridge.pod["initContainers"]
    await _succeeds(waits, environment)
    async with _running(bridge, environment):
        pass
