"""First half of a run: files to documents, chunks and vectors; what is indexed as it is, goes no further."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from askfleet.bulk.job import Batch, Item, Job, column
from contracts.document import Document, Outcome
from contracts.errors import InvalidDocument, InvalidName
from workers.ingest.handler import chunks_of, content_hash, embedded
from workers.shell.waiting import once_there
from workers.vectors import Content


class Preparer:
    """An actor: opens the model once, then takes blocks of files."""

    def __init__(self, job: Job) -> None:
        self._job = job
        # The clients belong to one loop for as long as the actor lives.
        self._loop = asyncio.Runner()
        self._embedder = job.open_embedder()
        self._store = job.open_store(self._embedder.dimension)

    def __call__(self, batch: Batch) -> Iterator[Batch]:
        """`file` in, `item` out; a few documents at a time, since one file may hold millions."""
        items = self._documents(batch)
        while group := list(islice(items, self._job.batch_documents)):
            yield {"item": column(self._loop.run(self._prepared(group)))}

    def _documents(self, batch: Batch) -> Iterator[Document | Outcome]:
        for path in batch["file"]:
            yield from self._job.folder.documents_of(Path(str(path)))

    async def _prepared(self, group: Sequence[Document | Outcome]) -> list[Item]:
        documents = [item for item in group if isinstance(item, Document)]
        hashes = await self._hashes([document.id for document in documents])
        return await asyncio.gather(*(self._item(item, hashes) for item in group))

    async def _hashes(self, document_ids: Sequence[str]) -> dict[str, str]:
        try:
            return await once_there(
                lambda: self._store.document_hashes(self._job.tenant, document_ids),
                patience_s=self._job.patience_s,
            )
        except InvalidName:
            # One of them can't be an id. Taken for new, it is refused by itself when it is written.
            return {}

    async def _item(self, item: Document | Outcome, hashes: dict[str, str]) -> Item:
        if isinstance(item, Outcome):
            return item
        try:
            return await self._content(item, hashes)
        except (InvalidDocument, InvalidName) as error:
            return Outcome(document_id=item.id, status="failed", problem=error.problem())

    async def _content(self, document: Document, hashes: dict[str, str]) -> Item:
        digest = content_hash(document, self._embedder.name, self._job.sizes)
        if hashes.get(document.id) == digest:
            return Outcome(document_id=document.id, status="unchanged")
        chunks = await asyncio.to_thread(chunks_of, document, self._job.sizes, self._job.limits)
        vectors = await once_there(lambda: embedded(chunks, self._embedder), patience_s=self._job.patience_s)
        return Content(document.id, digest, chunks, vectors)
