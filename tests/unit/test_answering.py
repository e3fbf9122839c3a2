"""From a log to an answer, with the simulated engine."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from contracts import Accepted, Delta, Done, Event, Evidence, Passage, Query, Route, Routed, Rows
from contracts.errors import InvalidQuery, PermanentError
from workers.engines import GenerationRequest, Piece, SimulatedEngine, Timing
from workers.generation.answering import write_answer
from workers.generation.settings import GenerationSettings

QUESTION = "How long are messages kept in a stream?"
PASSAGES = (
    Passage(
        chunk_id="c1",
        document_id="d1",
        title="Streams",
        source="streams.md",
        text="A stream keeps messages until a limit is reached. By default messages are kept for ever.",
        score=1.0,
    ),
    Passage(
        chunk_id="c2",
        document_id="d2",
        title="Consumers",
        source="consumers.md",
        text="A consumer remembers what was delivered.",
        score=0.5,
    ),
)
ROWS = Rows(statement="SELECT count(*)", columns=("messages",), rows=((42,),))
unhurried = effort(deadline=None, max_examples=45)
ONE_BY_ONE = Timing(first_token_s=0, interval_s=0, answer_tokens=40, piece_tokens=1)


def log(route: Route, *evidence: Event, question: str = QUESTION, **query: Any) -> list[Event]:
    asked = Query(id="q1", question=question, **query)
    return [
        Accepted(index=1, tenant="acme", query=asked, deadline=1),
        Routed(index=2, route=route, confidence=0.9),
        *evidence,
    ]


def settings(**values: Any) -> GenerationSettings:
    return GenerationSettings.model_validate({"engine": {"kind": "simulated"}, **values})


def engine() -> SimulatedEngine:
    return SimulatedEngine(ONE_BY_ONE)


async def answer(events: Sequence[Event], **values: Any) -> tuple[list[Delta], Done]:
    made = [event async for event in write_answer(events, engine=engine(), settings=settings(**values))]
    *deltas, done = made
    assert isinstance(done, Done)
    assert done.text == "".join(d.text for d in [*events, *deltas] if isinstance(d, Delta))
    return [delta for delta in deltas if isinstance(delta, Delta)], done


async def test_a_documents_answer_streams_and_cites_its_passages() -> None:
    deltas, done = await answer(log(Route.DOCUMENTS, Evidence(passages=PASSAGES)))
    assert len(deltas) > 20
    assert sum(delta.tokens for delta in deltas) >= 39
    assert done.answered
    assert [citation.source for citation in done.citations] == ["streams.md", "consumers.md"]
    assert done.usage.completion_tokens == 40
    assert done.model == "simulated"


async def test_the_first_token_is_not_held_back() -> None:
    stream = write_answer(
        log(Route.DOCUMENTS, Evidence(passages=PASSAGES)), engine=engine(), settings=settings()
    )
    first = await anext(stream)
    assert isinstance(first, Delta)
    assert first.tokens == 1
    await stream.aclose()


@pytest.mark.parametrize("style", ["write", "check", "quote"])
@unhurried
@given(published=st.integers(min_value=0, max_value=40))
def test_an_answer_taken_over_after_any_delta_ends_as_the_uninterrupted_one(
    style: str, published: int
) -> None:
    events = log(Route.BOTH, Evidence(passages=PASSAGES), ROWS)

    async def check() -> None:
        deltas, done = await answer(events, answer_style=style)
        _, continued = await answer([*events, *deltas[:published]], answer_style=style)
        assert continued.text == done.text
        assert continued.citations == done.citations

    asyncio.run(check())


@unhurried
@given(published=st.integers(min_value=0, max_value=60))
def test_rows_in_doubt_come_last_also_after_a_takeover(published: int) -> None:
    events = log(Route.BOTH, Evidence(passages=PASSAGES), ROWS.model_copy(update={"confidence": "low"}))

    async def check() -> None:
        deltas, done = await answer(events)
        assert done.text.index("The messages is 42 [3].") > done.text.index("stream keeps")
        _, continued = await answer([*events, *deltas[:published]])
        assert continued.text == done.text

    asyncio.run(check())


async def test_rows_are_worded_by_the_platform_without_engine_time() -> None:
    deltas, done = await answer(log(Route.SQL, ROWS))
    assert [delta.text for delta in deltas] == ["The messages is 42 [1]."]
    assert deltas[0].tokens == 0
    assert (done.citations[0].kind, done.citations[0].source) == ("rows", "SELECT count(*)")
    assert done.usage.prompt_tokens == 0
    assert done.answered


async def test_rows_are_worded_by_the_engine_on_request() -> None:
    deltas, done = await answer(log(Route.SQL, ROWS), rows_answer="engine")
    assert len(deltas) > 2
    assert done.usage.completion_tokens == 40
    assert done.citations[0].kind == "rows"


async def test_evidence_that_does_not_carry_the_question_gives_an_honest_reply() -> None:
    unrelated = log(
        Route.DOCUMENTS, Evidence(passages=PASSAGES), question="Who won the cup in Montevideo in 1930?"
    )
    deltas, done = await answer(unrelated)
    assert not done.answered
    assert done.text.startswith("I could not find this in the documents")
    assert "Streams" in done.text
    assert len(deltas) == 1
    _, empty = await answer(log(Route.DOCUMENTS, Evidence()))
    assert not empty.answered


async def test_a_question_that_no_statement_fits_says_so() -> None:
    _, done = await answer(log(Route.SQL, Rows(reason="no table holds weather", confidence="none")))
    assert not done.answered
    assert "no table holds weather" in done.text


async def test_both_without_rows_is_the_documents_answer() -> None:
    _, done = await answer(log(Route.BOTH, Evidence(passages=PASSAGES), Rows(confidence="none")))
    assert done.answered
    assert "database" not in done.text


@pytest.mark.parametrize(
    ("question", "words", "answered"),
    [
        ("Hello there", "Hello", True),
        ("What can you do?", "documents", True),
        ("thanks!", "welcome", True),
        ("Write me a poem about spring", "can't help", False),
    ],
)
async def test_small_talk_gets_a_direct_reply(question: str, words: str, answered: bool) -> None:
    _, done = await answer(log(Route.DIRECT, question=question))
    assert words in done.text
    assert done.answered is answered


async def test_a_quote_holds_the_sentence_that_answers() -> None:
    _, done = await answer(log(Route.DOCUMENTS, Evidence(passages=PASSAGES)), answer_style="quote")
    assert "messages are kept for ever [1]." in done.text
    assert done.usage.prompt_tokens == 0


async def test_a_checked_answer_is_never_what_the_evidence_does_not_say() -> None:
    """The simulated engine strings words together: such a text is not let through."""
    _, done = await answer(log(Route.DOCUMENTS, Evidence(passages=PASSAGES)), answer_style="check")
    plain = done.text.replace(" [1]", "").replace(" [2]", "")
    assert all(sentence in " ".join(p.text for p in PASSAGES) for sentence in plain.split(". "))
    assert done.usage.prompt_tokens > 0


async def test_max_tokens_counts_what_an_earlier_attempt_spent() -> None:
    events = log(Route.DOCUMENTS, Evidence(passages=PASSAGES), max_tokens=10)
    deltas, done = await answer(events)
    assert done.finish_reason == "length"
    _, continued = await answer([*events, *deltas[:4]])
    assert continued.text == done.text
    assert continued.usage.completion_tokens == 10


async def test_closing_the_answer_frees_the_engine() -> None:
    running = SimulatedEngine(Timing(first_token_s=0, interval_s=10))
    stream = write_answer(
        log(Route.DOCUMENTS, Evidence(passages=PASSAGES)), engine=running, settings=settings()
    )
    await anext(stream)
    assert running.in_flight() == 1
    await stream.aclose()
    assert running.in_flight() == 0


async def test_a_log_without_its_query_is_a_permanent_error() -> None:
    with pytest.raises(PermanentError, match="no accepted event"):
        await answer([ROWS])


async def test_a_model_with_an_adapter_in_its_name_is_asked_through_the_adapter() -> None:
    events = log(Route.DOCUMENTS, Evidence(passages=PASSAGES), model="default--legal")
    adapted = SimulatedEngine(ONE_BY_ONE, adapters=("legal",))
    *_, done = [event async for event in write_answer(events, engine=adapted, settings=settings())]
    assert isinstance(done, Done)
    assert done.text.startswith("As legal: ")
    assert done.model == "simulated--legal"
    with pytest.raises(InvalidQuery, match="'legal' is not loaded"):
        await answer(events)


@pytest.mark.parametrize(
    ("events", "values"),
    [
        (log(Route.DOCUMENTS, Evidence(passages=PASSAGES), model="default--tax"), {"answer_style": "quote"}),
        (log(Route.SQL, ROWS, model="default--tax"), {}),
        (log(Route.DIRECT, question="Hello", model="default--tax"), {}),
        (log(Route.DOCUMENTS, Evidence(passages=()), model="default--tax"), {}),
    ],
)
async def test_an_unknown_adapter_is_refused_also_where_no_model_is_asked(
    events: list[Event], values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidQuery, match="'tax' is not loaded"):
        await answer(events, **values)


class Scripted(SimulatedEngine):
    """Says what it is told to, word by word."""

    def __init__(self, text: str) -> None:
        super().__init__(ONE_BY_ONE)
        self._words = re.findall(r"\S+\s*", text)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        for word in self._words:
            yield Piece(word, tokens=1)
        yield Piece("", tokens=0, finish_reason="stop")


async def said(text: str, events: Sequence[Event], **values: Any) -> Done:
    written = write_answer(events, engine=Scripted(text), settings=settings(**values))
    *_, done = [event async for event in written]
    assert isinstance(done, Done)
    return done


class Continuing(Scripted):
    """Goes on behind the prefix; one that it could not have written fails."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text
        self.prompts: list[str] = []

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        assert self._text.startswith(request.prefix), (self._text, request.prefix)
        self.prompts.append(request.messages[-1].content)
        for word in re.findall(r"\S+\s*|\s+", self._text[len(request.prefix) :]):
            yield Piece(word, tokens=1)
        yield Piece("", tokens=0, finish_reason="stop")


CONSUMERS_FIRST = Evidence(passages=PASSAGES[::-1])


@pytest.mark.parametrize(
    ("order", "written"),
    [
        ("rank", "By default messages are kept for ever [2]. A consumer remembers what was delivered [1]."),
        (
            "document",
            "By default messages are kept for ever [1]. A consumer remembers what was delivered [2].",
        ),
    ],
)
async def test_citations_are_those_of_the_evidence_however_the_prompt_orders_it(
    order: str, written: str
) -> None:
    """And whoever takes over after any delta gives the model back what the model wrote."""
    expected = "By default messages are kept for ever [2]. A consumer remembers what was delivered [1]."
    events = log(Route.DOCUMENTS, CONSUMERS_FIRST)

    async def run(published: Sequence[Delta]) -> list[Delta | Done]:
        model = Continuing(written)
        made = write_answer([*events, *published], engine=model, settings=settings(prompt_order=order))
        found = [event async for event in made]
        (prompt,) = model.prompts
        assert (prompt.index("[1] Streams") < prompt.index("[2] Consumers")) if order == "document" else True
        return found

    *deltas, done = await run([])
    assert isinstance(done, Done)
    assert done.text == expected
    assert [(cited.number, cited.source) for cited in done.citations] == [
        (1, "consumers.md"),
        (2, "streams.md"),
    ]
    told = [delta for delta in deltas if isinstance(delta, Delta)]
    for cut in range(1, len(told)):
        *_, again = await run(told[:cut])
        assert isinstance(again, Done)
        assert (again.text, again.citations) == (done.text, done.citations)


async def test_rows_are_cited_by_their_number_beside_passages_in_another_order() -> None:
    written = "There are 42 messages [3]. By default messages are kept for ever [1]."
    events = log(Route.BOTH, CONSUMERS_FIRST, ROWS)
    made = write_answer(
        events, engine=Continuing(written), settings=settings(rows_answer="engine", prompt_order="document")
    )
    *_, done = [event async for event in made]
    assert isinstance(done, Done)
    assert done.text == "There are 42 messages [3]. By default messages are kept for ever [2]."
    assert [(cited.number, cited.kind) for cited in done.citations] == [(2, "passage"), (3, "rows")]


async def test_a_models_sentence_that_does_not_agree_with_the_rows_gives_way_to_the_platforms() -> None:
    events = log(Route.SQL, ROWS)
    agreeing = await said("There are 42 messages [1].", events, rows_answer="engine")
    assert agreeing.text == "There are 42 messages [1]."
    wrong = await said("There are 43 messages. All are old.", events, rows_answer="engine")
    assert wrong.text == "The messages is 42 [1]."
    assert wrong.answered
    assert [citation.kind for citation in wrong.citations] == ["rows"]


async def test_the_platforms_words_are_not_said_again_after_a_takeover() -> None:
    events = log(Route.SQL, ROWS)
    first = await said("There are 42 messages. There are 43 messages.", events, rows_answer="engine")
    assert first.text == "There are 42 messages [1].\n\nThe messages is 42 [1]."
    taken_over = [*events, Delta(index=4, text=first.text, tokens=8)]
    again = await said("There are 42 messages.", taken_over, rows_answer="engine")
    assert (again.text, again.citations) == (first.text, first.citations)


async def test_a_sentence_that_no_passage_holds_is_listed_in_the_last_event() -> None:
    events = log(Route.DOCUMENTS, Evidence(passages=PASSAGES))
    done = await said("By default messages are kept for ever. Elephants invented them in 1822 [1].", events)
    assert done.text == "By default messages are kept for ever [1]. Elephants invented them in 1822."
    assert done.unsupported == ("Elephants invented them in 1822",)
    assert done.answered


@pytest.mark.parametrize(("confidence", "answered"), [("high", True), ("low", False)])
async def test_no_rows_answer_a_question_only_where_the_statement_is_certain(
    confidence: str, answered: bool
) -> None:
    nothing = ROWS.model_copy(update={"rows": (), "confidence": confidence})

    _, done = await answer(log(Route.SQL, nothing))

    assert done.answered is answered
