"""Steps of an answer, and those of them that go beyond text which stands already."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from workers.engines.port import FinishReason


@dataclass(frozen=True)
class Step:
    """What one step of the engine gave a request; the counts of the prompt are of the whole of it."""

    text: str
    tokens: int
    finish: FinishReason | None
    prompt_tokens: int
    cached_tokens: int


async def beyond(
    steps: AsyncGenerator[Step, None], repeated: str, most_tokens: int
) -> AsyncGenerator[Step, None]:
    """What follows the text `repeated`, up to `most_tokens`; nothing when the steps write something else.

    A token that ends the repeated text and goes beyond it counts as one of the new ones.
    """
    expected, left = repeated, most_tokens
    async for step in steps:
        new = step
        if expected:
            if expected.startswith(step.text) and (step.finish is None or step.text == expected):
                expected = expected[len(step.text) :]
                new = replace(step, text="", tokens=0)
            elif step.text.startswith(expected):
                new = replace(step, text=step.text[len(expected) :], tokens=1)
                expected = ""
            else:
                return
            if not new.text and new.finish is None:
                continue
        left -= new.tokens
        yield new if left > 0 or new.finish else replace(new, finish="length")
        if left <= 0:
            return
