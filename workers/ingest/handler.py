"""What the ingest worker does with one document."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np

from contracts.document import Document, Outcome
from contracts.errors import DependencyUnavailable, InvalidDocument, InvalidName
from workers.embedding import Embedder, Vectors
from workers.ingest.chunking import CHUNKER_VERSION, ChunkSizes, chunk
from workers.ingest.parsing import Limits, parse
from workers.ingest.settings import IngestSettings
from workers.vectors import Chunk

_EMBED_AT_ONCE = 256


class Index(Protocol):
    """The part of a vector store that ingestion needs."""

    async def replace_document(
        self,
        tenant: str,
        document_id: str,
        *,
        content_hash: str,
        chunks: Sequence[Chunk],
        vectors: Vectors,
    ) -> None: ...

    async def delete_document(self, tenant: str, document_id: str) -> int: ...

    async def document_hashes(self, tenant: str, document_ids: Sequence[str]) -> dict[str, str]: ...


class DocumentLocks:
    """One lock a document for as long as somebody holds or awaits it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, tenant: str, document_id: str) -> asyncio.Lock:
        return self._locks.setdefault((tenant, document_id), asyncio.Lock())


async def handle(
    document: Document,
    *,
    tenant: str,
    index: Index,
    embedder: Embedder,
    settings: IngestSettings,
    locks: DocumentLocks,
) -> Outcome:
    """Index or remove one document; a document that can't be read gives a failed outcome.

    May run twice for the same document, also at the same time in two processes: delivery is at least once.
    That is safe, because the hash of the content stands with the chunks: a repeat finds it and does nothing.
    Of two versions the one that is written last stays.

    Raises:
        TransientError: the store or the embedder does not answer, or another worker wrote the same document
            in the same moment; deliver it again.
    """
    try:
        async with locks.of(tenant, document.id):
            if document.action == "delete":
                return await _delete(document, tenant, index)
            return await _upsert(document, tenant, index, embedder, settings)
    except (InvalidDocument, InvalidName) as error:
        return Outcome(document_id=document.id, status="failed", problem=error.problem())


def content_hash(document: Document, embedder_name: str, sizes: ChunkSizes) -> str:
    """Changes with anything that would make other chunks or other vectors of the document."""
    stated = (CHUNKER_VERSION, embedder_name, sizes, document.media_type, document.title, document.source)
    digest = hashlib.sha256(repr(stated).encode("utf-8", errors="surrogatepass"))
    digest.update(document.content)
    return digest.hexdigest()


async def _delete(document: Document, tenant: str, index: Index) -> Outcome:
    chunks = await index.delete_document(tenant, document.id)
    return Outcome(document_id=document.id, status="deleted", chunks=chunks)


async def _upsert(
    document: Document, tenant: str, index: Index, embedder: Embedder, settings: IngestSettings
) -> Outcome:
    sizes = settings.chunk_sizes()
    digest = content_hash(document, embedder.name, sizes)
    if await _indexed_hash(document.id, tenant, index) == digest:
        return Outcome(document_id=document.id, status="unchanged")
    chunks = await asyncio.to_thread(chunks_of, document, sizes, settings.limits())
    vectors = await embedded(chunks, embedder)
    await index.replace_document(tenant, document.id, content_hash=digest, chunks=chunks, vectors=vectors)
    await _verify(document.id, tenant, index, digest)
    return Outcome(document_id=document.id, status="indexed", chunks=len(chunks))


def chunks_of(document: Document, sizes: ChunkSizes, limits: Limits) -> list[Chunk]:
    """Raises: InvalidDocument: it can't be read."""
    parsed = parse(document, limits)
    return chunk(document.id, document.source or document.id, parsed, sizes)


async def embedded(chunks: Sequence[Chunk], embedder: Embedder) -> Vectors:
    """In slices, so that a book does not hold the embedder's queue for itself."""
    slices = [chunks[at : at + _EMBED_AT_ONCE] for at in range(0, len(chunks), _EMBED_AT_ONCE)]
    parts = [await embedder.embed([piece.search_text for piece in part]) for part in slices]
    return np.concatenate(parts)


async def _indexed_hash(document_id: str, tenant: str, index: Index) -> str | None:
    hashes = await index.document_hashes(tenant, [document_id])
    return hashes.get(document_id)


async def _verify(document_id: str, tenant: str, index: Index, digest: str) -> None:
    """Two processes that replace a document at once can each remove the other's chunks: none would be left.

    Whoever removed last sees that here, and has to do it again.
    """
    if await _indexed_hash(document_id, tenant, index) != digest:
        raise DependencyUnavailable(f"{document_id}: another worker wrote this document in the same moment.")
