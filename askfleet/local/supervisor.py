"""Keeps processes running: a crashed one is started again after a growing delay."""

import asyncio
import enum
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import structlog

from askfleet.local.child import tail
from contracts.errors import AskfleetError

log = structlog.get_logger(__name__)

HELD_CHECK_S = 0.1


class Process(Protocol):
    """What can be supervised: a `Child`, or a server that starts itself in a way of its own."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int | None: ...

    @property
    def address(self) -> str: ...

    @property
    def log(self) -> Path: ...

    async def start(self) -> None:
        """Return when it is ready; AskfleetError when that can't be."""

    async def stop(self) -> None: ...

    async def wait(self) -> int:
        """The exit status, once it has ended."""


class State(enum.StrEnum):
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Backoff:
    """Delay before a restart: doubled with each crash, forgotten once a process has stayed up.

    A process that served and was ended by somebody else is no crash: it comes back after `first_s`.
    """

    first_s: float = 0.5
    limit_s: float = 30.0
    forgotten_after_s: float = 60.0

    def delay_s(self, crashes: int) -> float:
        return min(self.limit_s, self.first_s * 2.0 ** min(max(crashes - 1, 0), 16))


def ended_by_others(status: int) -> bool:
    """Asked to end, or killed. A native fault (SIGSEGV, SIGABRT, ...) is a signal too, but its own doing."""
    return status == 0 or -status in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Status:
    name: str
    state: State = State.STARTING
    address: str = ""
    pid: int | None = None
    restarts: int = 0
    note: str = ""


class Supervised:
    """One process under supervision, from `start` until `stop`."""

    def __init__(
        self,
        process: Process,
        *,
        backoff: Backoff,
        on_change: Callable[[], None] = lambda: None,
        held: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self._process = process
        self._backoff = backoff
        self._on_change = on_change
        self._held = held
        self._status = Status(process.name, address=process.address)
        self._watch: asyncio.Task[None] | None = None

    @property
    def status(self) -> Status:
        return replace(self._status, pid=self._process.pid)

    async def start(self) -> None:
        """Raises AskfleetError when it can't be started at all; later crashes are dealt with here."""
        self._set(State.STARTING)
        try:
            await self._process.start()
        except AskfleetError as error:
            self._set(State.STOPPED, note=error.detail.splitlines()[0])
            raise
        self._set(State.READY)
        log.info("process ready", action="process.ready", process=self._process.name, pid=self._process.pid)
        self._watch = asyncio.create_task(self._keep_running(), name=f"watch {self._process.name}")

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self._set(State.STOPPING)
        await self._process.stop()
        self._set(State.STOPPED)

    async def _keep_running(self) -> None:
        crashes = 0
        while True:
            started = time.monotonic()
            status = await self._process.wait()
            if ended_by_others(status):
                crashes = 0
            elif time.monotonic() - started > self._backoff.forgotten_after_s:
                crashes = 1
            else:
                crashes += 1
            crashes = await self._restart(status, crashes)

    async def _restart(self, status: int, crashes: int) -> int:
        """Until it is ready again; returns how many crashes stand in a row by then."""
        note = f"ended with status {status}"
        while True:
            delay_s = self._backoff.delay_s(crashes)
            self._set(State.WAITING, note=f"{note}, restart in {delay_s:g} s")
            log.warning(
                "process ended, its messages go to others until it is back",
                action="process.restart",
                process=self._process.name,
                reason=note,
                delay_s=delay_s,
                log_tail=tail(self._process.log, 3),
            )
            await asyncio.sleep(delay_s)
            await self._until_released()
            self._status = replace(self._status, restarts=self._status.restarts + 1)
            self._set(State.STARTING)
            try:
                await self._process.start()
            except AskfleetError as error:
                note = error.detail.splitlines()[0]
                crashes += 1
                continue
            self._set(State.READY)
            log.info(
                "process back", action="process.ready", process=self._process.name, pid=self._process.pid
            )
            return crashes

    async def _until_released(self) -> None:
        if self._held(self._process.name):
            self._set(State.WAITING, note="held back")
            while self._held(self._process.name):  # noqa: ASYNC110 (a file of another process's)
                await asyncio.sleep(HELD_CHECK_S)

    def _set(self, state: State, *, note: str = "") -> None:
        self._status = replace(self._status, state=state, note=note)
        self._on_change()


class Supervisor:
    """Processes in the order of their start; stopped in reverse, group by group.

    A process that has ended is not started again while `held` says so of its name.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        on_change: Callable[[], None] = lambda: None,
        held: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._on_change = on_change
        self._held = held
        self._groups: list[list[Supervised]] = []

    @property
    def statuses(self) -> tuple[Status, ...]:
        return tuple(member.status for group in self._groups for member in group)

    async def start(self, *processes: Process) -> None:
        """Start a group side by side; returns when all are ready, raises the first AskfleetError."""
        group = [
            Supervised(process, backoff=self._backoff, on_change=self._on_change, held=self._held)
            for process in processes
        ]
        self._groups.append(group)
        try:
            async with asyncio.TaskGroup() as starting:
                for member in group:
                    starting.create_task(member.start())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def remove(self, name: str) -> None:
        """Stop one and forget it; nothing when there is none of that name. Others are left alone."""
        for group in self._groups:
            for member in [member for member in group if member.status.name == name]:
                await member.stop()
                group.remove(member)
        self._groups = [group for group in self._groups if group]
        self._on_change()

    async def stop(self) -> None:
        for group in reversed(self._groups):
            await asyncio.gather(*(member.stop() for member in group))
