"""The vector store on Milvus: a cluster, or the Milvus Lite server, which speaks the same protocol."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict, TypeVar, cast

from pymilvus import AsyncMilvusClient, MilvusClient

from contracts import Passage
from workers.batching import Batcher
from workers.embedding.port import Vectors
from workers.vectors import collection, filters
from workers.vectors.faults import NotLoaded, translated
from workers.vectors.port import Chunk, Content, IndexedDocument
from workers.vectors.ranking import Candidate, ranked
from workers.vectors.rows import (
    DOCUMENT_FIELDS,
    PASSAGE_FIELDS,
    DocumentRow,
    Row,
    complete_hashes,
    documents_of,
    passage_of,
    rows_of,
)
from workers.vectors.settings import VectorSettings

T = TypeVar("T")

_ROWS_PER_WRITE = 256
_ROWS_PER_PAGE = 1_000
_DOCUMENTS_PER_QUERY = 100
_CHANNEL = {"grpc.use_local_subchannel_pool": 1}
"""A connection of its own. One that is shared within the process may just be closed by the server for another
client's keepalive pings (Milvus Lite does so after 30 s without work), and pymilvus tries a connect once."""


class _Hit(TypedDict):
    pk: str
    distance: float
    entity: dict[str, str]


@dataclass(frozen=True)
class _Search:
    tenant: str
    text: str
    vector: Vectors
    depth: int

    def group(self) -> tuple[str, int]:
        return self.tenant, self.depth


@dataclass(frozen=True)
class _Found:
    """Candidates, and their rows by primary key."""

    candidates: list[Candidate]
    rows: dict[str, dict[str, str]]

    @classmethod
    def of(cls, by_meaning: Sequence[_Hit], by_words: Sequence[_Hit]) -> "_Found":
        """Each passage once, with the score of either search that brought it."""
        meaning = {hit["pk"]: hit["distance"] for hit in by_meaning}
        # A BM25 score is never below 0; Milvus Lite gives it with a minus sign, as a distance.
        words = {hit["pk"]: abs(hit["distance"]) for hit in by_words}
        rows = {hit["pk"]: hit["entity"] for hit in (*by_meaning, *by_words)}
        candidates = [
            Candidate(key, row["text"], meaning.get(key), words.get(key)) for key, row in rows.items()
        ]
        return cls(candidates, rows)


class MilvusStore:
    """Questions of one tenant that arrive during a search leave together in the next request.

    Milvus Lite goes over all rows in Python for each request, however many questions it holds, and so answers
    two to four times as many. Writes go one after the other: Milvus Lite does not stand two at once in one
    collection.
    """

    def __init__(self, settings: VectorSettings, *, dimension: int) -> None:
        self._settings = settings
        self._dimension = dimension
        self._client: AsyncMilvusClient | None = None
        self._writing = asyncio.Lock()
        self._searches: Batcher[_Search, _Found] = Batcher(
            self._search_together,
            max_items=settings.batch_size,
            lanes=settings.lanes,
            group=_Search.group,
        )

    async def ensure_collection(self) -> None:
        await asyncio.to_thread(self._ensure)

    async def replace_document(
        self,
        tenant: str,
        document_id: str,
        *,
        content_hash: str,
        chunks: Sequence[Chunk],
        vectors: Vectors,
    ) -> None:
        await self.replace_documents(tenant, [Content(document_id, content_hash, chunks, vectors)])

    async def replace_documents(self, tenant: str, contents: Sequence[Content]) -> None:
        if not contents:
            return
        # The filter comes first: it refuses a tenant or an id that is not valid.
        outdated = filters.of_other_contents(tenant, {c.document_id: c.content_hash for c in contents})
        rows = [row for content in contents for row in rows_of(tenant, content)]
        async with self._writing:
            for start in range(0, len(rows), _ROWS_PER_WRITE):
                await self._upsert(rows[start : start + _ROWS_PER_WRITE])
            await self._delete(outdated)

    async def delete_document(self, tenant: str, document_id: str) -> int:
        expression = filters.of_documents(tenant, [document_id])
        async with self._writing:
            return await self._delete(expression)

    async def document_hashes(self, tenant: str, document_ids: Sequence[str]) -> dict[str, str]:
        hashes: dict[str, str] = {}
        for start in range(0, len(document_ids), _DOCUMENTS_PER_QUERY):
            page = document_ids[start : start + _DOCUMENTS_PER_QUERY]
            rows = await self._query(filters.of_documents(tenant, page), DOCUMENT_FIELDS)
            hashes |= complete_hashes(cast("list[DocumentRow]", rows))
        return hashes

    async def list_documents(self, tenant: str) -> list[IndexedDocument]:
        expression = filters.of_tenant(tenant)
        return documents_of(await asyncio.to_thread(self._all_rows, expression))

    async def search(self, tenant: str, text: str, vector: Vectors, *, top_k: int) -> list[Passage]:
        found = await self._find(tenant, text, vector, max(self._settings.depth, top_k))
        best = ranked(text, found.candidates)[:top_k]
        return [passage_of(candidate.key, found.rows[candidate.key], score) for candidate, score in best]

    async def candidates(self, tenant: str, text: str, vector: Vectors, *, depth: int) -> list[Candidate]:
        return (await self._find(tenant, text, vector, depth)).candidates

    async def sample(self, tenant: str, *, limit: int) -> list[Passage]:
        expression = filters.of_tenant(tenant)
        rows = await self._query(expression, ["pk", *PASSAGE_FIELDS], limit=limit)
        return [passage_of(row["pk"], row, 0.0) for row in rows]

    async def flush(self) -> None:
        async with self._writing:
            await self._call(lambda client: client.flush(self._name, timeout=self._wait))

    async def check(self) -> None:
        await self._call(lambda client: client.describe_collection(self._name, timeout=self._wait))

    async def close(self) -> None:
        await self._searches.close()
        if self._client is not None:
            await self._client.close()

    @property
    def _name(self) -> str:
        return self._settings.collection

    @property
    def _wait(self) -> float:
        return self._settings.timeout_s

    @property
    def _token(self) -> str:
        return self._settings.token.get_secret_value() if self._settings.token else ""

    async def _find(self, tenant: str, text: str, vector: Vectors, depth: int) -> _Found:
        filters.of_tenant(tenant)
        return await self._searches.submit(_Search(tenant, text, vector, depth))

    async def _search_together(self, searches: Sequence[_Search]) -> Sequence[_Found]:
        """Two requests at once: `hybrid_search` keeps only ranks or a mixture of the two scores."""
        tenant, depth = searches[0].group()
        vectors, texts = [search.vector for search in searches], [search.text for search in searches]
        meaning, words = await asyncio.gather(
            self._nearest(tenant, vectors, "dense", "COSINE", depth=depth),
            self._nearest(tenant, texts, "sparse", "BM25", depth=depth),
        )
        return [_Found.of(*found) for found in zip(meaning, words, strict=True)]

    async def _nearest(
        self, tenant: str, data: Sequence[object], field: str, metric: str, *, depth: int
    ) -> list[list[_Hit]]:
        return await self._call(
            lambda client: client.search(
                self._name,
                list(data),
                filter=filters.of_tenant(tenant),
                limit=depth,
                output_fields=PASSAGE_FIELDS,
                search_params={"metric_type": metric},
                anns_field=field,
                timeout=self._wait,
            )
        )

    async def _query(
        self, expression: str, fields: list[str], limit: int | None = None
    ) -> list[dict[str, str]]:
        return await self._call(
            lambda client: client.query(
                self._name,
                filter=expression,
                output_fields=fields,
                limit=limit,
                consistency_level="Strong",
                timeout=self._wait,
            )
        )

    async def _upsert(self, rows: list[Row]) -> None:
        await self._call(lambda client: client.upsert(self._name, rows, timeout=self._wait))

    async def _delete(self, expression: str) -> int:
        """Returns the number of rows."""
        result = await self._call(
            lambda client: client.delete(self._name, filter=expression, timeout=self._wait)
        )
        return len(result) if isinstance(result, list) else int(result["delete_count"])

    async def _call(self, request: Callable[[AsyncMilvusClient], Awaitable[T]]) -> T:
        try:
            return await self._attempt(request)
        except NotLoaded:
            await self.ensure_collection()
            return await self._attempt(request)

    async def _attempt(self, request: Callable[[AsyncMilvusClient], Awaitable[T]]) -> T:
        with translated(self._settings.uri, self._name):
            if self._client is None:
                self._client = AsyncMilvusClient(
                    uri=self._settings.uri,
                    token=self._token,
                    timeout=self._wait,
                    dedicated=True,
                    grpc_options=_CHANNEL,
                )
            return await request(self._client)

    def _ensure(self) -> None:
        with translated(self._settings.uri, self._name), self._synchronous() as client:
            collection.ensure(client, self._settings, self._dimension)

    @contextmanager
    def _synchronous(self) -> Iterator[MilvusClient]:
        client = MilvusClient(
            uri=self._settings.uri,
            token=self._token,
            timeout=self._wait,
            dedicated=True,
            grpc_options=_CHANNEL,
        )
        try:
            yield client
        finally:
            client.close()

    def _all_rows(self, expression: str) -> list[DocumentRow]:
        rows: list[DocumentRow] = []
        with translated(self._settings.uri, self._name), self._synchronous() as client:
            pages = client.query_iterator(
                self._name,
                batch_size=_ROWS_PER_PAGE,
                filter=expression,
                output_fields=DOCUMENT_FIELDS,
                consistency_level="Strong",
                timeout=self._wait,
            )
            while page := pages.next():
                rows.extend(cast("list[DocumentRow]", page))
            pages.close()
        return rows
