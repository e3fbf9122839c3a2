"""The corpus of hostile statements and questions against the guard and what stands before it."""

import pytest
from hostile import STATEMENTS, questions
from shop import MODEL

from contracts.errors import StatementRefused
from workers.sql.guard import guard
from workers.sql.intent import refusal


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    assert (
        sum(map(len, STATEMENTS.values())) == len({s for group in STATEMENTS.values() for s in group}) >= 300
    )


@pytest.mark.parametrize("kind", STATEMENTS)
def test_the_guard_refuses_each_hostile_statement_with_a_reason(kind: str) -> None:
    passed = [statement for statement in STATEMENTS[kind] if not _reason(statement)]
    assert passed == []


def _reason(statement: str) -> str:
    try:
        guard(statement, MODEL, row_limit=10)
    except StatementRefused as refused:
        return refused.detail
    return ""


@pytest.mark.parametrize("question", [item.question for item in questions("refused")])
def test_a_question_that_wants_a_change_is_told_that_nothing_is_changed(question: str) -> None:
    assert refusal(question)


@pytest.mark.parametrize(
    "question",
    [
        "Which orders were deleted last month?",
        "Select the names of customers from Oslo",
        "Add up the prices of the products",
        "Show the create and update dates of all orders",
        "Create a list of all customers",
        "Drop rate by month",
        "What is the update date of the order 11?",
        "How many customers changed their address?",
        "List the users, their roles and grants",
        "Which products are in the set of the Lamp?",
        "When was the account locked?",
    ],
)
def test_a_question_about_changes_is_a_question(question: str) -> None:
    assert refusal(question) is None
