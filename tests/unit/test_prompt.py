"""The prompt keeps within its tokens and drops what matters least."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import Rows, Turn
from contracts.errors import ContextOverflow
from workers.generation.prompt import SYSTEM, Material, build, build_small
from workers.generation.support import Source, Support


def count(text: str) -> int:
    return len(text.split())


def source(number: int, sentences: int = 6) -> Source:
    text = " ".join(f"Passage {number} says thing {n} about the river." for n in range(sentences))
    return Source(number, f"Title {number}", text)


def material(**more: object) -> Material:
    values: dict[str, object] = {
        "question": "What about the river?",
        "sources": tuple(map(source, range(1, 6))),
    }
    return Material(**{**values, **more})  # type: ignore[arg-type]


@settings(deadline=None)
@given(limit=st.integers(min_value=100, max_value=600), turns=st.integers(min_value=0, max_value=8))
def test_the_prompt_fits_and_keeps_evidence_in_rank_order(limit: int, turns: int) -> None:
    history = tuple(Turn(role=("user", "assistant")[n % 2], content="word " * 12) for n in range(turns))
    prompt = build(material(history=history), limit=limit, count=count)
    assert prompt.tokens <= limit
    numbers = [kept.number for kept in prompt.sources]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(message.role == "user" for message in prompt.messages[1:2])


def test_system_first_question_last_passages_numbered_between() -> None:
    prompt = build(material(), limit=1_000, count=count)
    assert prompt.messages[0].content == SYSTEM
    content = prompt.messages[-1].content
    assert content.index("[1] Title 1: ") < content.index("[5] Title 5: ") < content.index("Question: What")
    assert content.endswith("What about the river?")


def test_the_last_passage_that_is_kept_ends_with_a_whole_sentence() -> None:
    *_, last = build(material(), limit=160, count=count).sources
    assert last.number < 5
    assert last.text.endswith("river.")
    assert last.text != source(last.number).text
    assert source(last.number).text.startswith(last.text)


def test_the_latest_turns_of_a_conversation_are_kept() -> None:
    history = tuple(Turn(role=("user", "assistant")[n % 2], content=f"turn {n} " * 10) for n in range(8))
    prompt = build(material(history=history), limit=400, count=count)
    kept = [message.content.split()[1] for message in prompt.messages[1:-1]]
    assert kept
    assert kept == [str(n) for n in range(8 - len(kept), 8)]


def test_rows_stand_with_their_statement_and_say_when_there_are_more() -> None:
    rows = Rows(statement="SELECT id", columns=("id",), rows=tuple((n,) for n in range(400)))
    prompt = build(material(sources=(), rows=rows, rows_number=3), limit=300, count=count)
    content = prompt.messages[-1].content
    assert "[3] Rows of the database, by the statement SELECT id" in content
    assert "| 0 |" in content
    assert "There are more rows than these." in content
    assert prompt.tokens <= 300


def test_a_question_that_leaves_no_room_is_a_context_overflow() -> None:
    with pytest.raises(ContextOverflow, match="nothing is left for evidence"):
        build(material(question="why " * 200), limit=150, count=count)


def test_a_small_model_reads_the_nearest_sentences_only() -> None:
    far = Source(1, "Weather", "It rains in May. It snows in June. It is dry in July.")
    near = Source(2, "Mill", "The mill was built by Peter Crane in 1807. It stands on a hill.")
    asked = Material("Who built the mill?", sources=(far, near))
    ranked = Support(asked.sources).rank(asked.question)
    prompt = build_small(asked, ranked, limit=100, count=count)
    assert "Peter Crane" in prompt.messages[-1].content
    assert prompt.tokens <= 100
    assert "Peter Crane" in build_small(asked, ranked, limit=50, count=count).messages[-1].content
