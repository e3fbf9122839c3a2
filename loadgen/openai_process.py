"""The simulated OpenAI-compatible server as a process of its own, which can go away and come back."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket

import psutil

from contracts.errors import Misconfigured

START_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
POLL_S = 0.1
PROBE_WITHIN_S = 0.2
PORTS = range(20_000, 32_000)
"""Below those that a kernel gives to outgoing connections: a client that knocks in vain while the server is
away must not be given the server's port for its own end."""


class OpenAIProcess:
    """Always on the same port; what becomes of its requests when it is killed is their clients' affair.

    Args:
        arguments: of `python -m loadgen.openai_server`, without the port.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self.port = _free_port()
        self._arguments = tuple(arguments)
        self._process = self._start()
        self._listening = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        return self._process.pid

    def find(self) -> psutil.Process | None:
        """None while it is away, or not listening yet. One that is stopped is found."""
        process = self._process
        if process.poll() is not None:
            return None
        # Asked until it says yes: a stopped process would not say it, and its backlog would fill.
        self._listening = self._listening or _listens(self.port)
        try:
            return psutil.Process(process.pid) if self._listening else None
        except psutil.NoSuchProcess:
            return None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Who ends it within the context has it started again afterwards."""
        try:
            yield
        finally:
            if self._ended():
                self._listening = False
                self._process = self._start()

    def until_listening(self) -> None:
        """Raises Misconfigured: it ended, or is not there in time."""
        give_up = time.monotonic() + START_WITHIN_S
        while self.find() is None:
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise Misconfigured(f"The simulated OpenAI server does not listen on port {self.port}.")
            time.sleep(POLL_S)

    def close(self) -> None:
        """It has nothing to save, and its end must not wait for its clients."""
        self._process.kill()
        self._process.wait(timeout=STOP_WITHIN_S)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "loadgen.openai_server", "--port", str(self.port), *self._arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _ended(self) -> bool:
        """A SIGKILL takes effect a moment after it was sent."""
        try:
            self._process.wait(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def openai_process(arguments: Sequence[str] = ()) -> Iterator[OpenAIProcess]:
    """Listening while the context is open.

    Raises:
        Misconfigured: it did not start.
    """
    with closing(OpenAIProcess(arguments)) as process:
        process.until_listening()
        yield process


def engine_arguments(journal: Path, *, first_token_ms: float, interval_ms: float, tokens: int) -> list[str]:
    """For a server that generates: its times, and the folder for its notes."""
    values: dict[str, object] = {
        "--first-token-ms": first_token_ms,
        "--interval-ms": interval_ms,
        "--tokens": tokens,
        "--journal": journal,
    }
    return [part for name, value in values.items() for part in (name, str(value))]


def _free_port() -> int:
    while True:
        port = random.choice(PORTS)  # noqa: S311 (not for secrets)
        with closing(socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _listens(port: int) -> bool:
    with closing(socket()) as probe:
        probe.settimeout(PROBE_WITHIN_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0
