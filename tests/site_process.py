"""The workers of one cluster in one process: a real router, evidence that needs no store, a real generation
worker with the simulated engine. Run as a program it forks such processes.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from bus.connection import Bus, connect
from bus.consume import PullLoop, Source
from bus.delivery import Delivery
from bus.evidence import join_evidence, standing_evidence
from bus.presence import Identity, answer_pings
from bus.stage import run_stage
from bus.topology import RETRIEVE
from contracts import Evidence, EvidenceJob, Passage
from workers.engines import EngineSettings
from workers.generation.app import make as make_generation
from workers.generation.settings import GenerationSettings
from workers.router.app import make as make_router
from workers.router.settings import RouterSettings
from workers.shell.http import Ready
from workers.shell.neighbours import serve_stage
from workers.shell.process import Open
from workers.shell.settings import WorkerSettings

Given = dict[str, dict[str, dict[str, object]]]
"""Settings of each part, and of the engine."""
KINDS = ("router", "retrieval", "generation")
PASSAGE = Passage(
    chunk_id="c1",
    document_id="d1",
    title="Harbour office",
    source="harbour.md",
    text="The harbour office opens at seven in the morning and closes at noon on every working day.",
    score=1.0,
)


def make_evidence(settings: WorkerSettings) -> Open:
    @asynccontextmanager
    async def open_evidence(bus: Bus) -> AsyncIterator[Ready]:
        def serve(at: Bus, of: Source) -> AbstractAsyncContextManager[PullLoop]:
            async def search(delivery: Delivery[EvidenceJob]) -> None:
                event = await standing_evidence(at, delivery, Evidence)
                found = event if isinstance(event, Evidence) else Evidence(passages=(PASSAGE,))
                await join_evidence(at, delivery.body, found, message=delivery)

            return run_stage(at, of, EvidenceJob, search, drain_grace_s=settings.drain_grace_s)

        async with serve_stage(bus, Source.of(RETRIEVE, 16), serve, settings=settings) as loop:
            yield lambda: {"pulling": loop.alive}

    return open_evidence


async def run(given: Given) -> None:
    parts = given["parts"]
    engine = EngineSettings(kind="simulated", **given["engine"])  # type: ignore[arg-type]
    router = RouterSettings(**parts["router"], dsn="postgresql://127.0.0.1:9/none")  # type: ignore[arg-type]
    retrieval = WorkerSettings(**parts["retrieval"])  # type: ignore[arg-type]
    generation = GenerationSettings(**parts["generation-default"], engine=engine)  # type: ignore[arg-type]
    opened: list[tuple[WorkerSettings, Open]] = [
        (router, make_router(router)),
        (retrieval, make_evidence(retrieval)),
        (generation, make_generation(generation)),
    ]
    async with AsyncExitStack() as stack:
        for kind, (settings, open_worker) in zip(KINDS, opened, strict=True):
            bus = await stack.enter_async_context(connect(settings, name="site"))
            await stack.enter_async_context(answer_pings(bus, Identity(kind), lambda: {"ready": True}))
            await stack.enter_async_context(open_worker(bus))
        print("ready", flush=True)
        await asyncio.Event().wait()


def fork(given: Given, log: str) -> int:
    """A process with these workers, which says `ready` in its log when all of them pull."""
    pid = os.fork()
    if pid:
        return pid
    words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(words, sys.stdout.fileno())
    os.dup2(words, sys.stderr.fileno())
    asyncio.run(run(given))
    os._exit(0)


if __name__ == "__main__":
    # What workers import takes seconds: it is imported once, and each line asks for a process with it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        print(fork(**json.loads(line)), flush=True)
