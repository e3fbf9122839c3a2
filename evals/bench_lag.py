"""How late the event loop of the generation worker runs while answers stream: `python -m evals.bench_lag`.

A worker of its own, as it ships, on a nats-server of its own; the jobs' evidence stands on the log. A probe
in the worker asks to be woken every 5 ms: what it is late is the lag. It counts as ours as far as the loop's
thread was computing meanwhile; the rest is waiting for a processor, which the nats-server, this process,
llama.cpp's threads and whatever else runs here take. An idle loop shows how much.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple, TypeVar

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
    SCHEMAS,
    Accepted,
    Done,
    Evidence,
    Failed,
    GenerateJob,
    Passage,
    Query,
    Route,
    Routed,
    decode_event,
    encode,
)
from contracts.errors import DependencyUnavailable
from loadgen.latency import percentile
from loadgen.report import Figure, Report, as_json
from workers.generation.app import make
from workers.generation.settings import GenerationSettings
from workers.shell.http import Ready
from workers.shell.process import Open, run_worker

LONGEST_LAG_MS = 5.0
_EVERY_S = 0.005
_WARM_UP_S = 2.0
_SECONDS = 12.0
_IDLE_S = 3.0
_LONGEST_STOP_S = 20.0
_TENANT = "demo"
_LONGEST_S = 300.0
_QUESTION = "What does a red lamp mean after a reset?"
_SENTENCE = (
    "The gateway {n} shows a red lamp after a reset until its certificate has been renewed by a server. "
)


T = TypeVar("T")


class _Sample(NamedTuple):
    """When the probe ran, how late, and how long the loop's thread computed since it was there last."""

    at: float
    late_s: float
    computed_s: float


@dataclass(frozen=True)
class Case:
    """So many clients, each of which asks again when it is answered; answers of half `max_tokens` or more."""

    name: str
    engine: Mapping[str, object]
    clients: int
    max_tokens: int
    judged: bool = True


CASES = (
    Case(
        "simulated, 64 answers at 50 tokens/s",
        {"kind": "simulated", "simulated_interval_ms": 20, "simulated_tokens": 256, "slots": 64},
        clients=64,
        max_tokens=256,
    ),
    Case(
        "simulated, 64 answers at 200 tokens/s",
        {"kind": "simulated", "simulated_interval_ms": 5, "simulated_tokens": 512, "slots": 64},
        clients=64,
        max_tokens=512,
        judged=False,
    ),
    Case(
        "llamacpp, 64 answers on 4 slots",
        {"kind": "llamacpp", "slots": 4},
        clients=64,
        max_tokens=48,
    ),
    Case(
        "llamacpp, 16 answers on 16 slots",
        {"kind": "llamacpp", "slots": 16, "context_tokens": 1024},
        clients=16,
        max_tokens=48,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("simulated", "llamacpp"), help="only the cases of this engine")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args(arguments)
    reports = []
    for case in CASES:
        if options.engine in (None, case.engine["kind"]):
            reports.append(Report(f"lag: {case.name}", "python -m evals.bench_lag", _measure(case)))
            print(reports[-1].table(), end="\n\n", flush=True)
    if options.json:
        options.json.write_text(as_json(reports))
    return 1 if any(report.missed for report in reports) else 0


def _measure(case: Case) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="askfleet-lag-") as folder:
        server = NatsServer(Path(folder) / "nats").start()
        try:
            settings = BusSettings(nats_url=server.url)
            besides = asyncio.run(_prepare(settings))
            lags = Path(folder) / "lags.json"
            with _worker(_environment(case, server.url), lags) as process:
                begin, end = asyncio.run(_while_alive(process, _load(settings, case)))
        finally:
            server.stop()
        samples = [_Sample(*sample) for sample in json.loads(lags.read_text())]
    during = [sample for sample in samples if begin <= sample.at <= end]
    ours = sorted(1000 * min(sample.late_s, sample.computed_s) for sample in during)
    late = sorted(1000 * sample.late_s for sample in during)
    idle = sorted(1000 * sample.late_s for sample in besides)
    return [
        Figure("lag by the loop's own work, median", percentile(ours, 0.5), "ms"),
        Figure(
            "  99th percentile", percentile(ours, 0.99), "ms", at_most=LONGEST_LAG_MS if case.judged else None
        ),
        Figure("  longest", ours[-1], "ms"),
        Figure("lag with waiting for a processor, median", percentile(late, 0.5), "ms"),
        Figure("  99th percentile", percentile(late, 0.99), "ms"),
        Figure("lag of an idle process before it, 99th percentile", percentile(idle, 0.99), "ms"),
    ]


def _environment(case: Case, nats_url: str) -> dict[str, str]:
    engine = {f"AF_ENGINE_{name.upper()}": str(value) for name, value in case.engine.items()}
    # So that a model writes whole answers, as a larger one does.
    return engine | {
        "AF_NATS_URL": nats_url,
        "AF_HTTP_PORT": "0",
        "AF_ANSWER_STYLE": "write",
        "AF_LOG_LEVEL": "error",
        "AF_DRAIN_GRACE_S": "0",
    }


@contextmanager
def _worker(environment: Mapping[str, str], lags: Path) -> Iterator[BaseProcess]:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(environment, lags))
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(_LONGEST_STOP_S)
        process.kill()
        process.join()


def _work(environment: Mapping[str, str], lags: Path) -> None:
    """The generation worker as it ships, with the probe on its loop."""
    os.environ.update(environment)

    def probed(settings: GenerationSettings) -> Open:
        @asynccontextmanager
        async def opened(bus: Bus) -> AsyncIterator[Ready]:
            async with make(settings)(bus) as ready:
                samples: list[_Sample] = []
                probing = asyncio.create_task(_probe(samples))
                yield ready
                probing.cancel()
                await asyncio.to_thread(lags.write_text, json.dumps(samples))

        return opened

    sys.exit(run_worker("generation", GenerationSettings, probed))


async def _probe(samples: list[_Sample]) -> None:
    while True:
        due, computed = time.monotonic() + _EVERY_S, time.thread_time()
        await asyncio.sleep(_EVERY_S)
        now = time.monotonic()
        samples.append(_Sample(now, max(0.0, now - due), time.thread_time() - computed))


async def _prepare(settings: BusSettings) -> list[_Sample]:
    """Streams and consumers; and the lag of a process that does nothing."""
    async with connect(settings, name="bench") as bus:
        await provision(bus.js, settings)
    samples: list[_Sample] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_IDLE_S):
            await _probe(samples)
    return samples


async def _while_alive(process: BaseProcess, load: Coroutine[None, None, T]) -> T:
    """Raises: DependencyUnavailable: the worker ended; it has said why."""
    loading = asyncio.create_task(load)
    while not loading.done():
        await asyncio.wait((loading,), timeout=1.0)
        if not process.is_alive():
            loading.cancel()
            raise DependencyUnavailable(f"The worker ended with exit code {process.exitcode}.")
    return await loading


async def _load(settings: BusSettings, case: Case) -> tuple[float, float]:
    """When the answers began and ended, on the clock that all processes share."""
    async with connect(settings, name="bench") as bus:
        await _answered(bus, case, "warm-up")
        numbers = count()
        over = asyncio.Event()

        async def client(place: float) -> None:
            await asyncio.sleep(place * _WARM_UP_S)
            # Python 3.11's wait_for may swallow a cancel that comes with the result.
            while not over.is_set():
                await _answered(bus, case, f"q{next(numbers)}")

        tasks = [asyncio.create_task(client(place / case.clients)) for place in range(case.clients)]
        await asyncio.sleep(_WARM_UP_S)
        begin = time.monotonic()
        await asyncio.wait(tasks, timeout=_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
        end = time.monotonic()
        over.set()
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception):
                raise error
        return begin, end


async def _answered(bus: Bus, case: Case, query_id: str) -> None:
    """One job with its log, and its answer to the end."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def hear(message: Msg) -> None:
        event = decode_event(message.data)
        if ended.done():
            return
        if isinstance(event, Failed):
            ended.set_exception(DependencyUnavailable(event.problem.detail))
        if isinstance(event, Done):
            ended.set_result(None)

    heard = await bus.nc.subscribe(subjects.answer(_TENANT, query_id), cb=hear)
    # Answers of one length would keep clients that once met asking at the same moment.
    length = case.max_tokens // 2 + zlib.crc32(query_id.encode()) % (case.max_tokens // 2)
    query = Query(id=query_id, question=_QUESTION, max_tokens=length)
    deadline = now_ms() + int(_LONGEST_S * 1000)
    writer = AnswerWriter(bus, _TENANT, query_id)
    await writer.append(Accepted(query=query, tenant=_TENANT, deadline=deadline))
    await writer.append(Routed(route=Route.DOCUMENTS, confidence=1.0))
    await writer.append(Evidence(passages=_passages(query_id)))
    job = GenerateJob(query_id=query_id, first_sequence=writer.position.first_sequence)
    headers = Envelope(deadline=deadline).headers(
        message_id=f"{query_id}:generate", schema=SCHEMAS[GenerateJob]
    )
    await publish(bus, subjects.generate("default", _TENANT), encode(job), headers=headers)
    await asyncio.wait_for(ended, _LONGEST_S)
    await heard.unsubscribe()


def _passages(query_id: str) -> tuple[Passage, ...]:
    return tuple(
        Passage(
            chunk_id=f"{query_id}-{rank}",
            document_id=f"d{rank}",
            title=f"Gateway {rank}",
            source=f"gateway-{rank}.md",
            text=" ".join(_SENTENCE.format(n=f"{rank}-{line}-{query_id}") for line in range(8)),
            score=0.9 - rank / 10,
        )
        for rank in range(5)
    )


if __name__ == "__main__":
    sys.exit(main())
