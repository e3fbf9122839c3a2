"""A whole local stack for one run: `askfleet up` as a child process on a state folder of its own."""

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict

from bus.keys import KeyFolder
from bus.settings import BusSettings
from contracts.errors import Misconfigured
from loadgen.clients import Door
from loadgen.openai_process import OpenAIProcess
from loadgen.stack_processes import StackProcesses

START_WITHIN_S = 300.0
STOP_WITHIN_S = 60.0
POLL_S = 0.1
TENANT = "demo"


class _Process(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    pid: int


class _Record(BaseModel):
    """The part of `stack.json` that a bench needs."""

    model_config = ConfigDict(frozen=True)

    bridge_urls: tuple[str, ...]
    nats_url: str
    nats_keys: Path
    sql_dsn: str
    processes: tuple[_Process, ...] = ()


class _Keys(BaseModel):
    keys: dict[str, str]


@dataclass(frozen=True)
class LocalStack:
    """`operator`: how to reach its NATS with every right; `pids`: of each of its processes, by name, at its
    start; `keys`: of the bridges, by tenant; `beside`: servers that it uses and did not start, by name.
    """

    door: Door
    operator: BusSettings
    sql_dsn: str
    pids: Mapping[str, int]
    folder: Path
    bridge_urls: Sequence[str]
    keys: Mapping[str, str]
    beside: Mapping[str, OpenAIProcess] = field(default_factory=dict)

    @property
    def processes(self) -> StackProcesses:
        return StackProcesses(self.folder, self.beside)


@contextmanager
def local_stack(
    environment: Mapping[str, str],
    *,
    arguments: Sequence[str] = (),
    tenants: Sequence[str] = (),
    folder: Path | None = None,
) -> Iterator[LocalStack]:
    """A stack while the context is open.

    Args:
        environment: settings of the workers.
        arguments: of `askfleet up`.
        tenants: each with a key that has no limits; by default those of `askfleet up`. The first is asked.
        folder: where its data and logs are, and stay; by default they go with it.

    Raises:
        Misconfigured: it did not start; carries what it printed.
    """
    with _home(folder) as name:
        home = Path(name)
        log, state = home / "up.log", home / "state"
        if tenants:
            _write_tenants(state, tenants)
        # Figures are those of a known number of processes, unless somebody asks for scaling.
        scaling = () if "--scale" in arguments else ("--no-scaling",)
        command = [
            sys.executable,
            "-m",
            "askfleet.main",
            "up",
            "--state-dir",
            str(state),
            *scaling,
            *arguments,
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env={**_clean_environment(), **environment}, stdout=output, stderr=output
            )
        try:
            record = _started(process, state, log)
            yield _stack(record, process.pid, state, tenant=tenants[0] if tenants else TENANT)
        finally:
            _stop(process)


def _home(folder: Path | None) -> "tempfile.TemporaryDirectory[str] | nullcontext[str]":
    if folder is None:
        return tempfile.TemporaryDirectory(prefix="askfleet-bench-", ignore_cleanup_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return nullcontext(str(folder))


def _write_tenants(state: Path, tenants: Sequence[str]) -> None:
    """As `askfleet up` finds them at its start; what is there already stays."""
    if (state / "tenants.yaml").exists():
        return
    state.mkdir(parents=True, exist_ok=True)
    keys = {tenant: secrets.token_urlsafe(24) for tenant in tenants}
    unlimited = {"requests_per_s": 0, "concurrent": 0}
    entries = {
        tenant: {"keys": [hashlib.sha256(key.encode()).hexdigest()], **unlimited}
        for tenant, key in keys.items()
    }
    (state / "keys.json").write_text(json.dumps({"keys": keys}))
    (state / "tenants.yaml").write_text(yaml.safe_dump({"tenants": entries}))


def _clean_environment() -> dict[str, str]:
    """Settings of the caller's shell would make another stack than the one that is named in the result."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AF_")}


def _started(process: subprocess.Popen[bytes], state: Path, log: Path) -> _Record:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        # Written first when the servers run, again when all is ready: that line is the last word.
        if b"Ctrl-C" in log.read_bytes():
            return _Record.model_validate_json((state / "stack.json").read_bytes())
        time.sleep(POLL_S)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise Misconfigured(f"The stack did not start within {START_WITHIN_S:g} s:\n{tail}")


def _stack(record: _Record, pid: int, state: Path, *, tenant: str) -> LocalStack:
    url = urlsplit(record.bridge_urls[0])
    keys = _Keys.model_validate_json((state / "keys.json").read_bytes()).keys
    door = Door(str(url.hostname), int(url.port or 80), keys[tenant])
    pids = {process.name: process.pid for process in record.processes}
    operator = KeyFolder(record.nats_keys).settings(record.nats_url, "operator")
    return LocalStack(door, operator, record.sql_dsn, pids, state, record.bridge_urls, keys)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
