"""The prompt keeps within its tokens and drops what matters least."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import Rows, Turn
from contracts.errors import ContextOverflow
from workers.generation.prompt import SYSTEM, Material, Prompt, build, build_small
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


def test_a_growing_conversation_begins_alike_for_several_turns_and_keeps_half_its_share() -> None:
    def begins(turns: int) -> tuple[str, int]:
        said = [f"turn {n} about rivers and lakes and what lies between" for n in range(turns)]
        history = tuple(Turn(role=("user", "assistant")[n % 2], content=text) for n, text in enumerate(said))
        kept = build(material(history=history), limit=2_000, count=count).messages[1:-1]
        assert kept[-1].content == said[-1]
        return kept[0].content, sum(count(message.content) + 8 for message in kept)

    found = [begins(turns) for turns in range(2, 100, 2)]
    share = max(tokens for _, tokens in found)
    cuts = [place for place, (early, late) in enumerate(pairwise(found)) if early[0] != late[0]]
    assert len(cuts) > 3
    assert all(later - earlier > 4 for earlier, later in pairwise(cuts))
    assert all(tokens > share * 0.4 for _, tokens in found[cuts[0] :])


def test_a_conversation_is_cut_at_the_same_place_for_a_longer_question() -> None:
    history = tuple(Turn(role=("user", "assistant")[n % 2], content=f"turn {n} " * 8) for n in range(12))
    short, long = [
        build(material(history=history, question=f"What {'more ' * words}?"), limit=700, count=count)
        for words in (1, 30)
    ]
    assert 4 < len(short.messages) < 12
    assert short.messages[:-1] == long.messages[:-1]


def test_a_long_last_turn_that_fits_alone_is_kept() -> None:
    turns = (Turn(role="assistant", content="short"), Turn(role="user", content="word " * 90))
    kept = build(material(history=turns), limit=520, count=count).messages[1:-1]
    assert [len(message.content.split()) for message in kept] == [90]


def evidence_of(prompt: Prompt) -> str:
    return prompt.messages[-1].content.partition("Question:")[0]


def test_in_the_order_of_documents_another_ranking_of_the_same_passages_gives_the_same_prompt() -> None:
    placed = [replace(source(number), place=(f"d{number % 3}", f"c{number}")) for number in range(1, 6)]
    ranked = [
        tuple(replace(found, number=rank) for rank, found in enumerate(order, 1))
        for order in (placed, placed[::-1], placed[2:] + placed[:2])
    ]
    first, *others = [
        build(material(sources=sources), limit=1_000, count=count, order="document") for sources in ranked
    ]
    assert first.messages[-1].content.index("[1] Title 3") < first.messages[-1].content.index("[5] Title 5")
    assert [prompt.messages for prompt in others] == [first.messages] * 2
    for prompt, sources in zip((first, *others), ranked, strict=True):
        titles = {found.number: found.title for found in sources}
        shown = [f"[{number}] {titles[prompt.numbers[number]]}: " for number in range(1, 6)]
        assert all(line in prompt.messages[-1].content for line in shown)
    by_rank = [build(material(sources=sources), limit=1_000, count=count) for sources in ranked]
    assert by_rank[0].messages != by_rank[1].messages


def test_in_the_order_of_documents_the_lowest_ranked_are_left_out_and_what_is_cut_comes_last() -> None:
    sources = tuple(replace(source(rank), place=(f"d{9 - rank}", "c")) for rank in range(1, 6))
    prompt = build(material(sources=sources), limit=220, count=count, order="document")
    *whole, cut = prompt.sources
    assert [found.number for found in whole] == [2, 1]
    assert cut.number == 3
    assert len(cut.text) < len(sources[2].text)
    assert prompt.numbers == {1: 2, 2: 1, 3: 3}
    evidence = evidence_of(prompt)
    assert evidence.index("[1] Title 2") < evidence.index("[2] Title 1") < evidence.index("[3] Title 3")


def test_rows_keep_their_number_whatever_the_order_of_the_passages() -> None:
    rows = Rows(statement="SELECT id", columns=("id",), rows=((1,),))
    prompt = build(material(rows=rows, rows_number=6), limit=1_000, count=count, order="document")
    assert "[6] Rows of the database" in prompt.messages[-1].content
    assert prompt.numbers[6] == 6


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
