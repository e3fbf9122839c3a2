"""Carries out a schedule of faults on the processes of a local stack, and leaves none of them behind."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psutil
import structlog

from bus.envelope import now_ms
from contracts.errors import DependencyUnavailable
from loadgen.faults import BROKER, ENGINE, Kind, Planned, kind_of
from loadgen.recording import Fault
from loadgen.stack_processes import StackProcesses
from loadgen.witness import Pause

log = structlog.get_logger(__name__)

BACK_WITHIN_S = 90.0
LOOK_EVERY_S = 0.1
RECONNECT_S = 3.0
"""Until all clients of a nats-server that is back have found it."""
WHOLE_FOR_S = 1.0
GENERATION = "generation"


class Chaos:
    """`run` does what is planned; `recover` waits until everything is as it was.

    Args:
        clock: seconds since the start of the run.
        faults: a list to add to.
        on_pause: told of the times that the judge leaves out.
        on_step: told by how many seconds the load generator's clock is to be ahead from now on.

    Attributes:
        faults: what was done, with the times at which it was done.
    """

    def __init__(
        self,
        processes: StackProcesses,
        planned: Sequence[Planned],
        *,
        clock: Callable[[], float],
        faults: list[Fault] | None = None,
        on_pause: Callable[[Pause], None] = lambda pause: None,
        on_step: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._processes = processes
        self._planned = planned
        self._clock = clock
        self._on_pause = on_pause
        self._on_step = on_step
        self._names = frozenset(processes.alive())
        self._untouchable: set[str] = set()
        self._draining = asyncio.Lock()
        self._active: list[str] = []
        self.faults: list[Fault] = [] if faults is None else faults
        self._ahead_s = 0.0

    @property
    def active(self) -> tuple[str, ...]:
        """In words."""
        return tuple(self._active)

    async def run(self) -> None:
        """Until the last fault has ended. When it is cancelled, faults end at once."""
        async with asyncio.TaskGroup() as acting:
            for planned in self._planned:
                await asyncio.sleep(max(0.0, planned.t - self._clock()))
                acting.create_task(self._act(planned))

    async def recover(self) -> None:
        """Raises DependencyUnavailable that names the process which did not come back."""
        give_up = self._clock() + BACK_WITHIN_S
        whole_since = None
        while whole_since is None or self._clock() - whole_since < WHOLE_FOR_S:
            missing = sorted(self._names - self._processes.alive().keys())
            if not missing:
                whole_since = whole_since or self._clock()
            elif self._clock() > give_up:
                raise DependencyUnavailable(f"After the faults, {', '.join(missing)} did not come back.")
            else:
                whole_since = None
            await asyncio.sleep(LOOK_EVERY_S)

    async def _act(self, planned: Planned) -> None:
        match planned.kind:
            case Kind.KILL:
                await self._kill(planned)
            case Kind.DRAIN:
                await self._drain(planned)
            case Kind.FREEZE:
                await self._freeze(planned)
            case Kind.OUTAGE:
                await self._outage(planned)
            case Kind.CLOCK:
                await self._step_clock(planned)

    async def _kill(self, planned: Planned) -> None:
        name = self._victim(planned.target)
        process = self._processes.find(name)
        if process is None:
            self._note(planned, "nobody there")
            return
        began = self._clock()
        since = now_ms()
        if not _signal(process, signal.SIGKILL):
            self._note(planned, "ended by itself just before")
            return
        number = self._note(replace(planned, target=name), f"pid {process.pid}")
        await self._back(name, process.pid)
        if name == BROKER:
            self._on_pause(Pause(since, now_ms() + int(RECONNECT_S * 1_000)))
        self._add_to_note(number, f"back after {self._clock() - began:.1f} s")

    async def _drain(self, planned: Planned) -> None:
        """One after the other, as a rolling restart does."""
        async with self._draining:
            name = self._victim(planned.target)
            process = self._processes.find(name)
            if process is None:
                self._note(planned, "nobody there")
                return
            began = self._clock()
            with self._shown(f"{name} drains"):
                _signal(process, signal.SIGTERM)
                await self._back(name, process.pid)
            note = f"pid {process.pid}, another one ready after {self._clock() - began:.1f} s"
            self.faults.append(Fault(t=began, until=self._clock(), kind=planned.kind, target=name, note=note))

    async def _freeze(self, planned: Planned) -> None:
        name = self._victim(planned.target)
        process = self._processes.find(name)
        if process is None:
            self._note(planned, "nobody there")
            return
        self._untouchable.add(name)
        frozen = _family(process)
        began, since = self._clock(), now_ms()
        try:
            with self._shown(f"{name} frozen"):
                for each in frozen:
                    _signal(each, signal.SIGSTOP)
                await asyncio.sleep(planned.lasts_s)
        finally:
            woken = [_signal(each, signal.SIGCONT) for each in frozen]
            self._untouchable.discard(name)
            self._on_pause(Pause(since, now_ms(), process.pid))
            self._pause_its_engine(name, since)
            note = f"pid {process.pid}" + ("" if all(woken) else ", it did not live to wake up")
            self.faults.append(Fault(t=began, until=self._clock(), kind=planned.kind, target=name, note=note))

    def _pause_its_engine(self, name: str, since: int) -> None:
        """A worker that is stopped can't hang up: meanwhile an engine beside it works on for nobody."""
        engine = self._processes.find(ENGINE) if kind_of(name) == GENERATION else None
        if engine is not None:
            self._on_pause(Pause(since, now_ms(), engine.pid))

    async def _outage(self, planned: Planned) -> None:
        name = planned.target
        process = self._processes.find(name)
        if process is None:
            self._note(planned, "nobody there")
            return
        began = self._clock()
        try:
            with self._shown(f"{name} away"), self._processes.held(name):
                _signal(process, signal.SIGKILL)
                await asyncio.sleep(planned.lasts_s)
            released = self._clock()
            with self._shown(f"{name} comes back"):
                await self._back(name, process.pid)
            note = f"pid {process.pid}, back {self._clock() - released:.1f} s after it was allowed to"
        except asyncio.CancelledError:
            note = f"pid {process.pid}, cut short"
            raise
        finally:
            self.faults.append(Fault(t=began, until=self._clock(), kind=planned.kind, target=name, note=note))

    async def _step_clock(self, planned: Planned) -> None:
        began = self._clock()
        self._step(planned.step_s)
        try:
            with self._shown(f"clock {planned.step_s:+g} s"):
                await asyncio.sleep(planned.lasts_s)
        finally:
            self._step(-planned.step_s)
            note = f"{planned.step_s:+g} s"
            self.faults.append(
                Fault(t=began, until=self._clock(), kind=planned.kind, target=planned.target, note=note)
            )

    def _step(self, seconds: float) -> None:
        self._ahead_s += seconds
        self._on_step(self._ahead_s)

    def _victim(self, target: str) -> str:
        """The process itself, or one of its kind while it is away, stopped already or being started."""
        alive = self._processes.alive().keys() - self._untouchable
        alike = sorted(name for name in alive if kind_of(name) == kind_of(target))
        return target if target in alive or not alike else alike[0]

    async def _back(self, name: str, former: int) -> None:
        """Until another process of that name is there, or the time for it is up: `recover` complains then."""
        give_up = self._clock() + BACK_WITHIN_S
        while self._clock() < give_up:
            process = self._processes.find(name)
            if process is not None and process.pid != former:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _note(self, planned: Planned, note: str) -> int:
        """Something of a moment; returns its number."""
        now = self._clock()
        self.faults.append(Fault(t=now, until=now, kind=planned.kind, target=planned.target, note=note))
        return len(self.faults) - 1

    def _add_to_note(self, number: int, more: str) -> None:
        fault = self.faults[number]
        self.faults[number] = fault.model_copy(update={"note": f"{fault.note}, {more}"})

    @contextmanager
    def _shown(self, words: str) -> Iterator[None]:
        self._active.append(words)
        log.info("a fault begins", action="fault", what=words)
        try:
            yield
        finally:
            self._active.remove(words)
            log.info("a fault ends", action="fault_ends", what=words)


def _family(process: psutil.Process) -> list[psutil.Process]:
    """Parents first, so that none makes another child meanwhile."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> bool:
    """False: it has ended; psutil compares the time at which a process began before it sends anything."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True
