"""What ingestion, retrieval and routing ask of a vector store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts import Passage
from workers.embedding.port import Vectors
from workers.vectors.ranking import Candidate


@dataclass(frozen=True)
class Chunk:
    """A piece of a document as it is indexed. `chunk_id` is unique for its tenant, and stable."""

    chunk_id: str
    title: str
    heading_path: tuple[str, ...]
    source: str
    text: str

    @property
    def search_text(self) -> str:
        """What is embedded and full-text indexed: the text behind its title and headings.

        A heading that repeats the one before it (a title that is also the first heading) is left out.
        """
        lines = [self.title, *self.heading_path]
        kept = [line for i, line in enumerate(lines) if line and (i == 0 or line != lines[i - 1])]
        return "\n".join([*kept, self.text])


@dataclass(frozen=True)
class Content:
    """A whole document as it is to be stored; `vectors` has a row for each of `chunks`."""

    document_id: str
    content_hash: str
    chunks: Sequence[Chunk]
    vectors: Vectors


@dataclass(frozen=True)
class IndexedDocument:
    document_id: str
    title: str
    source: str
    chunks: int
    content_hash: str


class Searcher(Protocol):
    """As much of a store as finding passages takes."""

    async def search(self, tenant: str, text: str, vector: Vectors, *, top_k: int) -> list[Passage]:
        """Passages by meaning and by words, best first; their scores, from 0 to 1, are those of `ranking`."""


class VectorStore(Searcher, Protocol):
    """Every call takes the tenant, and neither reads nor changes another's passages.

    Errors: DependencyUnavailable when the store does not answer, SchemaChanged when the collection is gone or
    is of another shape, InvalidName for a tenant or an id that can't be one.
    """

    async def ensure_collection(self) -> None:
        """Create and load the collection if need be. Safe to call often and from several processes."""

    async def replace_document(
        self,
        tenant: str,
        document_id: str,
        *,
        content_hash: str,
        chunks: Sequence[Chunk],
        vectors: Vectors,
    ) -> None:
        """Put `chunks` in the place of the document's chunks, if it has any; `vectors` has a row for each.

        Readers see the old chunks, then for a moment both, then the new ones. May run twice.
        """

    async def replace_documents(self, tenant: str, contents: Sequence[Content]) -> None:
        """The same for several documents, each of them once, in fewer and larger requests."""

    async def delete_document(self, tenant: str, document_id: str) -> int:
        """How many chunks were there."""

    async def document_hashes(self, tenant: str, document_ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each document that is indexed as a whole; half-written ones are left out."""

    async def candidates(self, tenant: str, text: str, vector: Vectors, *, depth: int) -> list[Candidate]:
        """The `depth` best by meaning and the `depth` best by words, each with its scores, in no order."""

    async def list_documents(self, tenant: str) -> list[IndexedDocument]: ...

    async def sample(self, tenant: str, *, limit: int) -> list[Passage]:
        """Up to `limit` passages in no particular order, with score 0."""

    async def flush(self) -> None:
        """Write what is in memory to segments; call it when a run of documents ends."""

    async def check(self) -> None:
        """Raises if a search could not be served now."""

    async def close(self) -> None: ...
