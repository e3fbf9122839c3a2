"""Wrapped lines are made whole; lines that stand for themselves stay."""

import pytest

from workers.ingest.parsing.wrapping import unwrapped

PROSE = (
    "A message that nobody acknowledged within thirty seconds is\n"
    "delivered again, to another worker if there is one, and that\n"
    "worker goes on."
)


def test_wrapped_prose_becomes_one_line() -> None:
    whole = unwrapped(PROSE)

    assert "\n" not in whole
    assert "seconds is delivered again" in whole
    assert "that worker goes on." in whole


@pytest.mark.parametrize(
    "text",
    [
        "one line",
        "Roses\nare red\nviolets blue",
        "- the first point, which is rather long and full\n- the second point, which is long as well",
        "def answer(question):\n    return look_up(question) or give_up(question)",
    ],
)
def test_lists_verse_and_code_keep_their_lines(text: str) -> None:
    assert unwrapped(text) == text
