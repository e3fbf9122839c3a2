"""How answers are judged, and the questions that must be refused."""

from askfleet.answer_judge import CitedSentence, cited_sentences, contains, recall, supported
from contracts.document import Document
from evals.corpora import Corpus, Labelled
from evals.perturbation import perturbed

PASSAGES = {
    1: "Mills The mill on the Aln was built by Peter Crane in 1807.",
    2: "Bridges It has five arches.",
}


def test_an_answer_contains_a_span_whatever_its_case_and_markers() -> None:
    assert contains("It was built by peter\nCrane [1].", ["Peter Crane"])
    assert not contains("It was built by Crane.", ["Peter Crane"])
    assert not contains("Anything.", [])
    assert recall("The mill was built by Crane [1].", ["Crane built a bridge"]) == 2 / 3


def test_each_run_of_markers_cites_what_stands_in_front_of_it() -> None:
    assert cited_sentences("The mill is old [1]. It has arches [1][2]. Nothing here.") == [
        CitedSentence("The mill is old", (1,)),
        CitedSentence("It has arches", (1, 2)),
    ]


def test_a_citation_holds_only_with_the_words_and_the_numbers() -> None:
    assert supported(CitedSentence("The mill was built in 1807", (1,)), PASSAGES)
    assert not supported(CitedSentence("The mill was built in 1808", (1,)), PASSAGES)
    assert not supported(CitedSentence("Elephants built it in 1807", (1,)), PASSAGES)
    assert not supported(CitedSentence("The mill was built in 1807", (3,)), PASSAGES)


def _asked(number: int, question: str) -> Labelled:
    gold = frozenset({f"d{number}"})
    return Labelled(str(number), question, gold, ("x",), ("x",), answerable=True)


def test_a_perturbed_question_names_what_its_passages_do_not_know() -> None:
    corpus = Corpus(
        "towns",
        (
            Document(id="d1", title="Aln", content=b"UGV0ZXIgQ3JhbmU="),
            Document(id="d2", title="Oslo", content=b"QW5uYSBCZXJn"),
        ),
        (_asked(1, "What did Peter Crane build?"), _asked(2, "Where did Anna Berg live?"), _asked(3, "Why?")),
    )
    assert [asked.question for asked in perturbed(corpus)] == [
        "What did Anna Berg build?",
        "Where did Peter Crane live?",
    ]
    assert not any(asked.answerable for asked in perturbed(corpus))
