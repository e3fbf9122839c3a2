"""Whether evidence carries a question, and which sentence answers it."""

from workers.generation import sentences
from workers.generation.grounding import carried, not_found
from workers.generation.quoting import faithful, quote, rest_of_quote
from workers.generation.support import Source, Support

SOURCES = [
    Source(1, "Mills", "The mill on the Aln was built by Peter Crane in 1807. It burned down in 1922."),
    Source(2, "Bridges", "The old bridge has five arches. Its toll house is gone."),
]
SUPPORT = Support(SOURCES)


def test_a_question_on_the_subject_is_carried_and_one_beside_it_is_not() -> None:
    assert carried("Who built the mill on the Aln?", SUPPORT) > 0.6
    assert carried("What is the capital of Mongolia?", SUPPORT) < 0.1
    assert carried("Who built the mill in Lisbon?", SUPPORT) < carried("Who built the mill?", SUPPORT)
    assert carried("Who built the mill?", Support([])) == 0.0


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
