"""The planner on databases of ours that differ in shape from the shop: the rows must be right."""

from pathlib import Path

from evals.sql import evaluate, summary

WORLDS = Path(__file__).parents[1] / "worlds"


async def test_most_questions_are_answered_and_hardly_a_confident_answer_is_wrong() -> None:
    outcomes = await evaluate(WORLDS)
    report = summary(outcomes)
    wrong = [o.question.question for o in outcomes if o.answer.confidence == "high" and not o.correct]
    assert report["n"] == len(outcomes) > 190
    assert sum(o.correct for o in outcomes) >= 0.82 * len(outcomes)
    assert sum(o.answer.confidence == "high" for o in outcomes) >= 0.68 * len(outcomes)
    assert len(wrong) <= 4, wrong
