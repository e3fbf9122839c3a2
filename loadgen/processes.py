"""What processes cost: CPU time and memory, each with its descendants."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

OWN_NAME = "load generator"
MIB = 1024 * 1024


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU time since each process began, by name. A child that has ended counts with its parent."""
    return {name: sum(map(_cpu_s, _family(pid))) for name, pid in pids.items()}


@dataclass(frozen=True)
class CpuMeter:
    """CPU time from `start` on."""

    pids: Mapping[str, int]
    before: Mapping[str, float]

    @classmethod
    def start(cls, pids: Mapping[str, int]) -> "CpuMeter":
        known = {**pids, OWN_NAME: os.getpid()}
        return cls(known, cpu_seconds(known))

    def spent_s(self) -> dict[str, float]:
        after = cpu_seconds(self.pids)
        return {name: after[name] - self.before[name] for name in self.pids}


@dataclass(frozen=True)
class Memory:
    """In MiB. `pss` divides shared pages among those that share them, so it may be summed."""

    rss: float
    pss: float


def memory(pids: Mapping[str, int]) -> dict[str, Memory]:
    return {name: _memory(pid) for name, pid in pids.items()}


def _memory(pid: int) -> Memory:
    infos = []
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            infos.append(process.memory_full_info())
    return Memory(sum(info.rss for info in infos) / MIB, sum(info.pss for info in infos) / MIB)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        if pid == os.getpid():
            return [process]
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
