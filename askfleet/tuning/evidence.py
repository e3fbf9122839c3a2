"""The passages of each question, searched as the retrieval worker does, once for all points of a sweep."""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from askfleet.folder import Folder, Selection
from askfleet.progress import counted
from askfleet.tuning.questions import Found, Question, read_questions, write_questions
from contracts.document import Document
from contracts.errors import Misconfigured
from workers.embedding import Embedder, EmbedderSettings, open_embedder
from workers.ingest.chunking import ChunkSizes, chunk
from workers.ingest.parsing import Limits, parse
from workers.retrieval.search import retrieve
from workers.vectors import VectorSettings, VectorStore, open_store
from workers.vectors.testing import milvus_lite

_TENANT = "tuning"


async def with_passages(
    questions: Sequence[Question], documents: Path, *, top_k: int, kept_in: Path, console: Console
) -> list[Question]:
    """Each question with its `top_k` best passages of the documents; kept in a folder for the next time.

    Raises: Misconfigured: there is no document.
    """
    # A page that shows results of the sweep would change them.
    chosen = Selection(exclude=("tuning.md",))
    found = [item for item in Folder(documents, chosen).documents() if isinstance(item, Document)]
    if not found:
        raise Misconfigured(f"There is no document in {documents}.", remedy="Check --documents.")
    kept = kept_in / f"evidence-{_key(questions, found, top_k)}.jsonl"
    if not kept.is_file():
        async with _index(found, console) as index:
            write_questions([await index.complete(question, top_k) for question in questions], kept)
    return read_questions(kept)


@dataclass(frozen=True)
class _Index:
    embedder: Embedder
    store: VectorStore

    async def add(self, document: Document) -> None:
        chunks = chunk(document.id, document.id, parse(document, Limits()), ChunkSizes())
        if chunks:
            vectors = await self.embedder.embed([piece.search_text for piece in chunks])
            await self.store.replace_document(
                _TENANT, document.id, content_hash="1", chunks=chunks, vectors=vectors
            )

    async def complete(self, question: Question, top_k: int) -> Question:
        if question.passages is not None:
            return question
        passages = await retrieve(
            question.question, tenant=_TENANT, top_k=top_k, embedder=self.embedder, store=self.store
        )
        return question.model_copy(update={"passages": tuple(map(Found.of, passages))})


@asynccontextmanager
async def _index(documents: Sequence[Document], console: Console) -> AsyncIterator[_Index]:
    embedder = open_embedder(EmbedderSettings())
    with tempfile.TemporaryDirectory(prefix="askfleet-tune-") as folder, milvus_lite(Path(folder)) as server:
        store = open_store(VectorSettings(uri=server.uri), dimension=embedder.dimension)
        await store.ensure_collection()
        index = _Index(embedder, store)
        indexing = counted(_added(index, documents), console, "documents indexed", total=len(documents))
        async for _ in indexing:
            pass
        await store.flush()
        yield index
        await store.close()
    await embedder.close()


async def _added(index: _Index, documents: Sequence[Document]) -> AsyncIterator[None]:
    for document in documents:
        await index.add(document)
        yield


def _key(questions: Sequence[Question], documents: Sequence[Document], top_k: int) -> str:
    key = hashlib.sha256(f"{top_k}\n".encode())
    for question in questions:
        key.update(question.model_dump_json().encode())
    for document in documents:
        key.update(document.id.encode() + document.content)
    return key.hexdigest()[:12]
