"""When the vector store is flushed: while documents stream in now and then, and as soon as they pause."""

import asyncio
from typing import Protocol

import structlog

from contracts.errors import TransientError

_LOG = structlog.get_logger()


class Flushable(Protocol):
    async def flush(self) -> None: ...


class Flusher:
    """Unflushed passages are searchable, but slowly; flushing after every document would be slower still."""

    def __init__(self, store: Flushable, *, documents: int, idle_s: float) -> None:
        self._store = store
        self._documents = documents
        self._idle_s = idle_s
        self._written = 0
        self._news = asyncio.Event()

    def wrote(self) -> None:
        """A document was indexed or removed."""
        self._written += 1
        self._news.set()

    async def run(self) -> None:
        """Flush until cancelled; what is unflushed then is flushed last."""
        try:
            while True:
                await self._news.wait()
                await self._pause()
                await self.flush()
        except asyncio.CancelledError:
            await asyncio.shield(self.flush())
            raise

    async def flush(self) -> None:
        """Flush if something was written. A store that is away is asked again after the next document."""
        written, self._written = self._written, 0
        self._news.clear()
        if not written:
            return
        try:
            await self._store.flush()
        except TransientError as error:
            self._written += written
            _LOG.warning(
                "The store could not be flushed: searches stay slow until it can.",
                action="ingest.flush_failed",
                error=error.detail,
            )

    async def _pause(self) -> None:
        """Until nothing was written for a while, or much was."""
        while self._written < self._documents:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), self._idle_s)
            except TimeoutError:
                return
