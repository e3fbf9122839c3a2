"""What the engine vLLM decides without vLLM: where a cut text is taken up, and how many requests it takes."""

from collections.abc import AsyncGenerator

import pytest

from workers.engines.port import FinishReason
from workers.engines.vllm.headroom import Headroom
from workers.engines.vllm.prompt import repeat_from
from workers.engines.vllm.steps import Step, beyond

STEPS = ((" la", None), ("nd", None), (" now", None), (".", "stop"))


async def made(*steps: tuple[str, FinishReason | None]) -> AsyncGenerator[Step, None]:
    for text, finish in steps:
        yield Step(text, 1, finish, 10, 0)


async def following(repeated: str, *, most: int = 9) -> list[tuple[str, int, FinishReason | None]]:
    steps = beyond(made(*STEPS), repeated, most)
    return [(step.text, step.tokens, step.finish) async for step in steps]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The ship la", "The ship"),
        ("The ship ", "The"),
        ("days:\n\n", "days:"),
        ("word", ""),
        ("\u6771" * 60, "\u6771" * 56),
    ],
)
def test_the_last_word_is_left_to_the_model_with_the_space_before_it(text: str, kept: str) -> None:
    assert text[: repeat_from(text)] == kept


async def test_what_a_model_writes_again_is_held_back_and_not_counted() -> None:
    assert await following(" la") == [("nd", 1, None), (" now", 1, None), (".", 1, "stop")]
    assert await following(" l") == [("a", 1, None), ("nd", 1, None), (" now", 1, None), (".", 1, "stop")]
    assert await following(" land now.") == [("", 0, "stop")]


async def test_an_answer_that_was_cut_ends_at_the_tokens_it_was_promised() -> None:
    assert await following(" la", most=2) == [("nd", 1, None), (" now", 1, "length")]


@pytest.mark.parametrize("repeated", [" lo", " land then", " land now. And"])
async def test_a_model_that_does_not_write_the_same_again_gives_nothing(repeated: str) -> None:
    assert await following(repeated) == []


def test_a_full_cache_leaves_slots_out_and_an_empty_one_gives_them_back() -> None:
    headroom = Headroom(16, 10_000)
    headroom.expect(1_000)
    assert headroom.window == 9

    entered = [headroom.enter(600, 400) for _ in range(8)]
    assert headroom.window == 9
    for number in entered:
        headroom.advance(number, 700)
    headroom.usage = 0.56
    assert headroom.window == 9
    headroom.usage = 0.9
    assert headroom.window == 8

    for number in entered:
        headroom.leave(number)
    headroom.usage = 0.0
    assert headroom.window == 9


def test_small_requests_fill_all_slots_and_one_is_always_taken() -> None:
    headroom = Headroom(16, 10_000)
    headroom.expect(100)
    assert headroom.window == 16
    headroom.usage = 1.0
    assert headroom.window == 1
