"""What the system does while it is under load: its queues and its processes."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter

import psutil
import structlog

from bus.connection import Bus
from bus.overview import Overview, read_overview
from contracts.errors import AskfleetError
from loadgen.processes import MIB
from loadgen.progress import Depth
from loadgen.recording import ProcessSample, StageSample

log = structlog.get_logger(__name__)

EVERY_S = 1.0
WITHIN_S = 0.8
GATHER_S = 0.1
FAMILY_EVERY = 10
"""Children are looked for once in so many samples: it takes a look at every process of the machine."""

MOST_SAMPLES = 3_600
"""Of each stage and process: a long run is sampled less often, so that its record stays small."""

Pids = Callable[[], Mapping[str, int]]


def interval_s(seconds: float) -> float:
    """Between two samples of a run of that length."""
    return max(EVERY_S, seconds / MOST_SAMPLES)


class StageSampler:
    """`samples` grows by one a stage each time; a time at which NATS is away has none."""

    def __init__(self, bus: Bus, *, origin: float, every_s: float = EVERY_S) -> None:
        self._bus = bus
        self._every_s = every_s
        self._origin = origin
        self.samples: list[StageSample] = []
        self.depths: Sequence[Depth] = ()

    async def sample_forever(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                self._note(await read_overview(self._bus, within_s=WITHIN_S, gather_s=GATHER_S))
            except AskfleetError as error:
                log.debug("queues can't be sampled", action="sample_missed", error=str(error))

    def _note(self, found: Overview) -> None:
        t = round(perf_counter() - self._origin, 3)
        stages = [stage for stage in found.stages if not stage.problem]
        self.samples += (
            StageSample(
                t=t,
                stage=stage.stage,
                waiting=stage.waiting,
                in_work=stage.in_work,
                oldest_age_s=round(stage.oldest_age_s, 3),
                redelivered=stage.redelivered,
                dead=stage.dead,
            )
            for stage in stages
        )
        self.depths = [Depth(each.stage, each.waiting, each.in_work, each.oldest_age_s) for each in stages]


class ProcessSampler:
    """Each process with its children, but for those that have a name of their own; this one alone.

    Args:
        pids: asked for anew each time, since processes restart.
    """

    def __init__(self, pids: Pids, *, origin: float, every_s: float = EVERY_S) -> None:
        self._pids = pids
        self._every_s = every_s
        self._origin = origin
        self._families: dict[int, list[psutil.Process]] = {}
        self._rounds = 0
        self.samples: list[ProcessSample] = []

    async def sample_forever(self) -> None:
        while True:
            # In a thread, since it reads a file or two for each process.
            self.samples += await asyncio.to_thread(self._sample)
            await asyncio.sleep(self._every_s)

    def _sample(self) -> list[ProcessSample]:
        pids = self._pids()
        if self._rounds % FAMILY_EVERY == 0 or self._families.keys() != set(pids.values()):
            self._families = _families(pids)
        self._rounds += 1
        t = round(perf_counter() - self._origin, 3)
        samples = (self._of(t, name, pid) for name, pid in pids.items())
        return [sample for sample in samples if sample is not None]

    def _of(self, t: float, name: str, pid: int) -> ProcessSample | None:
        rss = cpu_s = 0.0
        for process in self._families.get(pid, ()):
            with suppress(psutil.Error), process.oneshot():
                rss += process.memory_info().rss
                times = process.cpu_times()
                cpu_s += times.user + times.system
        if not rss:
            return None
        return ProcessSample(t=t, name=name, pid=pid, rss_mib=round(rss / MIB, 1), cpu_s=round(cpu_s, 2))


def _families(pids: Mapping[str, int]) -> dict[int, list[psutil.Process]]:
    """One look at all processes serves every family."""
    children: dict[int, list[psutil.Process]] = {}
    by_pid: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            children.setdefault(process.ppid(), []).append(process)
            by_pid[process.pid] = process
    named = set(pids.values())
    found: dict[int, list[psutil.Process]] = {}
    for pid in named:
        family = found[pid] = [by_pid[pid]] if pid in by_pid else []
        if pid == os.getpid():
            continue  # a stack that the load generator has started is not part of it
        for member in family:  # grows on the way
            family += (child for child in children.get(member.pid, ()) if child.pid not in named)
    return found
