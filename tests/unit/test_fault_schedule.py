"""Schedules of faults, and which processes may be hit."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from loadgen.chaos import Chaos
from loadgen.faults import BROKER, ENGINE, GENERATOR, Kind, Planned, Trouble, kind_of, rolling, schedule
from loadgen.stack_processes import StackProcesses

WORKERS = (
    "router", "router-2", "retrieval", "sql", "generation", "generation-2", "ingest", "bridge", "bridge-2",
)  # fmt: skip
FULL = Trouble(freezes=("postgres",), clock_steps_s=(30.0, -30.0))


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule(FULL, WORKERS, 300, seed=3) == schedule(FULL, WORKERS, 300, seed=3)
    assert schedule(FULL, WORKERS, 300, seed=3) != schedule(FULL, WORKERS, 300, seed=4)


def test_five_minutes_hold_what_was_asked_for() -> None:
    planned = schedule(Trouble(), WORKERS, 300)
    kills = [fault for fault in planned if fault.kind is Kind.KILL and fault.target != BROKER]

    assert len(kills) == 149
    assert {fault.target for fault in kills} == set(WORKERS)
    assert max(Counter(kind_of(fault.target) for fault in kills).values()) == 25
    assert [fault.kind for fault in planned if fault.target == BROKER] == [Kind.KILL] * 2
    assert [kind_of(fault.target) for fault in planned if fault.kind is Kind.FREEZE] == ["generation"]
    outages = {fault.target: fault.lasts_s for fault in planned if fault.kind is Kind.OUTAGE}
    assert outages == {"postgres": 20.0, "milvus": 20.0}


@pytest.mark.parametrize("seconds", [15.0, 60.0, 300.0])
@pytest.mark.parametrize("seed", range(5))
def test_every_fault_begins_and_ends_within_the_run(seconds: float, seed: int) -> None:
    planned = schedule(FULL, WORKERS, seconds, seed=seed)

    assert all(fault.t > 0 and fault.t + fault.lasts_s < seconds for fault in planned)
    assert [fault.t for fault in planned] == sorted(fault.t for fault in planned)
    assert {fault.step_s for fault in planned if fault.target == GENERATOR} == {30.0, -30.0}


def test_the_engine_goes_away_and_is_stopped_where_it_is_named() -> None:
    named = Trouble(kill_every_s=5, outages=("engine",), outage_s=15, freezes=("engine",), freeze_s=8)
    planned = schedule(named, WORKERS, 60)

    assert {fault.kind: fault.lasts_s for fault in planned if fault.target == ENGINE} == {
        Kind.OUTAGE: 15.0,
        Kind.FREEZE: 8.0,
    }
    assert named.of_engine
    assert not Trouble().of_engine


def test_rolling_asks_every_worker_to_end() -> None:
    assert [(fault.kind, fault.target) for fault in rolling(WORKERS)] == [
        (Kind.DRAIN, worker) for worker in WORKERS
    ]


async def test_a_pid_that_went_to_another_process_is_left_alone(tmp_path: Path) -> None:
    with sleeping() as sleeper:
        began = psutil.Process(sleeper.pid).create_time()
        _record(tmp_path, sleeper.pid, began - 60)
        processes = StackProcesses(tmp_path)
        chaos = Chaos(processes, [Planned(0.0, Kind.KILL, "router")], clock=lambda: 0.0)
        await chaos.run()

        assert processes.find("router") is None
        assert sleeper.poll() is None
        assert [fault.note for fault in chaos.faults] == ["nobody there"]

        _record(tmp_path, sleeper.pid, began)
        found = processes.find("router")
        assert found is not None
        assert found.pid == sleeper.pid


async def test_a_stopped_process_runs_on_afterwards(tmp_path: Path) -> None:
    with sleeping() as sleeper:
        _record(tmp_path, sleeper.pid, psutil.Process(sleeper.pid).create_time())
        planned = [Planned(0.0, Kind.FREEZE, "router", lasts_s=0.2)]
        chaos = Chaos(StackProcesses(tmp_path), planned, clock=lambda: 0.0)
        await chaos.run()

        assert psutil.Process(sleeper.pid).status() != psutil.STATUS_STOPPED
        assert [(fault.kind, fault.target) for fault in chaos.faults] == [("freeze", "router")]


@contextmanager
def sleeping() -> Iterator["subprocess.Popen[bytes]"]:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        yield sleeper
    finally:
        sleeper.kill()
        sleeper.wait()


def _record(folder: Path, pid: int, started_at: float) -> None:
    process = {"name": "router", "pid": pid, "started_at": started_at, "ready": True}
    (folder / "stack.json").write_text(json.dumps({"processes": [process]}))
