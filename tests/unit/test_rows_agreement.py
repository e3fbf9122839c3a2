"""A model's words about rows are let through only as far as they agree with the rows."""

import pytest

from contracts import Rows
from workers.generation.agreement import CheckedSentences, RowsAgreement

SALES = Rows(
    statement="SELECT name, total FROM sales",
    columns=("name", "total"),
    rows=(("Ann Smith", 1234.567), ("Bob", 42), ("Oslo Ltd", 0.25)),
)
AGREEMENT = RowsAgreement(SALES, question="What did each customer spend in 2023?")


@pytest.mark.parametrize(
    "sentence",
    [
        "Ann Smith spent 1,234.57 [1].",
        "Ann Smith spent 1234.6 and Bob 42.",
        "Ann Smith spent 1.2 thousand.",
        "There are three customers.",
        "In 2023 Bob spent 42.",
        "Oslo Ltd had a share of 25 %.",
        "The customers are Ann Smith, Bob and Oslo Ltd.",
    ],
)
def test_what_the_rows_say_is_let_through(sentence: str) -> None:
    assert AGREEMENT.holds(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Ann Smith spent 42 and Bob 1234.6.",
        "Bob spent 1234.567.",
        "Bob spent 43.",
        "Carla spent 42.",
        "There are four customers.",
        "In 2022 Bob spent 42.",
    ],
)
def test_a_number_or_name_that_the_rows_do_not_have_or_that_is_another_rows_is_not(sentence: str) -> None:
    assert not AGREEMENT.holds(sentence)


def test_a_date_may_be_said_in_words() -> None:
    rows = Rows(statement="SELECT", columns=("last_order",), rows=(("2023-04-05",),))
    agreement = RowsAgreement(rows, question="When was the last order?")
    assert agreement.holds("The last order was on 5 April 2023.")
    assert not agreement.holds("The last order was on 5 May 2023.")
    assert not agreement.holds("The last order was on 6 April 2023.")


def test_sentences_leave_whole_until_one_disagrees() -> None:
    checked = CheckedSentences(AGREEMENT)
    pieces = ["Bob spe", "nt 42. Ann", " Smith spent 9", "9. Oslo Ltd", " is there."]
    assert [checked.feed(piece) for piece in pieces] == ["", "Bob spent 42. ", "", "", ""]
    assert checked.disagreed
    assert checked.finish() == ""
