"""Busy pods are marked. NATS is real, with permissions; the API server is `simulated`, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from bus import subjects
from bus.connection import Bus, connect
from bus.keys import KeyFolder
from bus.permissions import FLEET_ROLES
from bus.presence import Presence
from bus.testing import NatsServer, eventually
from workers.costs.app import make
from workers.costs.costs import deletion_cost
from workers.costs.pods import ANNOTATION
from workers.costs.settings import CostSettings
from workers.shell.http import serve

SLOTS = 8


@dataclass
class SimulatedKubernetes:
    """Patches annotations of the pods that it has, for whoever shows the token, and picks victims."""

    token: str = "first"
    pods: dict[str, dict[str, str]] = field(default_factory=dict)
    patches: list[str] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        status = self._patch(scope["method"], scope["path"], dict(scope["headers"]), body)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    def _patch(self, method: str, path: str, headers: dict[bytes, bytes], body: bytes) -> int:
        if headers.get(b"authorization") != f"Bearer {self.token}".encode():
            return 401
        folder, _, pod = path.rpartition("/")
        if method != "PATCH" or folder != "/api/v1/namespaces/askfleet/pods":
            return 403
        self.patches.append(pod)
        if pod not in self.pods:
            return 404
        if headers.get(b"content-type") != b"application/merge-patch+json":
            return 415
        self.pods[pod] |= json.loads(body)["metadata"]["annotations"]
        return 200

    def victim(self) -> str:
        """Whom a ReplicaSet ends first among pods that are ready: the lowest cost, 0 where none is said."""
        return min(self.pods, key=lambda pod: int(self.pods[pod].get(ANNOTATION, "0")))


@dataclass
class Cluster:
    settings: CostSettings
    kubernetes: SimulatedKubernetes
    in_work: dict[str, int]
    """By pod; a worker answers for each, as it does on the bus."""

    @asynccontextmanager
    async def marking(self) -> AsyncIterator[None]:
        async with connect(self.settings, name="costs") as bus, make(self.settings)(bus) as ready:
            assert ready() == {"watching": True}
            yield
            assert ready() == {"watching": True}

    def cost(self, pod: str) -> str | None:
        return self.kubernetes.pods[pod].get(ANNOTATION)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def nats_server(tmp_path: Path, keys: KeyFolder) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats", permissions=keys.ensure((r.name for r in FLEET_ROLES), ())).start()
    yield server
    server.stop()


@pytest.fixture
async def cluster(nats_server: NatsServer, keys: KeyFolder, tmp_path: Path) -> AsyncIterator[Cluster]:
    kubernetes = SimulatedKubernetes(pods={"router-a": {}, "router-b": {}, "router-c": {}})
    in_work = {"router-a": 8, "router-b": 0, "router-c": 1}
    token = tmp_path / "token"
    token.write_text("first")
    known = keys.settings(nats_server.url, "monitor")
    async with (
        connect(keys.settings(nats_server.url, "router"), name="router") as bus,
        serve(kubernetes, host="127.0.0.1", port=0) as port,
    ):
        await _answer_for(bus, in_work)
        settings = CostSettings(
            **known.model_dump(),
            costs_every_s=0.05,
            kubernetes_url=f"http://127.0.0.1:{port}",
            kubernetes_token_file=token,
        )
        yield Cluster(settings, kubernetes, in_work)


async def _answer_for(bus: Bus, in_work: dict[str, int]) -> None:
    async def answer(message: Msg) -> None:
        for pod, busy in in_work.items():
            said = Presence(
                name=f"router-{pod}", kind="router", stage="router", instance=pod, host=pod
            ).model_copy(update={"concurrency": SLOTS, "in_work": busy})
            await message.respond(said.model_dump_json().encode())

    await bus.nc.subscribe(subjects.WORKERS_PING, cb=answer)
    await bus.nc.flush()


async def test_scale_in_takes_the_pod_that_has_nothing_in_work(cluster: Cluster) -> None:
    async with cluster.marking():
        await eventually(lambda: cluster.cost("router-c") == "100")
        assert (cluster.cost("router-a"), cluster.cost("router-b")) == ("400", "0")
        assert cluster.kubernetes.victim() == "router-b"
        cluster.in_work |= {"router-b": 4, "router-a": 0}
        await eventually(lambda: cluster.cost("router-a") == "0")
        assert cluster.kubernetes.victim() == "router-a"


async def test_a_pod_is_patched_when_its_step_changes_and_not_else(cluster: Cluster) -> None:
    async with cluster.marking():
        await eventually(lambda: len(cluster.kubernetes.patches) == 3)
        cluster.in_work["router-a"] = 7
        cluster.in_work["router-b"] = 8
        await eventually(lambda: cluster.cost("router-b") == "400")
    assert sorted(cluster.kubernetes.patches) == ["router-a", "router-b", "router-b", "router-c"]


async def test_a_mark_that_an_earlier_process_left_is_taken_back(cluster: Cluster) -> None:
    cluster.kubernetes.pods["router-b"][ANNOTATION] = "400"
    async with cluster.marking():
        await eventually(lambda: cluster.cost("router-b") == "0")


async def test_a_worker_of_another_cluster_is_tried_once(cluster: Cluster) -> None:
    del cluster.kubernetes.pods["router-c"]
    async with cluster.marking():
        await eventually(lambda: "router-c" in cluster.kubernetes.patches)
        cluster.in_work["router-c"] = 8
        cluster.in_work["router-b"] = 8
        await eventually(lambda: cluster.cost("router-b") == "400")
    assert cluster.kubernetes.patches.count("router-c") == 1


async def test_a_new_token_is_used_and_a_refusal_is_survived(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.kubernetes.token = "second"
    said: list[str] = []

    def warned() -> bool:
        said.append(capsys.readouterr().out)
        return "costs_failed" in "".join(said)

    async with cluster.marking():
        await eventually(warned)
        assert cluster.cost("router-a") is None
        await asyncio.to_thread(cluster.settings.kubernetes_token_file.write_text, "second\n")
        await eventually(lambda: cluster.cost("router-a") == "400")


@pytest.mark.parametrize(
    ("in_work", "slots", "cost"),
    [
        (0, 8, 0),
        (1, 64, 100),
        (2, 8, 100),
        (4, 8, 200),
        (7, 8, 400),
        (64, 64, 400),
        (65, 64, 400),
        (1, 0, 400),
    ],
)
def test_costs_come_in_few_steps(in_work: int, slots: int, cost: int) -> None:
    assert deletion_cost(in_work, slots) == cost
