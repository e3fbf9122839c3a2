"""The stack's side of the fork server."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from askfleet.local.child import Child, ChildSpec, Running, executed
from askfleet.local.fork_server import READY, Order

log = structlog.get_logger(__name__)

READY_WITHIN_S = 90.0
ANSWERS_WITHIN_S = 3.0
PR_SET_CHILD_SUBREAPER = 36


def can_fork() -> bool:
    """Linux with pidfd_open(2); elsewhere libraries are not safe to fork, or a child can't be handed over."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


class ForkServer(Child):
    """Forks workers while it runs. Workers that it made live on without it."""

    def __init__(self, kinds: Sequence[str], log: Path) -> None:
        """`kinds`: the workers whose modules it imports."""
        self._channel: socket.socket | None = None
        self._serves = False
        spec = ChildSpec(
            name="fork-server",
            command=(sys.executable, "-P", "-m", "askfleet.local.fork_server", *kinds),
            log=log,
            ready=self._is_ready,
            ready_within_s=READY_WITHIN_S,
            # pyarrow's allocator keeps a thread otherwise.
            environment={"JE_ARROW_MALLOC_CONF": "background_thread:false"},
        )
        super().__init__(spec, spawn=self._launch)

    def fork(self, kind: str, spec: ChildSpec) -> "ForkedProcess | None":
        """The worker as a child of this process; None when the server is away.

        Blocks for the milliseconds that a fork takes, as starting a process does anyway.
        """
        if self._channel is None or not self._serves or self.pid is None:
            return None
        order = Order(kind, spec.name, str(spec.log), {**os.environ, **spec.environment})
        try:
            with _adopting():
                self._channel.send(order.encode())
                return ForkedProcess(int(self._channel.recv(32)))
        except (OSError, ValueError) as error:
            log.warning(
                "the fork server does not answer, the worker is started without it",
                action="fork_server.silent",
                process=spec.name,
                error=str(error),
            )
            self._hang_up()  # an answer that comes late must not be taken for the next one
            return None

    async def stop(self) -> None:
        await super().stop()
        self._hang_up()

    async def _is_ready(self) -> bool:
        if self._channel is not None and not self._serves:
            self._serves = self._channel.recv(len(READY), socket.MSG_DONTWAIT) == READY
        return self._serves

    async def _launch(self, spec: ChildSpec) -> Running:
        self._hang_up()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(ANSWERS_WITHIN_S)
        # Settings and secrets of the workers come with each order.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AF_")}
        with theirs:
            return await executed(spec, stdin=theirs.fileno(), environment={**plain, **spec.environment})

    def _hang_up(self) -> None:
        self._serves = False
        if self._channel is not None:
            self._channel.close()


class ForkedProcess:
    """A child of this process that another one made."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    @property
    def returncode(self) -> int | None:
        return self._status.result() if self._status.done() else None

    def send_signal(self, signal: int) -> None:
        if not self._status.done():
            os.kill(self.pid, signal)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._status)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        _, status = os.waitpid(self.pid, 0)
        self._status.set_result(os.waitstatus_to_exitcode(status))


@contextmanager
def _adopting() -> Iterator[None]:
    """Orphans among our descendants become our children, not those of process 1. Raises OSError."""
    _set_subreaper(True)
    try:
        yield
    finally:
        _set_subreaper(False)


def _set_subreaper(on: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
