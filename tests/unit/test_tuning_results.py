from pathlib import Path

import pytest

from askfleet.tuning.measurement import Answer, Outcome
from askfleet.tuning.questions import Question
from askfleet.tuning.results import ResultsFile, Row, figures_of, is_right
from contracts.errors import Misconfigured


def row(key: str, reason: str = "too slow") -> Row:
    return Row(key=key, values=(("slots", "1"),), at="2026-01-01T00:00:00", machine="here", reason=reason)


ASKED = Question(id="1", question="When?", answers=("in 1807",))
UNANSWERABLE = Question(id="2", question="Who?")


def answer(number: str, text: str, **fields: object) -> Answer:
    given = {"id": number, "text": text, "answered": True, "model": "m", "first_text_ms": 10.0, **fields}
    return Answer.model_validate(given)


def test_an_answer_is_right_that_holds_an_accepted_text_or_refuses_what_has_none():
    assert is_right(ASKED, answer("1", "Built In\n1807 [1]."))
    assert not is_right(ASKED, answer("1", "Built in 1808."))
    assert not is_right(ASKED, answer("1", "Not found: in 1807", answered=False))
    assert is_right(UNANSWERABLE, answer("2", "I could not find it.", answered=False))
    assert not is_right(UNANSWERABLE, answer("2", "Peter."))
    assert not is_right(UNANSWERABLE, answer("2", "", answered=False, problem="context-overflow"))


def test_figures_count_what_came_and_take_times_only_where_a_model_was_asked():
    questions = [Question(id=str(number), question="When?", answers=("in 1807",)) for number in range(5)]
    answers = [
        answer("0", "in 1807", first_text_ms=100, prompt_tokens=50, cached_tokens=10, tokens=20),
        answer("1", "in 1807", first_text_ms=300, prompt_tokens=150, cached_tokens=30, tokens=20),
        answer("2", "in 1808", first_text_ms=200, prompt_tokens=100, cached_tokens=20, tokens=20),
        answer("3", "not found", first_text_ms=0.1, answered=False, model=""),
        answer("4", "", answered=False, model="", problem="context-overflow", first_text_ms=None),
    ]
    outcome = Outcome(ready_s=2.0, asked_s=2.0, token_ms=(1.0, 2.0, 9.0))
    figures = figures_of(questions, answers, outcome, memory_mib=7.0)
    assert (figures.right, figures.refused, figures.broken, figures.quality) == (2, 1, 1, 0.4)
    assert (figures.first_ms, figures.slow_first_ms, figures.token_ms) == (200.0, 300.0, 2.0)
    assert (figures.answers_per_s, figures.tokens_per_s) == (2.0, 30.0)
    assert (figures.prompt_tokens, figures.cached_share, figures.memory_mib) == (100.0, 0.2, 7.0)


def test_results_are_kept_as_they_come_and_the_later_of_two_counts(tmp_path: Path):
    results = ResultsFile(tmp_path / "new" / "results.jsonl")
    assert results.rows() == {}
    results.add(row("a"))
    results.add(row("b"))
    results.add(row("a", "out of memory"))
    assert {key: found.reason for key, found in results.rows().items()} == {
        "a": "out of memory",
        "b": "too slow",
    }


def test_a_line_that_a_kill_cut_off_costs_that_line_only(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    results = ResultsFile(path)
    results.add(row("a"))
    with path.open("a") as lines:
        lines.write(row("b").model_dump_json()[:40])
    assert list(results.rows()) == ["a"]
    results.add(row("c"))
    assert list(results.rows()) == ["a", "c"]


def test_a_file_of_something_else_is_refused(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"id": 1}\n{"id": 2}\n')
    with pytest.raises(Misconfigured, match="line 1 is not a result"):
        ResultsFile(path).rows()
