"""A real Milvus Lite server for tests and benches: one process on a free loopback port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import Misconfigured

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class RunningServer:
    uri: str
    pid: int


@contextmanager
def milvus_lite(folder: Path) -> Iterator[RunningServer]:
    """Its data and its log lie in `folder`. Raises: Misconfigured: it does not start."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(folder / "data")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # One search is too short for several threads: they would only wait for each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        _await_port(port, process)
        yield RunningServer(f"http://127.0.0.1:{port}", process.pid)
    finally:
        # It closes its collections on KeyboardInterrupt only.
        process.send_signal(signal.SIGINT)
        _await_end(process)


def _await_end(process: "subprocess.Popen[bytes]") -> None:
    """What was measured must not be lost because a server, started where SIGINT is ignored, does not stop."""
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Misconfigured(f"milvus_lite did not start on port {port} within {START_TIMEOUT_S:g} s.")
