"""Workers of a local stack follow the length of a real queue; small servers stand in for the workers."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import psutil
import pytest

from askfleet.embedded.nats import NatsServer
from askfleet.local.child import Child, ChildSpec, accepts_connections
from askfleet.local.pool import ColdStart, Pool
from askfleet.local.ports import PortBook
from askfleet.local.scaling import Bounds, LocalScaling, ScalingOptions
from askfleet.local.state import StateFolder
from askfleet.local.supervisor import Backoff, State, Supervisor
from askfleet.local.tenants import DEMO_TENANT, ensure_tenants, public_keys
from askfleet.scaling import Trigger
from askfleet.scaling.monitor import QueueMonitor
from askfleet.scaling.record import ReplicaState, read_timeline
from bus import subjects
from bus.connection import connect
from bus.provision import provision
from bus.scaling import ScalingReport, read_scaling
from bus.subjects import Lane
from bus.testing import eventually
from bus.topology import ROUTE
from contracts.errors import DependencyUnavailable, Misconfigured

WORKER = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""
STUBBORN = WORKER.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
SLOW_TO_START = "import time; time.sleep(60)"
FAILING_ONCE = """
import pathlib, sys
mark = pathlib.Path(sys.argv[0]).with_suffix(".tried")
if not mark.exists():
    mark.touch()
    sys.exit("not yet")
"""
SPEED = 200.0


class Workers:
    """Makes the processes of a pool, and remembers the way of each."""

    def __init__(self, folder: Path, script: str = WORKER) -> None:
        self._folder = folder
        self._ports = PortBook(folder / "workers.json")
        self._script = folder / "worker.py"
        self._script.write_text(script)
        self.way: list[tuple[str, ReplicaState]] = []
        self.in_work: dict[int, int] = {}

    def __call__(self, number: int) -> Child:
        port = self._ports.port(f"worker-{number}")
        return Child(
            ChildSpec(
                name=f"worker-{number}",
                command=(sys.executable, str(self._script), str(port)),
                log=self._folder / f"worker-{number}.log",
                ready=lambda: accepts_connections(port),
                ready_within_s=20.0,
                grace_s=10.0,
            )
        )

    async def busy(self) -> Mapping[int, int]:
        return self.in_work

    def note(self, name: str, state: ReplicaState) -> None:
        self.way.append((name, state))

    def ended(self) -> set[str]:
        return {name for name, state in self.way if state == "ended"}


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(backoff=Backoff(first_s=0.05))
    yield supervisor
    await supervisor.stop()


@asynccontextmanager
async def pool_of(
    supervisor: Supervisor, workers: Workers, cold_start: ColdStart | None = None
) -> AsyncIterator[Pool]:
    pool = Pool(
        supervisor,
        workers,
        cold_start=cold_start or ColdStart(),
        busy=workers.busy,
        on_state=workers.note,
    )
    yield pool
    await pool.close()


def running(supervisor: Supervisor) -> dict[str, int]:
    return {status.name: status.pid for status in supervisor.statuses if status.pid is not None}


async def test_the_idle_ones_leave_first_and_then_the_newest(supervisor: Supervisor, tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    async with pool_of(supervisor, workers) as pool:
        await pool.resize(4)
        await eventually(lambda: pool.ready == 4)
        pids = running(supervisor)
        workers.in_work = {pids["worker-2"]: 3, pids["worker-4"]: 1}
        await pool.resize(3)
        await eventually(lambda: workers.ended() == {"worker-3"})
        await pool.resize(2)
        await eventually(lambda: workers.ended() == {"worker-3", "worker-1"})
        assert running(supervisor).keys() == {"worker-2", "worker-4"}
        assert (pool.wanted, pool.ready, pool.draining) == (2, 2, 0)


async def test_a_number_is_given_again_only_when_its_process_has_ended(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    workers = Workers(tmp_path, STUBBORN)
    async with pool_of(supervisor, workers) as pool:
        await pool.resize(1)
        await eventually(lambda: pool.ready == 1)
        await pool.resize(0)
        await pool.resize(1)
        await eventually(lambda: pool.ready == 1)
        assert running(supervisor).keys() == {"worker-1", "worker-2"}
        assert pool.draining == 1
        os.kill(running(supervisor)["worker-1"], signal.SIGKILL)
        await eventually(lambda: running(supervisor).keys() == {"worker-2"})
        os.kill(running(supervisor)["worker-2"], signal.SIGKILL)
        await eventually(lambda: pool.ready == 1)


async def test_a_replica_that_crashes_while_it_drains_is_not_started_again(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    workers = Workers(tmp_path, STUBBORN)
    async with pool_of(supervisor, workers) as pool:
        await pool.resize(1)
        await eventually(lambda: pool.ready == 1)
        pid = running(supervisor)["worker-1"]
        await pool.resize(0)
        await eventually(lambda: supervisor.statuses[0].state is State.STOPPING)
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: workers.ended() == {"worker-1"})
        assert supervisor.statuses == ()


async def test_a_start_under_way_is_broken_off_when_it_is_wanted_no_more(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    workers = Workers(tmp_path, SLOW_TO_START)
    async with pool_of(supervisor, workers) as pool:
        await pool.resize(1)
        await eventually(lambda: running(supervisor).keys() == {"worker-1"})
        pid = running(supervisor)["worker-1"]
        await pool.resize(0)
        await eventually(lambda: workers.ended() == {"worker-1"})
        assert not psutil.pid_exists(pid)
        assert supervisor.statuses == ()


async def test_what_waits_for_its_simulated_node_leaves_before_what_is_ready(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    workers = Workers(tmp_path)
    async with pool_of(supervisor, workers, ColdStart(node_s=0.2, model_s=0.1)) as pool:
        await pool.resize(1)
        await eventually(lambda: pool.ready == 1)
        states: list[ReplicaState] = ["asked", "node", "model", "process", "ready"]
        assert workers.way == [("worker-1", state) for state in states]
        await pool.resize(2)
        await pool.resize(1)
        await eventually(lambda: workers.ended() == {"worker-2"})
        assert ("worker-2", "process") not in workers.way


async def test_what_is_not_ready_leaves_before_an_idle_one_that_is_newer(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    workers = Workers(tmp_path)
    async with pool_of(supervisor, workers, ColdStart(node_s=0.2)) as pool:
        await pool.resize(2)
        await eventually(lambda: pool.ready == 2)
        workers.in_work = {running(supervisor)["worker-2"]: 1}
        await pool.resize(1)
        await eventually(lambda: workers.ended() == {"worker-1"})
        workers.in_work = {}
        await pool.resize(2)
        await pool.resize(1)
        await eventually(lambda: workers.way[-1] == ("worker-1", "ended"))
        assert running(supervisor).keys() == {"worker-2"}


async def test_a_replica_that_does_not_start_is_tried_again(supervisor: Supervisor, tmp_path: Path) -> None:
    workers = Workers(tmp_path, FAILING_ONCE + WORKER)
    async with pool_of(supervisor, workers) as pool:
        await pool.resize(1)
        await eventually(lambda: workers.ended() == {"worker-1"})
        assert pool.wanted == 0
        await pool.resize(1)
        await eventually(lambda: pool.ready == 1)


async def test_a_replica_that_crashes_is_not_counted_until_it_is_back(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    workers = Workers(tmp_path)
    async with pool_of(supervisor, workers) as pool:
        await pool.resize(1)
        await eventually(lambda: pool.ready == 1)
        pid = running(supervisor)["worker-1"]
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: pool.ready == 0, every_s=0.001)
        assert pool.wanted == 1
        await eventually(lambda: pool.ready == 1)
        assert running(supervisor)["worker-1"] != pid


class Queue:
    """The router's queue on a nats-server as `askfleet up` runs it."""

    def __init__(self, state: StateFolder) -> None:
        ensure_tenants(state)
        self.state = state
        self.server = NatsServer(
            state.data("nats"), state.log("nats"), PortBook(state.ports), keys=lambda: public_keys(state)
        )

    async def start(self) -> None:
        await self.server.start()
        settings = self.state.nats_keys.settings(self.server.url, "provision")
        async with connect(settings, name="test") as bus:
            await provision(bus.js, settings)

    async def put(self, count: int) -> None:
        settings = self.state.nats_keys.settings(self.server.url, "bridge")
        async with connect(settings, name="test") as bus:
            subject = subjects.query(DEMO_TENANT, Lane.FRESH)
            await asyncio.gather(*(bus.js.publish(subject, b"{}") for _ in range(count)))

    async def asked_by(self, role: str) -> ScalingReport | None:
        settings = self.state.nats_keys.settings(self.server.url, role)
        async with connect(settings, name="test") as bus:
            return await read_scaling(bus)

    async def empty(self) -> None:
        settings = self.state.nats_keys.settings(self.server.url, "router")
        async with connect(settings, name="test") as bus:
            pulled = await bus.js.pull_subscribe_bind(durable="router", stream=ROUTE.name)
            for message in await pulled.fetch(1_000, timeout=5):
                await message.ack_sync()


@pytest.fixture
async def queue(state: StateFolder) -> AsyncIterator[Queue]:
    queue = Queue(state)
    await queue.start()
    yield queue
    await queue.server.stop()


class Scaled:
    def __init__(self) -> None:
        self.report = ScalingReport(at=0)

    def took(self, report: ScalingReport) -> None:
        self.report = report

    @property
    def ready(self) -> int:
        return sum(found.ready for found in self.report.states)

    @property
    def left(self) -> int:
        return sum(found.desired + found.ready + found.draining for found in self.report.states)

    @property
    def problem(self) -> str:
        return "".join(found.problem for found in self.report.states)


@asynccontextmanager
async def scaled(
    queue: Queue, supervisor: Supervisor, workers: Workers, record: Path
) -> AsyncIterator[Scaled]:
    """The router between 0 and 3 replicas by the ScaledObject that ships, 200 times as fast."""
    options = ScalingOptions(bounds={"router": Bounds(0, 3)}, speed=SPEED, node_s=10.0, record=record)
    seen = Scaled()
    scaling = LocalScaling(options, supervisor, lambda _, number: workers(number), on_report=seen.took)
    assert scaling.first() == []
    operator = queue.state.nats_keys.settings(queue.server.url, "operator")
    running = asyncio.create_task(scaling.run(operator, queue.server.monitor_url))
    yield seen
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_replicas_come_with_the_queue_and_go_with_it(
    queue: Queue, supervisor: Supervisor, tmp_path: Path
) -> None:
    workers, record = Workers(tmp_path), tmp_path / "record.jsonl"
    async with scaled(queue, supervisor, workers, record) as seen:
        await eventually(lambda: seen.report.states != ())
        assert seen.left == 0
        await queue.put(100)
        await eventually(lambda: seen.ready == 3)
        assert seen.report.states[0].metric == 100
        await queue.empty()
        await eventually(lambda: seen.left == 0, within_s=20)
        told = await queue.asked_by("ops")
        assert told is not None
        assert told.states == seen.report.states
        newest, *_, oldest = told.decisions
        assert (newest.desired, oldest.before, oldest.desired) == (0, 0, 1)
        assert all(later.before == earlier.desired for later, earlier in pairwise(told.decisions))
        assert oldest.reason == "100 > 0: KEDA activates"
    assert await queue.asked_by("ops") is None
    assert supervisor.statuses == ()
    timeline = read_timeline(record)
    assert timeline.run.speed == SPEED
    assert timeline.looks[0].desired == 0
    assert {line.name for line in timeline.replicas if line.state == "ended"} == {
        "worker-1",
        "worker-2",
        "worker-3",
    }


async def test_while_the_queue_cannot_be_read_nothing_is_stopped(
    queue: Queue, supervisor: Supervisor, tmp_path: Path
) -> None:
    workers = Workers(tmp_path)
    async with scaled(queue, supervisor, workers, tmp_path / "record.jsonl") as seen:
        await queue.put(100)
        await eventually(lambda: seen.ready == 3)
        before = running(supervisor)
        await queue.server.stop()
        await eventually(lambda: seen.problem != "")
        looks = seen.report.at + 15 * 10 / SPEED
        await eventually(lambda: seen.report.at > looks)
        assert seen.report.states[0].metric is None
        await queue.server.start()
        await eventually(lambda: seen.problem == "" and seen.report.states[0].metric == 100)
        assert running(supervisor) == before


async def test_the_lag_of_a_consumer_is_what_waits_and_what_is_in_work(queue: Queue) -> None:
    await queue.put(5)
    router = Trigger("fresh", "FLEET", ROUTE.name, "router")
    settings = queue.state.nats_keys.settings(queue.server.url, "router")
    async with connect(settings, name="test") as bus, httpx.AsyncClient() as client:
        pulled = await bus.js.pull_subscribe_bind(durable="router", stream=ROUTE.name)
        taken = await pulled.fetch(2, timeout=5)
        monitor = QueueMonitor(client, queue.server.monitor_url)
        assert await monitor.lags([router]) == {"fresh": 5}
        await taken[0].ack_sync()
        assert await monitor.lags([router]) == {"fresh": 4}
        unknown = Trigger("fresh", "FLEET", ROUTE.name, "nobody")
        with pytest.raises(DependencyUnavailable, match="knows no consumer 'nobody'"):
            await monitor.lags([unknown])


async def test_an_account_that_the_server_does_not_know_by_that_name_is_left_out_of_its_answer(
    queue: Queue,
) -> None:
    """What KEDA's issue 8165 describes: the consumer is there, and `accounts=true` shows it."""
    await queue.put(3)
    misnamed = Trigger("fresh", "fleet", ROUTE.name, "router")
    async with httpx.AsyncClient() as client:
        with pytest.raises(DependencyUnavailable, match="in account 'fleet'"):
            await QueueMonitor(client, queue.server.monitor_url).lags([misnamed])
        asked = {"acc": "fleet", "consumers": "true", "config": "true"}
        for more, listed in (({}, False), ({"accounts": "true"}, True)):
            answer = await client.get(f"{queue.server.monitor_url}/jsz", params=asked | more)
            assert ("account_details" in answer.json()) is listed


def test_what_has_no_scaled_object_and_what_is_no_range_is_refused() -> None:
    with pytest.raises(Misconfigured, match="no ScaledObject of 'bridge'"):
        ScalingOptions(bounds={"bridge": Bounds(1, 2)}).scaled_objects()
    with pytest.raises(Misconfigured, match="3:2 is no range"):
        Bounds(3, 2)
