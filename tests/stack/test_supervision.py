"""Real child processes: small servers written for the purpose."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from askfleet.local.child import Child, ChildSpec, accepts_connections, rotate, tail
from askfleet.local.lock import StateLock
from askfleet.local.ports import PortBook
from askfleet.local.supervisor import Backoff, State, Supervisor
from bus.testing import eventually
from contracts.errors import Misconfigured

LISTENER = """
import signal, socket, sys
print("listening", flush=True)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + LISTENER
FAILING = "import signal; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))" + LISTENER
PARENT = """
import asyncio, sys
from pathlib import Path
from askfleet.local.child import Child, ChildSpec, accepts_connections
from askfleet.interruption import until_signalled
from askfleet.local.supervisor import Supervisor

async def work(supervisor, port, folder):
    command = (sys.executable, folder + "/listener.py", str(port))
    ready = lambda: accepts_connections(port)
    await supervisor.start(Child(ChildSpec("listener", command, Path(folder, "listener.log"), ready)))
    print(supervisor.statuses[0].pid, flush=True)
    await asyncio.Event().wait()

async def main():
    supervisor = Supervisor()
    await until_signalled(work(supervisor, int(sys.argv[1]), sys.argv[2]))
    await supervisor.stop()
    print("stopped", flush=True)

asyncio.run(main())
"""
FAST = Backoff(first_s=0.05, limit_s=0.2)


@pytest.fixture
def port(tmp_path: Path) -> int:
    return PortBook(tmp_path / "ports.json").port("listener")


def listener(tmp_path: Path, port: int, *, script: str = LISTENER, grace_s: float = 5.0) -> Child:
    path = tmp_path / "listener.py"
    path.write_text(script)
    return Child(
        ChildSpec(
            name="listener",
            command=(sys.executable, "-u", str(path), str(port)),
            log=tmp_path / "listener.log",
            ready=lambda: accepts_connections(port),
            ready_within_s=10.0,
            grace_s=grace_s,
        )
    )


def is_running(pid: int | None) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(backoff=FAST)
    yield supervisor
    await supervisor.stop()


async def test_a_child_is_ready_when_start_returns_and_gone_after_stop(tmp_path: Path, port: int):
    child = listener(tmp_path, port)
    await child.start()
    pid = child.pid
    assert is_running(pid)
    assert listens(port)
    await child.stop()
    assert child.pid is None
    assert not is_running(pid)
    assert not listens(port)


async def test_a_child_that_ends_while_starting_is_an_error_with_the_end_of_its_log(
    tmp_path: Path, port: int
):
    child = listener(tmp_path, port, script="raise SystemExit('no such setting: COLOUR')")
    with pytest.raises(Misconfigured, match="status 1 while starting") as raised:
        await child.start()
    assert "no such setting: COLOUR" in raised.value.detail
    assert str(tmp_path / "listener.log") in raised.value.remedy


async def test_a_command_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path):
    spec = ChildSpec("ghost", ("/nowhere/ghost",), tmp_path / "ghost.log", lambda: accepts_connections(1))
    with pytest.raises(Misconfigured, match="/nowhere/ghost"):
        await Child(spec).start()


async def test_a_child_that_never_gets_ready_is_stopped(tmp_path: Path):
    path = tmp_path / "idle.py"
    path.write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    log = tmp_path / "idle.log"
    spec = ChildSpec(
        "idle", (sys.executable, str(path)), log, lambda: accepts_connections(1), ready_within_s=0.5
    )
    with pytest.raises(Misconfigured, match="not ready within"):
        await Child(spec).start()
    assert not is_running(int(log.read_text()))


async def test_a_child_that_ignores_the_stop_signal_is_killed_after_its_grace(tmp_path: Path, port: int):
    child = listener(tmp_path, port, script=STUBBORN, grace_s=0.3)
    await child.start()
    pid = child.pid
    started = time.monotonic()
    await child.stop()
    assert not is_running(pid)
    assert time.monotonic() - started < 3


async def test_a_crashed_child_is_started_again(tmp_path: Path, port: int, supervisor: Supervisor):
    await supervisor.start(listener(tmp_path, port))
    first = supervisor.statuses[0]
    assert first.state is State.READY
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    await eventually(lambda: supervisor.statuses[0].restarts == 1)
    await eventually(lambda: supervisor.statuses[0].state is State.READY)
    assert supervisor.statuses[0].pid not in (None, first.pid)
    assert listens(port)


async def test_a_child_that_can_not_come_back_is_tried_again_and_says_why(
    tmp_path: Path, port: int, supervisor: Supervisor
):
    await supervisor.start(listener(tmp_path, port))
    (tmp_path / "listener.py").write_text("raise SystemExit('disk is full')")
    pid = supervisor.statuses[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: supervisor.statuses[0].restarts >= 3)
    await eventually(lambda: "ended with status 1" in supervisor.statuses[0].note)
    (tmp_path / "listener.py").write_text(LISTENER)
    await eventually(lambda: supervisor.statuses[0].state is State.READY)


@pytest.mark.parametrize(
    ("number", "delays_s"),
    [
        (signal.SIGKILL, ["0.05", "0.05", "0.05"]),
        (signal.SIGTERM, ["0.05", "0.05", "0.05"]),
        (signal.SIGSEGV, ["0.05", "0.1", "0.2"]),
        (signal.SIGUSR1, ["0.05", "0.1", "0.2"]),  # makes it end with a status of its own
    ],
)
async def test_only_crashes_of_its_own_make_a_child_wait_longer_each_time(
    tmp_path: Path, port: int, number: signal.Signals, delays_s: list[str]
):
    notes: list[str] = []

    def note() -> None:
        notes.extend(status.note for status in supervisor.statuses if status.state is State.WAITING)

    supervisor = Supervisor(backoff=Backoff(first_s=0.05), on_change=note)
    await supervisor.start(listener(tmp_path, port, script=FAILING))
    for restarts in (1, 2, 3):
        os.kill(supervisor.statuses[0].pid or 0, number)
        await eventually(lambda count=restarts: supervisor.statuses[0].restarts == count)
        await eventually(lambda: supervisor.statuses[0].state is State.READY)
    await supervisor.stop()
    assert [note.split("restart in ")[1] for note in notes] == [f"{delay} s" for delay in delays_s]


async def test_stopping_while_a_restart_is_due_leaves_nothing(tmp_path: Path, port: int):
    supervisor = Supervisor(backoff=Backoff(first_s=60))
    await supervisor.start(listener(tmp_path, port))
    pid = supervisor.statuses[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: supervisor.statuses[0].state is State.WAITING)
    await supervisor.stop()
    assert supervisor.statuses[0].state is State.STOPPED
    assert not listens(port)


async def test_one_child_that_fails_to_start_fails_its_group(
    tmp_path: Path, port: int, supervisor: Supervisor
):
    ghost = ChildSpec("ghost", ("/nowhere/ghost",), tmp_path / "ghost.log", lambda: accepts_connections(1))
    with pytest.raises(Misconfigured, match="ghost"):
        await supervisor.start(listener(tmp_path, port), Child(ghost))
    await supervisor.stop()
    assert not listens(port)


def start_parent(tmp_path: Path, port: int) -> "tuple[subprocess.Popen[str], int]":
    (tmp_path / "listener.py").write_text(LISTENER)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(port), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    for line in parent.stdout:
        if line.strip().isdigit():
            return parent, int(line)
    raise AssertionError(f"no pid: {parent.communicate()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_everything_in_order(tmp_path: Path, port: int, number: signal.Signals):
    parent, child_pid = start_parent(tmp_path, port)
    parent.send_signal(number)
    out, _ = await asyncio.to_thread(parent.communicate, timeout=20)
    assert out.strip().endswith("stopped")
    assert parent.returncode == 0
    assert not is_running(child_pid)
    assert not listens(port)


async def test_children_end_when_their_parent_is_killed(tmp_path: Path, port: int):
    parent, child_pid = start_parent(tmp_path, port)
    assert is_running(child_pid)
    parent.kill()
    await asyncio.to_thread(parent.communicate, timeout=20)
    await eventually(lambda: not is_running(child_pid))
    assert not listens(port)


def test_a_second_holder_of_the_state_folder_is_refused_and_told_the_pid(tmp_path: Path):
    path = tmp_path / "lock"
    with StateLock(path):
        with pytest.raises(Misconfigured, match=rf"pid {os.getpid()}"):
            StateLock(path).__enter__()
        assert path.read_text() == str(os.getpid())
    assert not path.exists()
    with StateLock(path):
        assert path.exists()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path):
    path = tmp_path / "lock"
    path.write_text("999999999")
    with StateLock(path):
        assert path.read_text() == str(os.getpid())


def test_ports_stay_the_same_unless_somebody_took_one(tmp_path: Path):
    path = tmp_path / "ports.json"
    first = PortBook(path)
    ports = {name: first.port(name) for name in ("nats", "milvus")}
    assert len(set(ports.values())) == 2
    assert PortBook(path).port("nats") == ports["nats"]
    with socket.create_server(("127.0.0.1", ports["milvus"])):
        moved = PortBook(path).port("milvus")
    assert moved not in ports.values()
    assert PortBook(path).port("milvus") == moved


def test_a_log_that_has_grown_is_moved_aside_at_the_next_start(tmp_path: Path):
    log = tmp_path / "worker.log"
    for generation in range(5):
        log.write_bytes(b"x" * 10_000_000 + str(generation).encode())
        rotate(log)
        assert not log.exists()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["worker.log.1", "worker.log.2", "worker.log.3"]
    assert tail(tmp_path / "worker.log.1").endswith("4")


async def test_a_process_that_is_held_back_stays_away_until_it_is_released(tmp_path: Path, port: int) -> None:
    held = {"listener"}
    supervisor = Supervisor(backoff=FAST, held=held.__contains__)
    child = listener(tmp_path, port)
    await supervisor.start(child)
    os.kill(child.pid or 0, signal.SIGKILL)
    await eventually(lambda: supervisor.statuses[0].note == "held back")

    with pytest.raises(ConnectionRefusedError):
        await accepts_connections(port)
    held.clear()
    await eventually(lambda: supervisor.statuses[0].state is State.READY)

    assert await accepts_connections(port)
    assert supervisor.statuses[0].restarts == 1
    await supervisor.stop()
