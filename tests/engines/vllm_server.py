"""A server of vLLM (what `vllm serve` runs) as a process, and what its metrics say."""

import asyncio
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import pytest

from evals.vllm_engines import serve_command
from workers.engines import EngineSettings

READY_WITHIN_S = 600.0
_HAS = re.compile(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} ([0-9.]+)$", re.MULTILINE)


@dataclass(frozen=True)
class VllmServer:
    url: str

    def settings(self, *, slots: int) -> EngineSettings:
        """Of the engine that speaks to it."""
        return EngineSettings.model_validate(
            {"kind": "openai", "url": f"{self.url}/v1", "slots": slots, "tools": True, "start_timeout_s": 0}
        )

    async def computes(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"{self.url}/metrics")).text
        numbers = [float(number) for number in _HAS.findall(page)]
        assert len(numbers) == 2, page
        return sum(numbers) > 0


@asynccontextmanager
async def vllm_serving(settings: Mapping[str, object]) -> AsyncIterator[VllmServer]:
    """With `model_path` and `chat_template` of these settings of the engine `vllm`."""
    port = _free_port()
    command = serve_command(Path(str(settings["model_path"])), port)
    command += ["--chat-template", str(settings["chat_template"]), "--enable-prompt-tokens-details"]
    command += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    command += [
        "--tool-strict-level",
        "parameter",
    ]  # else the arguments of a call are whatever the model writes
    with tempfile.TemporaryFile() as log, _process(command, log) as process:
        await _ready(process, f"http://127.0.0.1:{port}/health", log.fileno())
        yield VllmServer(f"http://127.0.0.1:{port}")


@contextmanager
def _process(command: Sequence[str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


async def _ready(process: subprocess.Popen[bytes], url: str, log: int) -> None:
    until = time.monotonic() + READY_WITHIN_S
    async with httpx.AsyncClient(trust_env=False) as client:
        while not await _answers(client, url):
            if process.poll() is not None or time.monotonic() > until:
                said = os.pread(log, 1 << 20, 0)[-3_000:].decode(errors="replace")
                pytest.fail(f"vLLM's server is not ready: {said}")
            await asyncio.sleep(0.5)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
