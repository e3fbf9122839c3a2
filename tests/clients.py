"""The client examples as a person runs them: one command each, in a process of its own."""

import asyncio
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components import missing

EXAMPLES = Path(__file__).parents[1] / "examples"
JAVASCRIPT = EXAMPLES / "javascript"

PUBLISH_PYTHON = (sys.executable, str(EXAMPLES / "publish.py"))
ASK_CURL = (str(EXAMPLES / "ask.sh"),)
ASK_OPENAI = (sys.executable, str(EXAMPLES / "openai_client.py"))
FRAMEWORKS = Path(__file__).parents[1] / ".venv-clients" / "bin" / "python"


@dataclass(frozen=True)
class Finished:
    status: int
    out: str
    err: str


class Client:
    """A running example; its output is kept from the start."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.out = b""

    async def until(self, text: bytes, *, within_s: float = 20) -> None:
        """Read its output on until `text` is in it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(within_s):
            while text not in self.out:
                read = await self._process.stdout.read(4096)
                assert read, f"ended without {text!r}: {self.out!r}"
                self.out += read

    async def finish(self, *, within_s: float = 60) -> Finished:
        try:
            out, err = await asyncio.wait_for(self._process.communicate(), within_s)
        except TimeoutError:
            self._process.kill()
            await self._process.communicate()
            raise
        return Finished(self._process.returncode or 0, (self.out + out).decode(), err.decode())


class Relay:
    """A TCP connection to a server that a test can cut and restore, at one address."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> "Relay":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, there_writer))
                both.create_task(_pump(there_reader, writer))
        except* (ConnectionError, EOFError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            there_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise EOFError


async def start(command: tuple[str, ...], *arguments: str, env: Mapping[str, str]) -> Client:
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Client(process)


async def run(command: tuple[str, ...], *arguments: str, env: Mapping[str, str]) -> Finished:
    return await (await start(command, *arguments, env=env)).finish()


def framework_example(script: str) -> tuple[str, ...]:
    """The command of an example that needs a framework, which `make clients` installs."""
    if not FRAMEWORKS.exists():
        missing("the frameworks of the examples are not installed: `make clients`")
    return (str(FRAMEWORKS), str(EXAMPLES / script))


@functools.cache
def javascript_example(script: str) -> tuple[str, ...]:
    """The command of a JavaScript example, its packages installed from the lock file."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("node and npm are not installed")
    locked, installed = JAVASCRIPT / "package-lock.json", JAVASCRIPT / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        done = subprocess.run([npm, "ci"], cwd=JAVASCRIPT, capture_output=True, text=True, timeout=100)
        if done.returncode != 0:
            missing(f"npm can't install the example's packages: {done.stderr.strip()}")
    return (node, str(JAVASCRIPT / script))
