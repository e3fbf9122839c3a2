"""Second half of a run: what was prepared into Milvus, many documents in one write."""

import asyncio
from collections.abc import Sequence

from askfleet.bulk.job import Batch, Job, column
from contracts.document import Outcome
from contracts.errors import DependencyUnavailable, PermanentError, SchemaChanged
from workers.shell.waiting import once_there
from workers.vectors import Content

_ATTEMPTS = 3


class Writer:
    """An actor; by default there is one for the whole run, whatever the number of those that embed."""

    def __init__(self, job: Job, dimension: int) -> None:
        self._job = job
        self._loop = asyncio.Runner()
        self._store = job.open_store(dimension)

    def __call__(self, batch: Batch) -> Batch:
        """`item` in, `outcome` out, as JSON: one a row.

        May run twice for the same rows, when the actor dies: they are then written as they are already.
        """
        items = list(batch["item"])
        written = self._loop.run(self._write([item for item in items if isinstance(item, Content)]))
        told = [item for item in items if isinstance(item, Outcome)]
        return {"outcome": column([outcome.model_dump_json() for outcome in (*written, *told)])}

    async def _write(self, contents: Sequence[Content]) -> list[Outcome]:
        try:
            await self._replace(contents)
        except SchemaChanged:
            raise
        except PermanentError as error:
            return await self._apart(contents, error)
        return [
            Outcome(document_id=content.document_id, status="indexed", chunks=len(content.chunks))
            for content in contents
        ]

    async def _apart(self, contents: Sequence[Content], error: PermanentError) -> list[Outcome]:
        """One that is refused must not keep out the others of its batch."""
        if len(contents) == 1:
            return [Outcome(document_id=contents[0].document_id, status="failed", problem=error.problem())]
        return [outcome for content in contents for outcome in await self._write([content])]

    async def _replace(self, contents: Sequence[Content]) -> None:
        """Two that replace a document at once can each remove the other's chunks: look, and redo."""
        # Of two states of one document the later one stays.
        waiting = {content.document_id: content for content in contents}
        for _ in range(_ATTEMPTS):
            await once_there(
                lambda: self._store.replace_documents(self._job.tenant, list(waiting.values())),
                patience_s=self._job.patience_s,
            )
            hashes = await once_there(
                lambda: self._store.document_hashes(self._job.tenant, list(waiting)),
                patience_s=self._job.patience_s,
            )
            for document_id, found in hashes.items():
                if found == waiting[document_id].content_hash:
                    del waiting[document_id]
            if not waiting:
                return
        raise DependencyUnavailable(
            f"{next(iter(waiting))}: another process writes the same document, again and again.",
            remedy="End the other run or wait for it, then start this one again.",
        )
