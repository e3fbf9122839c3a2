"""A generation worker with vLLM as a process of its own, and what its metrics say."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from evals.small_model import make_small_model

READY_WITHIN_S = 600.0
CONTEXT_TOKENS = 1_024
SLOTS = 16


def engine_environment() -> dict[str, str]:
    """Small, and without compilation: this machine's CPUs shall start it in a minute."""
    return {
        "AF_ENGINE_KIND": "vllm",
        "AF_ENGINE_MODEL_PATH": str(make_small_model().resolve()),
        "AF_ENGINE_SLOTS": str(SLOTS),
        "AF_ENGINE_CONTEXT_TOKENS": str(CONTEXT_TOKENS),
        "AF_ENGINE_VLLM_DTYPE": "float32",
        "AF_ENGINE_VLLM_ENFORCE_EAGER": "true",
        "AF_ENGINE_VLLM_KV_CACHE_GIB": "1",
        "AF_ENGINE_VLLM_BLOCK_TOKENS": "32",
        "HF_HUB_OFFLINE": "1",
    }


class VllmWorker:
    def __init__(self, nats_url: str, log: Path) -> None:
        self._port = _free_port()
        self._log = log
        environment = {
            "AF_NATS_URL": nats_url,
            "AF_HTTP_PORT": str(self._port),
            "AF_ACK_WAIT_S": "5",
            "AF_ANSWER_STYLE": "write",
            "AF_MIN_CARRIED": "0.001",
            "AF_DRAIN_GRACE_S": "5",
        }
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.generation"],
                env={**os.environ, **engine_environment(), **environment},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    async def ready(self) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while not await self._says("/readyz"):
            if self.ended or time.monotonic() > until:
                pytest.fail(f"the worker is not ready: {self._log.read_text()[-3_000:]}")
            await asyncio.sleep(0.5)

    async def exit_code(self, *, within_s: float) -> int:
        return await asyncio.to_thread(self._process.wait, within_s)

    def stop(self) -> int:
        if not self.ended:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def kill_engine_core(self) -> None:
        (core,) = [
            child
            for child in psutil.Process(self._process.pid).children(recursive=True)
            if "EngineCore" in child.name() or any("EngineCore" in part for part in child.cmdline())
        ]
        core.kill()

    async def metric(self, name: str, **labels: str) -> float:
        """0 while it is not there."""
        async with httpx.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"http://127.0.0.1:{self._port}/metrics")).text
        wanted = "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else ""
        found = re.search(rf"^{re.escape(name + wanted)} (\S+)$", page, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    async def until(self, name: str, holds: Callable[[float], bool], *, within_s: float) -> float:
        """Seconds until the metric was so."""
        begin = time.monotonic()
        while not holds(await self.metric(name)):
            if time.monotonic() > begin + within_s:
                pytest.fail(f"{name} is {await self.metric(name)} after {within_s} s")
            await asyncio.sleep(0.01)
        return time.monotonic() - begin

    async def _says(self, path: str) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://127.0.0.1:{self._port}{path}")).status_code == 200
        except httpx.TransportError:
            return False


class Workers:
    """The one that runs now; `again` starts another after it has ended."""

    def __init__(self, nats_url: str, logs: Path) -> None:
        self._nats_url = nats_url
        self._logs = logs
        self._current: VllmWorker | None = None
        self._begun = 0

    async def running(self) -> VllmWorker:
        if self._current is None or self._current.ended:
            self._begun += 1
            self._current = VllmWorker(self._nats_url, self._logs / f"worker-{self._begun}.log")
            await self._current.ready()
        return self._current

    async def stop(self) -> None:
        if self._current is not None:
            await asyncio.to_thread(self._current.stop)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
