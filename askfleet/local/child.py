"""One child process of the stack: its log, its start, its readiness and its end."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from askfleet.local.leash import leashed
from contracts.errors import Misconfigured

LOG_LIMIT_BYTES = 10_000_000
KEPT_LOGS = 3
TAIL_LINES = 12
POLL_INTERVAL_S = 0.05

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class ChildSpec:
    """What to run and how to know that it is up.

    `ready` answers false, or raises OSError, until the process serves. `stop_signal` asks for a clean end;
    after `grace_s` it is killed.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    ready: Check
    address: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 20.0


class Running(Protocol):
    """A child process that was started; `asyncio.subprocess.Process` is one."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """Negative for a signal; None while it runs."""

    def send_signal(self, signal: int) -> None: ...

    def kill(self) -> None: ...

    async def wait(self) -> int: ...


Spawn = Callable[[ChildSpec], Awaitable[Running]]


async def executed(
    spec: ChildSpec,
    *,
    stdin: int = asyncio.subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> Running:
    """The command as a new process.

    Args:
        environment: all of it; by default ours with what the spec adds.
    """
    with spec.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *leashed(spec.command, death_signal=spec.stop_signal),
            stdin=stdin,
            stdout=log,
            stderr=log,
            env={**os.environ, **spec.environment} if environment is None else environment,
            # Its own session: Ctrl-C reaches the parent alone, which then stops all in order.
            start_new_session=True,
        )


class Child:
    """A process that dies with its parent and is ended only by the pid that was started here."""

    def __init__(self, spec: ChildSpec, *, spawn: Spawn = executed) -> None:
        self.spec = spec
        self._spawn = spawn
        self._process: Running | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def address(self) -> str:
        return self.spec.address

    @property
    def log(self) -> Path:
        return self.spec.log

    @property
    def pid(self) -> int | None:
        """None when it is not running."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    async def start(self) -> None:
        """Start, and return when it is ready; a child that runs already is left alone.

        Raises:
            Misconfigured: it ended, or was not ready in time; carries the tail of its log.
        """
        if self.pid is not None:
            return
        rotate(self.spec.log)
        self._process = await self._spawn(self.spec)
        try:
            await self._until_ready(self._process)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(self.spec.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self.spec.grace_s)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def wait(self) -> int:
        """The exit status, negative for a signal, once it has ended."""
        if self._process is None:
            raise Misconfigured(f"{self.name} was never started.")
        return await self._process.wait()

    async def _until_ready(self, process: Running) -> None:
        give_up = time.monotonic() + self.spec.ready_within_s
        while time.monotonic() < give_up:
            if process.returncode is not None:
                raise self._failure(f"{self.name} ended with status {process.returncode} while starting.")
            if await _answers(self.spec.ready):
                return
            await asyncio.sleep(POLL_INTERVAL_S)
        raise self._failure(f"{self.name} was not ready within {self.spec.ready_within_s:g} s.")

    def _failure(self, what: str) -> Misconfigured:
        return Misconfigured(
            f"{what} Its log ends with:\n{tail(self.spec.log)}\n",
            remedy=f"The whole log is in {self.spec.log}.",
        )


async def _answers(check: Check) -> bool:
    try:
        return await check()
    except OSError:
        return False


async def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    """Raises OSError when nobody listens."""
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()
    return True


async def serves(port: int, path: str) -> bool:
    """Whether GET on loopback answers 200; raises OSError when nobody listens.

    Plain sockets, since it is asked every 50 ms while processes start and compete for the processor.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        status_line = await asyncio.wait_for(reader.readline(), 5)
    except TimeoutError:
        return False
    finally:
        writer.close()
    return b" 200" in status_line


def rotate(log: Path) -> None:
    """Move a log that has grown past the limit aside; the oldest one goes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if not log.exists() or log.stat().st_size < LOG_LIMIT_BYTES:
        return
    for number in range(KEPT_LOGS - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    if not log.exists():
        return "(no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8_000))
        text = file.read().decode(errors="replace")
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])
