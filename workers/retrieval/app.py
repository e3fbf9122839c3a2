"""The retrieval worker on the bus."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from bus.connection import Bus
from bus.consume import PullLoop, Source
from bus.delivery import Delivery, Work
from bus.evidence import give_up_evidence, join_evidence, standing_evidence
from bus.stage import run_stage
from bus.topology import RETRIEVE
from contracts import Evidence, EvidenceJob
from workers.embedding import Embedder, EmbedderSettings, open_embedder
from workers.retrieval.search import retrieve
from workers.retrieval.settings import RetrievalSettings
from workers.shell.http import Ready
from workers.shell.neighbours import serve_stage
from workers.shell.process import Open
from workers.shell.waiting import once_there
from workers.tracing.ports import traced_embedder, traced_store
from workers.vectors import Searcher, VectorSettings, open_store


def make(settings: RetrievalSettings) -> Open:
    @asynccontextmanager
    async def open_retrieval(bus: Bus) -> AsyncIterator[Ready]:
        embedder = open_embedder(EmbedderSettings())
        store = open_store(VectorSettings(), dimension=embedder.dimension)
        await once_there(store.ensure_collection)
        source = Source.of(RETRIEVE, settings.concurrency, bulk_share=settings.bulk_share)
        traced = traced_embedder(embedder, bus.spans), traced_store(store, bus.spans)

        def serve(at: Bus, of: Source) -> AbstractAsyncContextManager[PullLoop]:
            give_up = give_up_evidence(at, Evidence)
            grace_s = settings.drain_grace_s
            return run_stage(at, of, EvidenceJob, _work(at, *traced), drain_grace_s=grace_s, give_up=give_up)

        async with serve_stage(bus, source, serve, settings=settings) as loop:
            yield lambda: {"pulling": loop.alive}
        await store.close()
        await embedder.close()

    return open_retrieval


def _work(bus: Bus, embedder: Embedder, store: Searcher) -> Work[EvidenceJob]:
    async def work(delivery: Delivery[EvidenceJob]) -> None:
        """May run twice: the search only reads, and its result is appended once."""
        job = delivery.body
        event = await standing_evidence(bus, delivery, Evidence)
        if not isinstance(event, Evidence):
            event = await _search(job, delivery.tenant, embedder, store)
        await join_evidence(bus, job, event, message=delivery)

    return work


async def _search(job: EvidenceJob, tenant: str, embedder: Embedder, store: Searcher) -> Evidence:
    started = time.perf_counter()
    passages = await retrieve(job.question, tenant=tenant, top_k=job.top_k, embedder=embedder, store=store)
    took_ms = (time.perf_counter() - started) * 1000
    return Evidence(passages=tuple(passages), took_ms=round(took_ms, 2))
