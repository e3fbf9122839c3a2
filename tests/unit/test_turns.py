import asyncio

from bus.turns import Turns


async def gone_on_by_turn(turns: Turns, waiters: int) -> list[int]:
    """How many had gone on after each turn of the loop."""
    gone: list[int] = []

    async def waiter(number: int) -> None:
        await turns.wait()
        gone.append(number)

    tasks = [asyncio.create_task(waiter(number)) for number in range(waiters)]
    counts = []
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        counts.append(len(gone))
    assert gone == list(range(waiters))
    return counts


async def test_no_more_than_a_few_go_on_in_one_turn_of_the_loop_in_the_order_in_which_they_came():
    counts = await asyncio.wait_for(gone_on_by_turn(Turns(at_once=8), 30), 5)
    steps = [after - before for before, after in zip([0, *counts], counts, strict=False)]
    assert max(steps) == 8
    assert counts[-1] == 30


async def test_who_comes_alone_goes_on_at_once():
    turns = Turns(at_once=1)
    for _ in range(3):
        going = asyncio.create_task(turns.wait())
        await asyncio.sleep(0)
        assert going.done()
        await asyncio.sleep(0)


async def test_who_was_cancelled_while_waiting_takes_nobodys_turn():
    turns = Turns(at_once=1)
    tasks = [asyncio.create_task(turns.wait()) for _ in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    done, _ = await asyncio.wait(tasks, timeout=5)
    assert len(done) == 4
    assert tasks[1].cancelled()
