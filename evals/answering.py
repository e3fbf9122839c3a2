"""The way from a labelled question to its answer: documents ingested, searched and written about, no bus."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contracts import Accepted, Done, Event, Evidence, Passage, Query, Route, Routed
from evals.corpora import Corpus, Labelled
from workers.embedding import Embedder, EmbedderSettings, open_embedder
from workers.engines import Engine, open_engine
from workers.engines.settings import EngineSettings
from workers.generation.answering import write_answer
from workers.generation.settings import GenerationSettings
from workers.ingest.chunking import ChunkSizes, chunk
from workers.ingest.parsing import Limits, parse
from workers.retrieval.search import retrieve
from workers.vectors import VectorSettings, VectorStore, open_store
from workers.vectors.testing import milvus_lite

ENGINES = ("llamacpp", "quote", "openai")
Kind = Literal["own", "foreign", "perturbed", "unanswerable"]


@dataclass(frozen=True)
class Ask:
    """`own` questions have an answer among the tenant's documents, the others have none."""

    corpus: str
    kind: Kind
    tenant: str
    labelled: Labelled


@dataclass(frozen=True)
class Answered:
    ask: Ask
    passages: tuple[Passage, ...]
    done: Done
    took_ms: float


@dataclass(frozen=True)
class Answering:
    """What answering needs; open it with `open_answering`."""

    embedder: Embedder
    store: VectorStore
    engine: Engine
    settings: GenerationSettings

    async def all(self, asks: Sequence[Ask]) -> AsyncIterator[Answered]:
        """In order, as many at once as the engine has slots; one by one where no model is asked."""
        at_once = 1 if self.settings.style() == "quote" else self.engine.slots
        free = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as tasks:
            for task in [tasks.create_task(self._one(ask, free)) for ask in asks]:
                yield await task

    async def _one(self, ask: Ask, free: asyncio.Semaphore) -> Answered:
        async with free:
            began = time.perf_counter()
            query = Query(id="q", question=ask.labelled.question)
            passages = await retrieve(
                query.question,
                tenant=ask.tenant,
                top_k=query.top_k,
                embedder=self.embedder,
                store=self.store,
            )
            log: list[Event] = [
                Accepted(index=1, tenant=ask.tenant, query=query, deadline=0),
                Routed(index=2, route=Route.DOCUMENTS, confidence=1.0),
                Evidence(index=3, passages=tuple(passages)),
            ]
            written = write_answer(log, engine=self.engine, settings=self.settings)
            *_, done = [event async for event in written]
            assert isinstance(done, Done)
            return Answered(ask, tuple(passages), done, (time.perf_counter() - began) * 1e3)


@asynccontextmanager
async def open_answering(folder: Path, engine: str) -> AsyncIterator[Answering]:
    """An empty Milvus Lite in `folder`, the default embedder, and an engine; `openai` as AF_ENGINE_* say."""
    settings = _settings(engine)
    embedder = open_embedder(EmbedderSettings())
    running = await open_engine(settings.engine)
    with milvus_lite(folder) as server:
        store = open_store(VectorSettings(uri=server.uri), dimension=embedder.dimension)
        await store.ensure_collection()
        yield Answering(embedder, store, running, settings)
        await store.close()
    await running.close()
    await embedder.close()


def _settings(engine: str) -> GenerationSettings:
    if engine == "quote":
        return GenerationSettings(engine=EngineSettings(kind="simulated"), answer_style="quote")
    return GenerationSettings(engine=EngineSettings.model_validate({"kind": engine}))


async def indexed(answering: Answering, tenants: Mapping[str, Sequence[Corpus]]) -> None:
    """Each passage as a document of every tenant that holds its corpus, embedded once."""
    held_by: dict[str, list[str]] = {}
    corpora = {corpus.name: corpus for held in tenants.values() for corpus in held}
    for tenant, held in tenants.items():
        for corpus in held:
            held_by.setdefault(corpus.name, []).append(tenant)
    for name, corpus in corpora.items():
        for document in corpus.passages:
            chunks = chunk(document.id, document.id, parse(document, Limits()), ChunkSizes())
            if not chunks:
                continue
            vectors = await answering.embedder.embed([piece.search_text for piece in chunks])
            for tenant in held_by[name]:
                await answering.store.replace_document(
                    tenant, document.id, content_hash="1", chunks=chunks, vectors=vectors
                )
    await answering.store.flush()
