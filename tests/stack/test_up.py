"""`askfleet up` as a process of its own, with the bridge as its only worker."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from askfleet.local.state import StackRecord, StateFolder
from bus.testing import eventually
from contracts.errors import Misconfigured

START_WITHIN_S = 90.0
NO_WORKERS = [f"--workers={name}=0" for name in ("router", "retrieval", "sql", "generation", "ingest")]

pytestmark = pytest.mark.timeout(180)


def up(state: StateFolder) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "askfleet.main", "up", "--state-dir", str(state.root), *NO_WORKERS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def running(state: StateFolder) -> StackRecord | None:
    try:
        record = state.running_stack()
    except Misconfigured:
        return None
    return record if record.bridge_urls and "bridge" in pids(record) else None


def pids(record: StackRecord) -> dict[str, int]:
    return {process.name: process.pid for process in record.processes}


def listens(url: str) -> bool:
    parts = urlsplit(url if "//" in url else f"//{url}")
    with closing(socket.socket()) as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


async def test_it_restarts_what_crashes_refuses_a_second_one_and_leaves_nothing_behind(state: StateFolder):
    first = up(state)
    try:
        await eventually(
            lambda: running(state) is not None or first.poll() is not None, within_s=START_WITHIN_S
        )
        record = running(state)
        assert record is not None, first.communicate()
        await check_second_is_refused(state, first.pid)
        await check_restart(state, record)
        after = state.running_stack()
    finally:
        first.send_signal(signal.SIGINT)
        out, _ = await asyncio.to_thread(first.communicate, timeout=60)
    assert first.returncode == 0, out
    assert "keys.json" in out
    assert "stopped" in out.splitlines()[-1]
    assert not [pid for pid in pids(after).values() if psutil.pid_exists(pid)]
    assert not [process for process in after.processes if process.address and listens(process.address)]
    assert not state.lock.exists()
    assert running(state) is None


async def check_second_is_refused(state: StateFolder, pid: int) -> None:
    second = up(state)
    out, _ = await asyncio.to_thread(second.communicate, timeout=60)
    assert second.returncode == 2
    assert f"error: A stack runs already on {state.root} (pid {pid})." in out
    assert f"kill {pid}" in out


async def check_restart(state: StateFolder, record: StackRecord) -> None:
    killed = pids(record)["bridge"]
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: pids(state.running_stack()).get("bridge") not in (None, killed), within_s=60)
    url = state.running_stack().bridge_urls[0]
    assert url == record.bridge_urls[0]

    async def answers() -> bool:
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"{url}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

    await eventually(answers, within_s=60)
