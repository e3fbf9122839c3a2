"""A real nats-server for tests and benches: one process on a free loopback port."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from bus.keys import PublicKeys
from bus.server import Tls, access
from bus.topology import MAX_PAYLOAD_BYTES
from contracts.errors import Misconfigured

START_TIMEOUT_S = 10.0


def nats_server_binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise Misconfigured(
            "There is no nats-server on this machine.", remedy="Run `make .venv/.dev-installed`."
        )
    return found


class NatsServer:
    """`start`, `kill` (SIGKILL) and `start` again keep port and store, as a crash and a restart do.

    Args:
        permissions: who may connect; None lets everybody in with every right.
        tls: its certificates; None leaves the traffic in clear.
    """

    def __init__(
        self,
        store: Path,
        *,
        port: int = -1,
        permissions: PublicKeys | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._store = store
        self._access = access(permissions) if permissions else {}
        self._tls = {"tls": tls.block()} if tls else {}
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.monitor_url = ""

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> "NatsServer":
        self._store.mkdir(parents=True, exist_ok=True)
        config = self._write_configuration()
        ports = self._store / "ports"
        ports.mkdir(exist_ok=True)
        for old in ports.glob("*.ports"):
            old.unlink()
        command = [nats_server_binary(), "-c", str(config), "-js", "-sd", str(self._store / "js")]
        command += ["-a", "127.0.0.1", "-p", str(self._port), "--ports_file_dir", str(ports)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._read_ports(ports)
        return self

    def reload(self, permissions: PublicKeys) -> None:
        """Others may connect from now on; the server goes on running."""
        assert self._process is not None, "the server does not run"
        self._access = access(permissions)
        self._write_configuration()
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """It takes what comes and does not answer; `kill` ends it."""
        assert self._process is not None, "the server does not run"
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _write_configuration(self) -> Path:
        path = self._store / "server.conf"
        settings = {"max_payload": MAX_PAYLOAD_BYTES, "http": "127.0.0.1:-1", **self._access, **self._tls}
        path.write_text(json.dumps(settings))
        return path

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def _read_ports(self, folder: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(ValueError, KeyError, StopIteration):
                found = json.loads(next(folder.glob("*.ports")).read_text())
                self._port = int(found["nats"][0].rsplit(":", 1)[1])
                self.monitor_url = found["monitoring"][0]
                if self._healthy():
                    return
            time.sleep(0.005)
        raise Misconfigured(f"nats-server did not start within {START_TIMEOUT_S:g} s.")

    def _healthy(self) -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{self.monitor_url}/healthz", timeout=1) as r,  # noqa: S310 (our own)
        ):
            return bool(r.status == 200)
        return False


async def eventually(condition, *, within_s: float = 10.0, every_s: float = 0.01) -> None:  # type: ignore[no-untyped-def]
    """Poll an async or plain condition until it holds; AssertionError when the time is up."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {condition}")
        await asyncio.sleep(every_s)
