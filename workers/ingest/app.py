"""The ingest worker on the bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic_core import from_json

from bus.connection import Bus
from bus.consume import Source
from bus.delivery import Delivery, GiveUp, Refusal, Work
from bus.documents import DOCUMENT_DEADLINE_S, report_outcome
from bus.stage import run_stage
from bus.topology import INGEST
from contracts import Document, Outcome
from contracts.errors import InvalidDocument
from workers.embedding import Embedder, EmbedderSettings, open_embedder
from workers.ingest.flushing import Flusher
from workers.ingest.handler import DocumentLocks, handle
from workers.ingest.settings import IngestSettings
from workers.shell.http import Ready
from workers.shell.process import Open
from workers.shell.waiting import once_there
from workers.vectors import VectorSettings, VectorStore, open_store


@dataclass(frozen=True)
class Parts:
    """What handling a document needs."""

    embedder: Embedder
    store: VectorStore
    flusher: Flusher
    locks: DocumentLocks
    settings: IngestSettings


def make(settings: IngestSettings) -> Open:
    @asynccontextmanager
    async def open_ingest(bus: Bus) -> AsyncIterator[Ready]:
        embedder = open_embedder(EmbedderSettings())
        store = open_store(VectorSettings(), dimension=embedder.dimension)
        await once_there(store.ensure_collection)
        flusher = Flusher(store, documents=settings.flush_documents, idle_s=settings.flush_idle_s)
        flushing = asyncio.create_task(flusher.run())
        parts = Parts(embedder, store, flusher, DocumentLocks(), settings)
        source = Source.of(INGEST, settings.concurrency)
        async with run_stage(
            bus,
            source,
            Document,
            _work(bus, parts),
            drain_grace_s=settings.drain_grace_s,
            give_up=_give_up(bus),
            default_deadline_s=DOCUMENT_DEADLINE_S,
        ) as loop:
            yield lambda: {"pulling": loop.alive, "flushing": not flushing.done()}
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
        await store.close()
        await embedder.close()

    return open_ingest


def _work(bus: Bus, parts: Parts) -> Work[Document]:
    async def work(delivery: Delivery[Document]) -> None:
        outcome = await handle(
            delivery.body,
            tenant=delivery.tenant,
            index=parts.store,
            embedder=parts.embedder,
            settings=parts.settings,
            locks=parts.locks,
        )
        if outcome.problem is not None:
            raise InvalidDocument(outcome.problem.detail, remedy=outcome.problem.remedy)
        if outcome.status != "unchanged":
            parts.flusher.wrote()
        await report_outcome(bus, delivery.tenant, outcome)

    return work


def _give_up(bus: Bus) -> GiveUp:
    async def give_up(refusal: Refusal) -> None:
        problem = refusal.error.problem()
        outcome = Outcome(document_id=_document_id(refusal.raw), status="failed", problem=problem)
        await report_outcome(bus, refusal.tenant, outcome)

    return give_up


def _document_id(raw: bytes) -> str:
    try:
        body = from_json(raw)
    except ValueError:
        return "?"
    found = body.get("id") if isinstance(body, dict) else None
    return found[:512] if isinstance(found, str) and found else "?"
