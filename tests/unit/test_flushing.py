import asyncio
from dataclasses import dataclass, field

from contracts.errors import DependencyUnavailable
from workers.ingest.flushing import Flusher


@dataclass
class Store:
    flushes: int = 0
    away: bool = False
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def flush(self) -> None:
        async with self._news:
            self.flushes += 1
            self._news.notify_all()
        if self.away:
            raise DependencyUnavailable("The store does not answer.")

    async def reaches(self, count: int) -> None:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: self.flushes >= count)


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_store_is_flushed_when_writing_pauses():
    store = Store()
    flusher = Flusher(store, documents=100, idle_s=0.02)
    running = asyncio.create_task(flusher.run())
    flusher.wrote()
    await store.reaches(1)
    flusher.wrote()
    await store.reaches(2)
    await stop(running)
    assert store.flushes == 2, "nothing was written after the second"


async def test_the_store_is_flushed_after_many_documents_without_a_pause():
    store = Store()
    flusher = Flusher(store, documents=3, idle_s=60.0)
    running = asyncio.create_task(flusher.run())
    for _ in range(3):
        flusher.wrote()
    await store.reaches(1)
    flusher.wrote()
    await stop(running)
    assert store.flushes == 2, "what is left at the end is flushed too"


async def test_a_store_that_is_away_is_flushed_after_the_next_document():
    store = Store(away=True)
    flusher = Flusher(store, documents=100, idle_s=0.02)
    running = asyncio.create_task(flusher.run())
    flusher.wrote()
    await store.reaches(1)
    store.away = False
    flusher.wrote()
    await store.reaches(2)
    await stop(running)
    assert store.flushes == 2, "nothing was left for the end"


async def test_what_a_store_that_was_away_missed_is_flushed_at_the_end():
    store = Store(away=True)
    flusher = Flusher(store, documents=100, idle_s=0.02)
    running = asyncio.create_task(flusher.run())
    flusher.wrote()
    await store.reaches(1)
    await stop(running)
    assert store.flushes == 2
