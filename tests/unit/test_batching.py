"""Batches of requests that collect while one is in flight."""

import asyncio
from collections.abc import Sequence

import pytest

from contracts.errors import DependencyUnavailable, InvalidDocument
from workers.batching import Batcher


class Recorder:
    """Doubles each number when the gate is open; keeps the batches as they came."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.more = asyncio.Event()
        self.gate = asyncio.Event()

    async def run(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.more.set()
        await self.gate.wait()
        if -1 in items:
            raise InvalidDocument("-1 is refused.")
        return [item * 2 for item in items]


async def started(recorder: Recorder, batches: int) -> None:
    async with asyncio.timeout(5):
        while len(recorder.batches) < batches:
            await recorder.more.wait()
            recorder.more.clear()


async def test_items_that_arrive_during_a_flight_leave_together_in_the_next() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.run, max_items=10)
    first = asyncio.create_task(batcher.submit(1))
    await started(recorder, 1)
    rest = [asyncio.create_task(batcher.submit(i)) for i in (2, 3, 4)]
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert recorder.batches == [[1], [2, 3, 4]]


async def test_a_batch_holds_at_most_the_stated_number_of_items() -> None:
    recorder = Recorder()
    recorder.gate.set()
    assert await Batcher(recorder.run, max_items=2).submit_all([1, 2, 3, 4, 5]) == [2, 4, 6, 8, 10]
    assert recorder.batches == [[1, 2], [3, 4], [5]]


async def test_cheap_items_go_first_and_results_keep_the_order_of_the_items() -> None:
    recorder = Recorder()
    recorder.gate.set()
    batcher = Batcher(recorder.run, max_items=2, cost=float)
    assert await batcher.submit_all([9, 1, 8, 2]) == [18, 2, 16, 4]
    assert recorder.batches == [[1, 2], [8, 9]]


async def test_groups_are_never_mixed_and_each_has_one_flight_at_a_time() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.run, max_items=10, lanes=2, group=lambda item: item % 3)
    task = asyncio.create_task(batcher.submit_all([0, 1, 2, 3, 4, 5]))
    await started(recorder, 2)
    assert recorder.batches == [[0, 3], [1, 4]]
    recorder.gate.set()
    await task
    assert recorder.batches == [[0, 3], [1, 4], [2, 5]]


async def test_an_item_that_is_refused_fails_alone() -> None:
    recorder = Recorder()
    recorder.gate.set()
    batcher = Batcher(recorder.run, max_items=10)
    results = await asyncio.gather(*(batcher.submit(i) for i in (1, -1, 3)), return_exceptions=True)
    assert [results[0], results[2]] == [2, 6]
    assert isinstance(results[1], InvalidDocument)


async def test_an_item_whose_caller_is_gone_is_not_worked_on() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.run, max_items=10)
    first = asyncio.create_task(batcher.submit(1))
    await started(recorder, 1)
    gone = asyncio.create_task(batcher.submit(2))
    kept = asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    recorder.gate.set()
    await asyncio.gather(first, kept)
    assert recorder.batches == [[1], [3]]


async def test_closing_fails_what_waits_and_finishes_what_flies() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.run, max_items=1)
    flying = asyncio.create_task(batcher.submit(1))
    await started(recorder, 1)
    waiting = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    recorder.gate.set()
    await closing
    assert await flying == 2
    with pytest.raises(DependencyUnavailable):
        await waiting
    with pytest.raises(DependencyUnavailable):
        await batcher.submit(3)
