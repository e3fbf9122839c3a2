"""The simulated engine: stated timings, the same text for the same prompt, continued where it was left."""

import asyncio
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import ContextOverflow
from workers.engines import GenerationRequest, Message, Piece, SimulatedEngine, Timing

PROMPT = (
    Message("system", "Answer from the numbered passages."),
    Message(
        "user",
        "[1] Streams: A stream keeps messages until a limit is reached or a consumer acknowledges them all.\n"
        "[2] Consumers: A consumer remembers what was delivered.\n\nQuestion: What is a stream?",
    ),
)
AT_ONCE = Timing(first_token_s=0, interval_s=0)


def request(*, prefix: str = "", max_tokens: int = 200) -> GenerationRequest:
    return GenerationRequest(messages=PROMPT, max_tokens=max_tokens, prefix=prefix)


async def pieces_of(engine: SimulatedEngine, asked: GenerationRequest) -> list[Piece]:
    return [piece async for piece in engine.stream(asked)]


async def text_of(engine: SimulatedEngine, asked: GenerationRequest) -> str:
    return "".join(piece.text for piece in await pieces_of(engine, asked))


async def test_cites_the_numbered_passages_and_reports_its_tokens() -> None:
    pieces = await pieces_of(SimulatedEngine(AT_ONCE), request())
    text = "".join(piece.text for piece in pieces)
    assert "[1]" in text
    assert "[2]" in text
    assert len(text.split()) == 64
    assert sum(piece.tokens for piece in pieces) == 64
    usage = pieces[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 64


async def test_with_zero_time_all_tokens_leave_in_one_piece_unless_a_piece_is_limited() -> None:
    assert len(await pieces_of(SimulatedEngine(AT_ONCE), request())) == 2
    limited = SimulatedEngine(Timing(first_token_s=0, interval_s=0, piece_tokens=1))
    assert len(await pieces_of(limited, request())) == 65


@settings(deadline=None)
@given(cut=st.integers(min_value=0, max_value=500))
def test_continues_any_prefix_as_if_never_interrupted(cut: int) -> None:
    async def check() -> None:
        engine = SimulatedEngine(AT_ONCE)
        whole = await text_of(engine, request())
        assert whole[:cut] + await text_of(engine, request(prefix=whole[:cut])) == whole

    asyncio.run(check())


async def test_a_prefix_with_citations_added_or_removed_continues_at_the_same_word() -> None:
    engine = SimulatedEngine(AT_ONCE)
    whole = await text_of(engine, request())
    head, tail = whole[:160], whole[160:]
    removed = head.replace(" [1]", "").replace(" [2]", "")
    added = head.replace("until", "until [9]")
    assert await text_of(engine, request(prefix=removed)) == tail
    assert await text_of(engine, request(prefix=added)) == tail


async def test_64_streams_keep_their_schedule() -> None:
    engine = SimulatedEngine(Timing(first_token_s=0.05, interval_s=0.005, answer_tokens=64), slots=64)
    begin = time.perf_counter()
    answers = await asyncio.gather(*(text_of(engine, request()) for _ in range(64)))
    took_s = time.perf_counter() - begin
    assert len(set(answers)) == 1
    # The last token is due at 50 + 63 x 5 ms. Sleeping 5 ms after each token would drift by each wake-up.
    assert 0.36 < took_s < 0.6


def test_a_request_follows_one_constraint_and_then_has_no_prefix() -> None:
    with pytest.raises(ValueError, match="prefix"):
        GenerationRequest(PROMPT, max_tokens=4, prefix="a", grammar='root ::= "a"')
    with pytest.raises(ValueError, match="one of them"):
        GenerationRequest(PROMPT, max_tokens=4, json_schema="{}", grammar='root ::= "a"')


async def test_an_adapter_is_heard_in_the_answer_and_continued() -> None:
    engine = SimulatedEngine(AT_ONCE, adapters=("legal",))
    asked = replace(request(), adapter="legal")
    whole = await text_of(engine, asked)
    assert whole.startswith("As legal: ")
    assert whole.removeprefix("As legal: ") == await text_of(engine, request())
    assert await text_of(engine, replace(asked, prefix=whole[:40])) == whole[40:]


async def test_requests_beyond_the_slots_wait_for_their_turn() -> None:
    engine = SimulatedEngine(Timing(first_token_s=0.02, interval_s=0, answer_tokens=4), slots=1)
    begin = time.perf_counter()
    await asyncio.gather(*(text_of(engine, request()) for _ in range(3)))
    assert time.perf_counter() - begin > 0.055


async def test_a_prompt_that_does_not_fit_is_a_context_overflow() -> None:
    engine = SimulatedEngine(AT_ONCE, context_tokens=50)
    with pytest.raises(ContextOverflow, match="exceed 50"):
        await text_of(engine, request(max_tokens=40))
