"""Where every engine ends an answer, and what is free behind it."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from engine_trials import ask, pieces_of, text_of, until_idle

from workers.engines import Engine

pytestmark = pytest.mark.asyncio(loop_scope="package")

DAYS = "List the days of the week."


async def test_an_answer_ends_before_a_stop_and_says_so(engine: Engine) -> None:
    plain = ask(DAYS, max_tokens=32)
    whole = await text_of(engine, plain)
    *_, word = whole.split()[:4]
    assert len(whole) > whole.index(word) + len(word)
    pieces = await pieces_of(engine, replace(plain, stop=("never said", word)))
    assert "".join(piece.text for piece in pieces).strip() == whole.partition(word)[0].strip()
    assert pieces[-1].finish_reason == "stop"
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens < 32


async def test_every_slot_is_free_again_after_answers_that_were_closed(engine: Engine) -> None:
    """More of them than there are slots: one that stayed taken would hold the last up for good."""
    asked = min(engine.slots, 32) + 2
    for _ in range(asked):
        async with aclosing(engine.stream(ask("Tell me a very long story.", max_tokens=400))) as stream:
            await anext(stream)
    assert await asyncio.wait_for(text_of(engine, ask("Say hello.", max_tokens=4)), timeout=60)
    await until_idle(engine, within_s=5)
