"""Real workers, forked from a process that imported their modules."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from askfleet.local.child import Child, serves
from askfleet.local.fork_client import ForkServer, can_fork
from askfleet.local.ports import PortBook
from askfleet.local.stack import WORKERS
from askfleet.local.supervisor import Backoff, State, Supervisor
from askfleet.local.worker import worker_process
from bus.connection import Bus
from bus.testing import eventually
from contracts.errors import Misconfigured

pytestmark = pytest.mark.skipif(not can_fork(), reason="no fork server on this system")

FORKED = "fork_server"
PARENT = """
import asyncio, sys
from pathlib import Path
from askfleet.local.fork_client import ForkServer
from askfleet.local.worker import worker_process

async def main(nats_url, port, folder):
    server = ForkServer(["bridge"], folder / "server.log")
    await server.start()
    worker = worker_process(
        "bridge", name="bridge", log=folder / "bridge.log", port=port,
        environment={"AF_NATS_URL": nats_url}, fork_server=server,
    )
    await worker.start()
    print(server.pid, worker.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ForkServer]:
    server = ForkServer(["bridge"], tmp_path / "server.log")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def port(tmp_path: Path) -> int:
    return PortBook(tmp_path / "ports.json").port("bridge")


@pytest.fixture
async def bridge(
    server: ForkServer, bus: Bus, nats_url: str, port: int, tmp_path: Path
) -> AsyncIterator[Child]:
    """A door of its own, not started yet."""
    worker = bridge_of(server, nats_url, port, tmp_path)
    yield worker
    await worker.stop()


def bridge_of(server: ForkServer, nats_url: str, port: int, folder: Path, **settings: str) -> Child:
    return worker_process(
        "bridge",
        name="bridge-2",
        log=folder / "bridge.log",
        port=port,
        environment={"AF_NATS_URL": nats_url, **settings},
        fork_server=server,
    )


def is_forked(worker: Child) -> bool:
    return any(FORKED in part for part in psutil.Process(worker.pid).cmdline())


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_a_forked_worker_is_a_child_like_any_other(bridge: Child, port: int):
    await bridge.start()
    process = psutil.Process(bridge.pid)
    assert is_forked(bridge)
    assert process.ppid() == os.getpid()
    assert os.getsid(process.pid) == process.pid
    assert process.name() == "bridge-2"
    assert [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)] == [
        os.devnull,
        str(bridge.log),
        str(bridge.log),
    ]
    # Its probes answer a moment before it says so.
    await eventually(lambda: "ready for work" in bridge.log.read_text())
    process.terminate()
    assert await bridge.wait() == 0
    assert "draining" in bridge.log.read_text()
    assert bridge.pid is None
    assert not psutil.pid_exists(process.pid)


async def test_the_status_of_a_forked_worker_says_which_signal_killed_it(bridge: Child):
    await bridge.start()
    os.kill(bridge.pid or 0, signal.SIGKILL)
    assert await bridge.wait() == -signal.SIGKILL


async def test_a_forked_worker_has_the_settings_of_its_order_and_ends_with_its_own_status(
    server: ForkServer, port: int, tmp_path: Path
):
    worker = bridge_of(server, "nats://127.0.0.1:1", port, tmp_path, AF_CONCURRENCY="plenty")
    with pytest.raises(Misconfigured, match="status 2 while starting") as raised:
        await worker.start()
    assert "plenty" in raised.value.detail


async def test_workers_are_restarted_by_forking(bridge: Child, port: int):
    supervisor = Supervisor(backoff=Backoff(first_s=0.05))
    await supervisor.start(bridge)
    first = supervisor.statuses[0].pid
    os.kill(first or 0, signal.SIGKILL)
    await eventually(lambda: supervisor.statuses[0].restarts == 1)
    await eventually(lambda: supervisor.statuses[0].state is State.READY)
    assert bridge.pid != first
    assert is_forked(bridge)
    await supervisor.stop()


async def test_workers_outlive_a_fork_server_that_was_killed_and_then_start_without_it(
    server: ForkServer, bridge: Child, port: int
):
    await bridge.start()
    os.kill(server.pid or 0, signal.SIGKILL)
    await server.wait()
    assert await serves(port, "/readyz")
    assert is_forked(bridge)
    await bridge.stop()
    await bridge.start()
    assert not is_forked(bridge)
    assert await serves(port, "/readyz")


async def test_a_fork_server_that_hangs_is_given_up_and_the_worker_starts_without_it(
    server: ForkServer, bridge: Child
):
    process = psutil.Process(server.pid)
    process.suspend()
    await bridge.start()
    assert not is_forked(bridge)
    process.resume()
    assert await server.wait() == 0


async def test_forked_workers_end_when_the_stack_is_killed(
    bus: Bus, nats_url: str, port: int, tmp_path: Path
):
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, nats_url, str(port), str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
    parent.kill()
    await parent.wait()
    assert len(pids) == 2
    await eventually(lambda: not any(is_running(pid) for pid in pids))


async def test_no_worker_imports_a_library_that_can_not_be_forked(tmp_path: Path):
    server = ForkServer(WORKERS, tmp_path / "server.log")
    await server.start()
    try:
        assert psutil.Process(server.pid).num_threads() == 1
    finally:
        await server.stop()


async def test_a_process_with_a_second_thread_does_not_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(Misconfigured, match="would be missing in a worker"):
        await ForkServer(["bridge"], tmp_path / "server.log").start()
