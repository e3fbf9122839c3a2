"""Which questions a checked example query answers, and with which literals."""

from dataclasses import replace

import pytest
import shop

from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import VerifiedQuery
from workers.sql.candidates import prompt_for
from workers.sql.verified import verified_candidate

BIG_SPENDERS = VerifiedQuery(
    "How many big spenders live in Oslo?",
    "SELECT COUNT(*) FROM customers WHERE city = 'Oslo' AND customer_id IN "
    "(SELECT customer_id FROM sales.orders GROUP BY customer_id HAVING COUNT(*) > 3)",
    also=("Number of whales in Oslo",),
)
TOP = VerifiedQuery(
    "Who are our 5 best customers?", "SELECT first_name FROM customers ORDER BY customer_id LIMIT 5"
)
SINCE = VerifiedQuery(
    "What came in since 2024-01-05?", "SELECT order_id FROM sales.orders WHERE order_date >= '2024-01-05'"
)
INDEX = SchemaIndex(replace(shop.MODEL, verified=(BIG_SPENDERS, TOP, SINCE)))


@pytest.mark.parametrize(
    "question",
    [
        "How many big spenders live in Oslo?",
        "how many big spender lives in oslo",
        "Please tell me how many big spenders live in Oslo.",
        "the number of whales in Oslo",
    ],
)
def test_the_same_question_in_other_words_of_asking_has_the_checked_statement(question: str) -> None:
    found = verified_candidate(question, INDEX)
    assert found is not None
    assert found.sql == BIG_SPENDERS.sql


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("How many big spenders live in Bergen?", "city = 'Bergen' AND"),
        ("How many whales in lisbon?", None),
        ("Number of whales in lisbon", "city = 'Lisbon' AND"),
        ("Who are our 12 best customers?", "LIMIT 12"),
        ("What came in since 2023-11-30?", ">= '2023-11-30'"),
    ],
)
def test_another_literal_takes_the_place_of_the_one_in_the_checked_question(
    question: str, part: str | None
) -> None:
    found = verified_candidate(question, INDEX)
    assert (found.sql if found else None) is None if part is None else part in (found.sql if found else "")


@pytest.mark.parametrize(
    "question",
    [
        "How many big spenders live in Norway?",  # a value of another column
        "How many big spenders live in Atlantis?",  # no value at all
        "How many big spenders do not live in Oslo?",
        "How many big spenders live in Oslo or Bergen?",
        "Who are our worst customers?",
        "Who are our 5% best customers?",
        "What came in until 2024-01-05?",
        "What came in since 05/01/2024?",
    ],
)
def test_a_question_that_differs_in_more_than_a_safe_literal_has_no_checked_statement(question: str) -> None:
    assert verified_candidate(question, INDEX) is None


def test_the_prompt_shows_the_checked_queries_that_are_most_like_the_question() -> None:
    more = tuple(VerifiedQuery(f"Question {n} on stock?", f"SELECT {n}") for n in range(9))
    index = SchemaIndex(replace(shop.MODEL, verified=(*more, BIG_SPENDERS)))
    prompt = prompt_for("How many big spenders live in Paris?", index)
    assert BIG_SPENDERS.sql in prompt
    assert prompt.count("SQL: SELECT") == 3


def test_the_prompt_names_the_stored_values_that_the_question_speaks_of() -> None:
    assert "'Oslo' is a value of public.customers.city" in prompt_for("Who lives in oslo?", INDEX)
