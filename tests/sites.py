"""Three clusters on loopback: each a nats-server with the configuration that its topology renders; workers.

What differs from what is shipped is where servers listen and store, and that nothing is encrypted.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns

import psutil

from askfleet.fleet.keys import guest_folder, make_link_keys, variables
from askfleet.fleet.kustomize import neighbours
from askfleet.fleet.nats import site
from askfleet.fleet.topology import Topology
from bus.connection import connect
from bus.keys import KeyFolder, PublicKeys
from bus.permissions import FLEET_ROLES
from bus.provision import provision
from bus.settings import BusSettings
from bus.sites import Place, configuration
from bus.testing import eventually, nats_server_binary

PARTS = ("router", "retrieval", "generation-default")


@dataclass(frozen=True)
class Pace:
    """Of each cluster's workers and their simulated engine."""

    slots: int = 8
    first_token_ms: float = 30
    interval_ms: float = 10
    tokens: int = 20


class Nursery:
    """Processes with workers, forked from one that has imported what they need."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("site_process.py"))]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def fork(self, given: dict[str, object], log: Path) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"given": given, "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@dataclass
class Server:
    """A nats-server and where its words go."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Sites:
    """`start` all servers; `start_workers` where there shall be some; `kill_*` by SIGKILL."""

    topology: Topology
    folder: Path
    journal: Path
    nursery: Nursery
    pace: Pace = Pace()
    ports: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    workers: dict[str, list[int]] = field(default_factory=dict)
    cluster_of: dict[int, str] = field(default_factory=dict)

    def prepare(self) -> None:
        make_link_keys(self.topology, self.folder / "keys")
        with ExitStack() as held:
            free = _free_ports(held)
            self.ports = {name: (next(free), next(free), next(free)) for name in self.topology.clusters}

    async def start(self) -> None:
        self.prepare()
        for name in self.topology.clusters:
            self.start_server(name)
        for name in self.topology.clusters:
            async with self.connection(name, "provision") as bus:
                await provision(bus.js, self.settings(name, "provision"))

    def start_server(self, name: str) -> None:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        keys = self.role_keys(name).ensure((role.name for role in FLEET_ROLES), ())
        client, monitor, leaves = (f"127.0.0.1:{port}" for port in self.ports[name])
        place = Place(client, monitor, leaves, str(folder / "store"))
        path = folder / "nats.conf"
        path.write_text(configuration(self._site(name, keys), place))
        environment = {
            **os.environ,
            **variables(self.topology, self.folder / "keys", name),
            "POD_NAME": f"{name}-0",
        }
        log = folder / "nats.log"
        with log.open("ab") as words:
            command = [nats_server_binary(), "-c", str(path)]
            process = subprocess.Popen(command, stdout=words, stderr=words, env=environment)
        self.servers[name] = Server(process, log)

    def _site(self, name: str, keys: PublicKeys):  # type: ignore[no-untyped-def]
        return site(
            self.topology,
            name,
            keys=keys,
            urls=lambda other: (f"nats-leaf://127.0.0.1:{self.ports[other][2]}",),
        )

    def role_keys(self, name: str) -> KeyFolder:
        return KeyFolder(self.folder / "keys" / name / "roles")

    def url(self, name: str) -> str:
        return f"nats://127.0.0.1:{self.ports[name][0]}"

    def settings(self, name: str, role: str) -> BusSettings:
        found = self.role_keys(name).settings(self.url(name), role)
        return found.model_copy(update={"ack_wait_s": 2.0, "publish_timeout_s": 1.0, "shared_queues": True})

    def connection(self, name: str, role: str = "operator"):  # type: ignore[no-untyped-def]
        return connect(self.settings(name, role), name=f"test-{name}")

    async def start_workers(self, name: str, *, slots: int | None = None) -> None:
        """One process with a router, evidence and a generation worker, and wait until it pulls."""
        log = self.folder / name / f"workers-{time_ns()}.log"
        given = self._given(name, slots or self.pace.slots)
        pid = self.nursery.fork(given, log)
        self.workers.setdefault(name, []).append(pid)
        self.cluster_of[pid] = name

        def ready() -> bool:
            assert psutil.pid_exists(pid), log.read_text()
            return log.exists() and "\nready\n" in f"\n{log.read_text()}"

        await eventually(ready, within_s=60, every_s=0.1)

    def _given(self, name: str, slots: int) -> dict[str, object]:
        keys = self.role_keys(name)
        parts = {
            role: {
                "nats_url": self.url(name),
                "nats_nkey_file": str(keys.role(role.split("-")[0])),
                "nats_inbox_prefix": f"_INBOX.{role.split('-')[0]}",
                "neighbours": neighbours(self.topology, name, role),
                "neighbour_keys": str(guest_folder(self.folder / "keys", name, role)),
                "neighbour_share": self.topology.guest_share,
                "ack_wait_s": 2.0,
                "publish_timeout_s": 1.0,
                "drain_grace_s": 1.0,
            }
            for role in PARTS
        }
        engine = {
            "simulated_first_token_ms": self.pace.first_token_ms,
            "simulated_interval_ms": self.pace.interval_ms,
            "simulated_tokens": self.pace.tokens,
            "slots": slots,
            "journal": str(self.journal),
        }
        return {"parts": parts, "engine": engine}

    def kill_workers(self, name: str) -> None:
        for pid in self.workers.pop(name, ()):
            os.kill(pid, signal.SIGKILL)

    def kill_server(self, name: str) -> None:
        self.servers.pop(name).kill()

    def close(self) -> None:
        for name in list(self.workers):
            self.kill_workers(name)
        for name in list(self.servers):
            self.kill_server(name)


def _free_ports(held: ExitStack) -> Iterator[int]:
    while True:
        bound = held.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
