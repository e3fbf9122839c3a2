"""Figures of retrieval from what was found."""

import json
from pathlib import Path

import pytest

from contracts.errors import Misconfigured
from evals.ablation import table
from evals.corpora import Labelled, read_corpora
from evals.retrieval_figures import Asked, as_text, rank, separation, summary
from workers.vectors.ranking import Candidate

PASSAGES = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}


def candidate(chunk: str, meaning: float, text: str = "nothing of it") -> Candidate:
    return Candidate(f"tenant/{chunk}", text, meaning, None)


def asked(
    gold: str, own: list[Candidate], foreign: tuple[Candidate, ...] = (), *, corpus: str = "one"
) -> Asked:
    labelled = Labelled("1", "pumps?", frozenset({gold} if gold else ()), (), (), bool(gold))
    return Asked(corpus, labelled, tuple(own), foreign, PASSAGES)


def test_a_passage_of_several_chunks_takes_one_place() -> None:
    found = [candidate("a1", 0.9), candidate("a2", 0.8), candidate("b1", 0.7), candidate("c1", 0.6)]
    assert [rank(asked(gold, found)) for gold in ("a", "b", "c", "missing")] == [1, 2, 3, 0]


def test_hits_and_reciprocal_ranks_count_only_questions_with_an_answer() -> None:
    found = [candidate("a1", 0.9), candidate("b1", 0.7)]
    figures = summary([asked("a", found), asked("b", found), asked("", found)])["one"]
    assert isinstance(figures, dict)
    assert {name: figures[name] for name in ("hit@1", "hit@5", "mrr", "n")} == {
        "hit@1": 0.5,
        "hit@5": 1.0,
        "mrr": 0.75,
        "n": 2,
    }


def test_a_score_that_tells_questions_without_an_answer_has_an_auc_of_1() -> None:
    right, wrong = candidate("a1", 0.9, "pumps"), candidate("b1", 0.1)
    told = separation([asked("a", [right], (wrong,)), asked("a", [right], (wrong,))])
    assert told is not None
    assert (told.auc, told.refused, told.unanswerable, told.refused_wrongly) == (1.0, 2, 2, 0)
    mixed = separation([asked("a", [right], (wrong,)), asked("a", [wrong], (right,))])
    assert mixed is not None
    assert (mixed.auc, mixed.refused, mixed.refused_wrongly) == (0.5, 1, 1)


def test_one_corpus_alone_is_not_compared_with_another() -> None:
    assert separation([asked("a", [candidate("a1", 0.9)])]) is None
    assert any("nothing to compare" in line for line in as_text([asked("a", [candidate("a1", 0.9)])]))


def test_the_text_lists_every_question_whose_passage_is_not_first() -> None:
    found = [candidate("a1", 0.9), candidate("b1", 0.7)]
    lines = list(as_text([asked("a", found), asked("b", found), asked("c", found)]))
    assert lines[:2] == ["one: rank 2: pumps?", "one: rank -: pumps?"]


def test_the_ablation_has_a_line_for_each_order_and_one_for_weights_chosen_elsewhere() -> None:
    found = [candidate("a1", 0.9), candidate("b1", 0.7)]
    lines = list(table([asked("a", found), asked("b", found, corpus="two")]))
    (chosen,) = [line for line in lines if line.startswith("weights chosen")]
    assert "1.000   1.000  1.0000" in chosen
    assert "0.000   1.000  0.5000" in chosen
    assert sum(line.startswith(("by meaning", "by words", "reciprocal")) for line in lines) == 3


def write(folder: Path, name: str, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines))


PASSAGE = json.dumps({"id": 1, "text": "A pump."})
ASKED = json.dumps({"id": "q", "question": "What?", "gold_ids": [1]})


def test_a_folder_that_is_a_corpus_itself_is_read(tmp_path: Path) -> None:
    write(tmp_path / "pumps", "corpus.jsonl", PASSAGE)
    write(tmp_path / "pumps", "questions.jsonl", ASKED, "")
    for folder in (tmp_path, tmp_path / "pumps"):
        (corpus,) = read_corpora(folder)
        assert corpus.name == "pumps"
        assert corpus.questions[0].gold == {corpus.passages[0].id}


@pytest.mark.parametrize(
    ("passage", "question", "said"),
    [
        (PASSAGE, None, r"questions\.jsonl is missing"),
        ('{"id": 1}', ASKED, r"corpus\.jsonl, line 1: there is no 'text'"),
        (PASSAGE, "{", r"questions\.jsonl, line 1: "),
        (PASSAGE, "[1]", r"questions\.jsonl, line 1: "),
    ],
)
def test_a_corpus_that_is_not_as_it_should_be_is_named_by_file_and_line(
    tmp_path: Path, passage: str, question: str | None, said: str
) -> None:
    write(tmp_path / "pumps", "corpus.jsonl", passage)
    if question is not None:
        write(tmp_path / "pumps", "questions.jsonl", question)
    with pytest.raises(Misconfigured, match=said):
        read_corpora(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"There is no folder .*nowhere"):
        read_corpora(tmp_path / "nowhere")
    with pytest.raises(Misconfigured, match="There is no corpus in "):
        read_corpora(tmp_path)
