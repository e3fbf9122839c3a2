"""Time and memory of ingesting a folder of Markdown: `python -m evals.bench_ingest --data FOLDER`.

The parts are the worker's own: handler, embedding model and a Milvus Lite server in a process of its own.
Only the bus is left out. CPU seconds tell how far other work on the machine lengthened the wall time.
`--index 2000` only compares, over so many chunks, building the index with embedding: writing the rows, making
both indexes and flushing, until the first search of the flushed rows is answered.
"""

import argparse
import asyncio
import base64
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from contracts.document import Document, Outcome
from contracts.errors import InvalidDocument
from workers.embedding import Embedder, EmbedderSettings, open_embedder
from workers.ingest.chunking import chunk
from workers.ingest.flushing import Flusher
from workers.ingest.handler import DocumentLocks, handle
from workers.ingest.parsing import parse
from workers.ingest.settings import IngestSettings
from workers.vectors import Chunk, VectorSettings, VectorStore, open_store
from workers.vectors.testing import RunningServer, milvus_lite

_TENANT = "bench"
_QUESTION = "How do I limit the size of a stream?"
_SEARCHES = 20
_BAR = 5.0
_WRITTEN_AT_ONCE = 256


@dataclass(frozen=True)
class Parts:
    store: VectorStore
    embedder: Embedder
    settings: IngestSettings
    flusher: Flusher
    locks: DocumentLocks


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dev/docs_markdown"))
    parser.add_argument("--parse-only", action="store_true", help="parse and chunk, no embedding, no store")
    parser.add_argument("--index", type=int, metavar="CHUNKS", help="only: index building beside embedding")
    options = parser.parse_args(arguments)
    documents = list(_documents(options.data))
    print(f"{len(documents)} documents, {sum(len(document.content) for document in documents):,} bytes")
    settings = IngestSettings()
    if options.index:
        with tempfile.TemporaryDirectory() as folder, milvus_lite(Path(folder)) as server:
            asyncio.run(_bench_index(_chunks(documents, settings)[: options.index], server))
        return
    _bench_parsing(documents, settings)
    if not options.parse_only:
        with tempfile.TemporaryDirectory() as folder, milvus_lite(Path(folder)) as server:
            asyncio.run(_bench_ingest(documents, settings, server.uri))
        print(f"this process: {_usage(resource.RUSAGE_SELF)}")
        print(f"Milvus Lite:  {_usage(resource.RUSAGE_CHILDREN)}")


def _documents(folder: Path) -> Iterator[Document]:
    for path in sorted(folder.rglob("*.md")):
        content = base64.b64encode(path.read_bytes())
        yield Document(id=path.relative_to(folder).as_posix(), content=content)


def _bench_parsing(documents: list[Document], settings: IngestSettings) -> None:
    started = time.perf_counter()
    chunks, unread = 0, 0
    for document in documents:
        try:
            parsed = parse(document, settings.limits())
        except InvalidDocument as error:
            print(f"  {error}")
            unread += 1
            continue
        chunks += len(chunk(document.id, document.id, parsed, settings.chunk_sizes()))
    print(f"parse and chunk: {time.perf_counter() - started:.1f} s, {chunks} passages, {unread} unreadable")


async def _bench_ingest(documents: list[Document], settings: IngestSettings, uri: str) -> None:
    embedder = open_embedder(EmbedderSettings())
    store = open_store(VectorSettings(uri=uri, timeout_s=60.0), dimension=embedder.dimension)
    await store.ensure_collection()
    flusher = Flusher(store, documents=settings.flush_documents, idle_s=settings.flush_idle_s)
    parts = Parts(store, embedder, settings, flusher, DocumentLocks())
    background = [asyncio.create_task(flusher.run()), asyncio.create_task(_await_first_passage(parts))]
    await _run("ingest", documents, parts)
    await _run("again, unchanged", documents, parts)
    searches = [await _search_ms(parts) for _ in range(_SEARCHES)]
    print(f"a search afterwards: {statistics.median(searches):.0f} ms (median, embedding included)")
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    await store.close()
    await embedder.close()


def _chunks(documents: list[Document], settings: IngestSettings) -> list[Chunk]:
    return [
        piece
        for document in documents
        for piece in chunk(
            document.id, document.id, parse(document, settings.limits()), settings.chunk_sizes()
        )
    ]


async def _bench_index(chunks: Sequence[Chunk], server: RunningServer) -> None:
    embedder = open_embedder(EmbedderSettings())
    store = open_store(VectorSettings(uri=server.uri, timeout_s=60.0), dimension=embedder.dimension)
    await store.ensure_collection()
    processes = [psutil.Process(), psutil.Process(server.pid)]
    before = _cpu_s(processes)
    vectors = await embedder.embed([piece.search_text for piece in chunks])
    embedded = _cpu_s(processes)
    for start in range(0, len(chunks), _WRITTEN_AT_ONCE):
        part = slice(start, start + _WRITTEN_AT_ONCE)
        await store.replace_document(
            _TENANT, f"part {start}", content_hash="1", chunks=chunks[part], vectors=vectors[part]
        )
    await store.flush()
    await store.search(_TENANT, _QUESTION, vectors[0], top_k=1)
    embedding, building = embedded - before, _cpu_s(processes) - embedded
    await store.close()
    await embedder.close()
    print(f"{len(chunks)} chunks: embedding {embedding:.1f} s of CPU, index building {building:.1f} s")
    print(f"index building is {embedding / building:.1f} times faster than embedding (bar: {_BAR:g})")


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(float(sum(process.cpu_times()[:2])) for process in processes)


async def _run(name: str, documents: list[Document], parts: Parts) -> None:
    started = time.perf_counter()
    slots = asyncio.Semaphore(parts.settings.concurrency)
    outcomes = await asyncio.gather(*(_one(document, parts, slots) for document in documents))
    await parts.flusher.flush()
    seconds = time.perf_counter() - started
    statuses = Counter(outcome.status for outcome in outcomes)
    passages = sum(outcome.chunks for outcome in outcomes)
    print(f"{name}: {seconds:.1f} s, {passages} passages, {passages / seconds:.1f}/s, {dict(statuses)}")


async def _one(document: Document, parts: Parts, slots: asyncio.Semaphore) -> Outcome:
    async with slots:
        outcome = await handle(
            document,
            tenant=_TENANT,
            index=parts.store,
            embedder=parts.embedder,
            settings=parts.settings,
            locks=parts.locks,
        )
    if outcome.status == "indexed":
        parts.flusher.wrote()
    return outcome


async def _await_first_passage(parts: Parts) -> None:
    started = time.perf_counter()
    vector = (await parts.embedder.embed([_QUESTION]))[0]
    while not await parts.store.search(_TENANT, _QUESTION, vector, top_k=1):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    print(f"first passage found after {time.perf_counter() - started:.1f} s")


async def _search_ms(parts: Parts) -> float:
    started = time.perf_counter()
    vector = (await parts.embedder.embed([_QUESTION]))[0]
    await parts.store.search(_TENANT, _QUESTION, vector, top_k=5)
    return 1000 * (time.perf_counter() - started)


def _usage(who: int) -> str:
    usage = resource.getrusage(who)
    # Linux counts the resident set in KiB, macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{usage.ru_utime + usage.ru_stime:.0f} s of CPU, at most {peak / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
