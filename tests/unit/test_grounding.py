"""Whether evidence carries a question, and which sentence answers it."""

import pytest

from workers.generation import sentences
from workers.generation.grounding import carried, not_found
from workers.generation.quoting import faithful, quote, rest_of_quote
from workers.generation.support import Source, Support
from workers.generation.terms import terms

SOURCES = [
    Source(1, "Mills", "The mill on the Aln was built by Peter Crane in 1807. It burned down in 1922."),
    Source(2, "Bridges", "The old bridge has five arches. Its toll house is gone."),
]
SUPPORT = Support(SOURCES)


NEAR = (0.9, 0.3)
RANKS = (0.032, 0.031)


@pytest.mark.parametrize("scores", [NEAR, RANKS])
def test_a_question_on_the_subject_is_carried_and_one_beside_it_is_not(scores: tuple[float, ...]) -> None:
    assert carried("Who built the mill on the Aln?", SUPPORT, scores) > 0.6
    assert carried("What is the capital of Mongolia?", SUPPORT, scores) < 0.1
    assert carried("Who built the mill?", Support([]), ()) == 0.0


def test_a_passage_far_in_meaning_carries_no_answer_whatever_words_it_shares() -> None:
    assert carried("Who built the mill on the Aln?", SUPPORT, (0.1, 0.05)) < 0.2


def test_a_name_that_the_near_passage_does_not_hold_takes_the_answer_away() -> None:
    assert carried("Who built the mill in Lisbon?", SUPPORT, NEAR) < 0.5
    assert carried("Did Crane build the bridge?", SUPPORT, (0.2, 0.8)) < 0.5
    assert carried("Was the mill burned down in 1932?", SUPPORT, NEAR) < 0.5
    assert carried("Was the mill burned down in 1922?", SUPPORT, NEAR) > 0.8


def test_a_name_that_the_rows_answer_for_is_not_missed_in_the_documents() -> None:
    asked = "How many agents work in Dublin, and who built the mill?"
    assert carried(asked, SUPPORT, NEAR) < 0.5
    assert carried(asked, SUPPORT, NEAR, beside="SELECT count(*) WHERE city = 'Dublin'") > 0.8


def test_a_misspelled_name_is_the_name() -> None:
    source = [Source(1, "Mills", "The mill was built by Margaret Hollander in 1807.")]
    assert carried("What did Margaret Holander build?", Support(source), (0.9,)) > 0.8


def test_the_reply_names_what_was_searched() -> None:
    assert "Mills; Bridges" in not_found(SOURCES)
    assert "no passage" in not_found([])


def test_the_sentence_that_answers_ranks_first() -> None:
    assert SUPPORT.rank("When was the mill built?")[0].text.startswith("The mill on the Aln")
    assert SUPPORT.rank("How many arches has the bridge?")[0].text == "The old bridge has five arches."
    assert quote(SUPPORT.rank("How many arches has the bridge?"))[0].text.startswith("The old bridge")


def test_a_quote_of_an_announcement_holds_what_it_announces_and_a_heading_is_no_answer() -> None:
    text = "## Limits of a stream\nThe limits of a stream are:\n- its age\n- its size\n\nStreams have names."
    ranked = Support([Source(1, "Streams", text)]).rank("What are the limits of a stream?")
    assert rest_of_quote(quote(ranked)[:1], "")[0].startswith(
        "The limits of a stream are:\n- its age\n- its size"
    )


def test_a_models_sentence_is_faithful_only_in_the_words_of_the_best_sentence() -> None:
    question = "Who built the mill?"
    best = SUPPORT.rank(question)[0]
    assert faithful("The mill on the Aln was built by Peter Crane in 1807.", question, best, SUPPORT)
    assert not faithful("The mill was built by Peter Smith in 1807.", question, best, SUPPORT)
    assert not faithful("The mill was built in 1922.", question, best, SUPPORT)
    assert not faithful("The mill was built.", question, best, SUPPORT)


def test_sentences_end_where_people_end_them() -> None:
    text = (
        'Dr. A. Smith paid 3.5 dollars, e.g. for tea. He left! "Why?" Nobody knows.\n- One\n- Two\n1. First'
    )
    assert sentences.split(text) == [
        "Dr. A. Smith paid 3.5 dollars, e.g. for tea.",
        "He left!",
        '"Why?"',
        "Nobody knows.",
        "- One",
        "- Two",
        "1. First",
    ]
    assert sentences.split("これは一。これは二。") == ["これは一。", "これは二。"]


BASIN = Source(
    1,
    "Tarn",
    "The Tarn drains a wide basin. It covers nine provinces. Anna Berg mapped it first, in 1871. "
    "Later surveys were made by an office in the capital.",
)


def test_the_sentence_of_the_kind_that_is_asked_for_ranks_first() -> None:
    support = Support([BASIN])
    assert support.rank("Who mapped the Tarn first?")[0].text.startswith("Anna Berg")
    assert support.rank("How many provinces does the basin cover?")[0].text == "It covers nine provinces."


def test_a_quote_that_begins_with_a_pronoun_stands_behind_what_it_points_to() -> None:
    quoted = quote(Support([BASIN]).rank("How many provinces does it cover?"))
    assert [sentence.text for sentence in quoted][:2] == [
        "The Tarn drains a wide basin.",
        "It covers nine provinces.",
    ]


def test_what_two_passages_say_in_the_same_words_is_quoted_once() -> None:
    twice = [
        Source(1, "Mills", "The mill burned down in 1922."),
        Source(2, "Old", "The mill burned down in 1922"),
    ]
    assert len(quote(Support(twice).rank("When did the mill burn down?"))) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("septicemia", "septicemic"),
        ("wrote", "written"),
        ("complexity", "complex"),
        ("financing", "financial"),
    ],
)
def test_forms_of_one_word_are_the_same_term(first: str, second: str) -> None:
    assert terms(first) == terms(second)


def test_different_words_stay_different() -> None:
    pairs = [
        ("international", "internet"),
        ("organ", "organize"),
        ("port", "portable"),
    ]
    assert [pair for pair in pairs if terms(pair[0]) == terms(pair[1])] == []
