"""Requests that arrive while one is in flight leave together as the next one. No timer: idle adds no wait."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from contracts.errors import DependencyUnavailable, PermanentError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class _Waiting(Generic[T, R]):
    item: T
    group: Hashable
    future: "asyncio.Future[R]"


def _one_group(_item: object) -> Hashable:
    return None


class Batcher(Generic[T, R]):
    """Runs `run` on lists of items of one group; one list of a group at a time, `lanes` groups at once.

    `run` gives one result per item, in order. An item that makes a whole batch fail for good (PermanentError)
    fails alone: the batch is run again item by item. With `cost`, cheap items go first and a batch holds
    items of like cost; without, they go in order of arrival.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_items: int,
        lanes: int = 1,
        group: Callable[[T], Hashable] = _one_group,
        cost: Callable[[T], float] | None = None,
    ) -> None:
        self._run = run
        self._max_items = max_items
        self._lanes = lanes
        self._group = group
        self._cost = cost
        self._waiting: dict[Hashable, deque[_Waiting[T, R]]] = {}
        self._flights: dict[Hashable, asyncio.Task[None]] = {}
        self._closed = False

    async def submit(self, item: T) -> R:
        return (await self.submit_all([item]))[0]

    async def submit_all(self, items: Sequence[T]) -> list[R]:
        """Results in the order of the items; the first error is raised."""
        if self._closed:
            raise DependencyUnavailable("The batcher is closed: the process is stopping.")
        if not items:
            return []
        loop = asyncio.get_running_loop()
        entries = [_Waiting(item, self._group(item), loop.create_future()) for item in items]
        for entry in entries:
            self._waiting.setdefault(entry.group, deque()).append(entry)
        self._launch()
        return list(await asyncio.gather(*(entry.future for entry in entries)))

    async def close(self) -> None:
        """Refuse new items, fail the waiting ones and wait for those in flight."""
        self._closed = True
        waiting = [entry for queue in self._waiting.values() for entry in queue]
        self._waiting.clear()
        for entry in waiting:
            if not entry.future.done():
                entry.future.set_exception(DependencyUnavailable("The process is stopping."))
        if self._flights:
            await asyncio.wait(list(self._flights.values()))

    def _launch(self) -> None:
        for group in list(self._waiting):
            if len(self._flights) >= self._lanes:
                return
            if group not in self._flights:
                self._flights[group] = asyncio.create_task(self._fly(group))

    async def _fly(self, group: Hashable) -> None:
        # A task starts one turn of the loop after its creation: all that was submitted in this turn is in.
        try:
            batch = self._take(group)
            if batch:
                await self._settle(batch)
        finally:
            del self._flights[group]
            self._launch()

    def _take(self, group: Hashable) -> list[_Waiting[T, R]]:
        queue = deque(entry for entry in self._waiting.pop(group, ()) if not entry.future.done())
        if self._cost is not None:
            cost = self._cost
            queue = deque(sorted(queue, key=lambda entry: cost(entry.item)))
        batch = [queue.popleft() for _ in range(min(self._max_items, len(queue)))]
        if queue:
            # Back at the end of the table: groups take turns.
            self._waiting[group] = queue
        return batch

    async def _settle(self, batch: Sequence[_Waiting[T, R]]) -> None:
        try:
            results = await self._run([entry.item for entry in batch])
        except PermanentError as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            for entry in batch:
                await self._settle([entry])
        except Exception as error:  # noqa: BLE001 (handed to each caller, who judges it)
            _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, DependencyUnavailable("The process is stopping."))
            raise
        else:
            for entry, result in zip(batch, results, strict=True):
                if not entry.future.done():
                    entry.future.set_result(result)


def _fail(batch: Sequence[_Waiting[T, R]], error: Exception) -> None:
    for entry in batch:
        if not entry.future.done():
            entry.future.set_exception(error)
