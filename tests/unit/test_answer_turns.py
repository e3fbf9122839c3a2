"""Answers that begin at once read their evidence in turns."""

import asyncio

from contracts import Evidence, Passage
from workers.generation.reading import read_passage
from workers.generation.turns import Turns


def evidence(answer: int) -> Evidence:
    return Evidence(
        passages=tuple(
            Passage(
                chunk_id=f"{answer}-{rank}",
                document_id="d",
                title="Lamp",
                source="lamp.md",
                text=f"Lamp {answer}-{rank} is red after a reset. " * 5,
                score=0.5,
            )
            for rank in range(5)
        )
    )


async def test_the_loop_turns_for_others_between_any_two_passages() -> None:
    turns, begun = Turns(), 0

    async def others() -> None:
        nonlocal begun
        while True:
            begun += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(others())
    await asyncio.gather(*(turns.read([evidence(answer)]) for answer in range(8)))
    ticking.cancel()
    assert begun >= 8 * 5


async def test_what_was_read_is_found_again_by_the_answer() -> None:
    read_passage.cache_clear()
    await Turns().read([evidence(99)])
    before = read_passage.cache_info().misses
    for passage in evidence(99).passages:
        read_passage(passage.text)
    assert read_passage.cache_info().misses == before == 5
