"""Between our chunks and passages and the rows of the collection."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from contracts import Passage
from contracts.errors import InvalidDocument, InvalidName
from workers.embedding.port import Vectors
from workers.vectors.port import Content, IndexedDocument
from workers.vectors.schema import HEADINGS_BYTES, ID_BYTES, LINE_BYTES, TEXT_BYTES

PASSAGE_FIELDS = ["document_id", "title", "headings", "source", "text"]
DOCUMENT_FIELDS = ["document_id", "title", "source", "content_hash", "chunk_count"]


class Row(TypedDict):
    pk: str
    tenant: str
    document_id: str
    content_hash: str
    chunk_count: int
    title: str
    headings: str
    source: str
    text: str
    search_text: str
    dense: Vectors


class DocumentRow(TypedDict):
    """The columns of DOCUMENT_FIELDS."""

    document_id: str
    title: str
    source: str
    content_hash: str
    chunk_count: int


def rows_of(tenant: str, content: Content) -> list[Row]:
    """Raises: InvalidName, InvalidDocument: an id or a text that does not fit its column."""
    document_id, chunks, vectors = content.document_id, content.chunks, content.vectors
    if len(chunks) != len(vectors):
        raise InvalidDocument(f"{document_id!r} has {len(chunks)} chunks and {len(vectors)} vectors.")
    for name in (document_id, *(chunk.chunk_id for chunk in chunks)):
        if _bytes(name) > ID_BYTES:
            raise InvalidName(
                f"The id {name[:80]!r}... is too long.", remedy=f"Use at most {ID_BYTES} bytes."
            )
    return [
        Row(
            pk=_primary_key(tenant, chunk.chunk_id),
            tenant=tenant,
            document_id=document_id,
            content_hash=content.content_hash,
            chunk_count=len(chunks),
            title=_clipped(chunk.title, LINE_BYTES),
            headings=_packed(chunk.heading_path),
            source=_clipped(chunk.source, ID_BYTES),
            text=_fitting(chunk.text, document_id),
            search_text=_clipped(chunk.search_text, TEXT_BYTES),
            dense=vector,
        )
        for chunk, vector in zip(chunks, vectors, strict=True)
    ]


def passage_of(primary_key: str, row: Mapping[str, str], score: float) -> Passage:
    return Passage(
        chunk_id=primary_key.partition("/")[2],
        document_id=row["document_id"],
        title=row["title"],
        heading_path=tuple(json.loads(row["headings"])),
        source=row["source"],
        text=row["text"],
        score=score,
    )


def complete_hashes(rows: Iterable[DocumentRow]) -> dict[str, str]:
    """Hash by document, for those of which all chunks are there, and none of another state."""
    seen: dict[str, list[DocumentRow]] = {}
    for row in rows:
        seen.setdefault(row["document_id"], []).append(row)
    return {
        document_id: found[0]["content_hash"]
        for document_id, found in seen.items()
        if len({row["content_hash"] for row in found}) == 1 and len(found) == found[0]["chunk_count"]
    }


def documents_of(rows: Iterable[DocumentRow]) -> list[IndexedDocument]:
    counts: dict[str, int] = {}
    last: dict[str, DocumentRow] = {}
    for row in rows:
        document_id = row["document_id"]
        counts[document_id] = counts.get(document_id, 0) + 1
        last[document_id] = row
    return [
        IndexedDocument(
            document_id=document_id,
            title=row["title"],
            source=row["source"],
            chunks=counts[document_id],
            content_hash=row["content_hash"],
        )
        for document_id, row in sorted(last.items())
    ]


def _primary_key(tenant: str, chunk_id: str) -> str:
    # A tenant has no slash in it, so the first one ends it.
    return f"{tenant}/{chunk_id}"


def _packed(heading_path: Sequence[str]) -> str:
    """JSON; the outermost headings go when the path is too long."""
    path = list(heading_path)
    while _bytes(packed := json.dumps(path, ensure_ascii=False)) > HEADINGS_BYTES:
        path = path[1:]
    return packed


def _fitting(text: str, document_id: str) -> str:
    if _bytes(text) > TEXT_BYTES:
        raise InvalidDocument(
            f"A chunk of {document_id!r} has {_bytes(text)} bytes; at most {TEXT_BYTES} fit.",
            remedy="Ingest it in smaller chunks.",
        )
    return text


def _clipped(text: str, limit: int) -> str:
    if _bytes(text) <= limit:
        return text
    return text.encode()[:limit].decode(errors="ignore")


def _bytes(text: str) -> int:
    return len(text.encode())
