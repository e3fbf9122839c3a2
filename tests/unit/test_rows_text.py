"""Rows in words."""

import pytest

from contracts import Rows
from contracts.errors import Problem
from workers.generation.rows_text import rows_text


def rows(columns: tuple[str, ...], *values: tuple[object, ...], **more: object) -> Rows:
    return Rows.model_validate({"statement": "SELECT", "columns": columns, "rows": values, **more})


@pytest.mark.parametrize(
    ("given_rows", "expected"),
    [
        (rows(("count",), (42,)), "The count is 42 [1]."),
        (rows(("open_tickets",), (0,)), "The open tickets is 0 [1]."),
        (rows(("avg(price)",), (2.5,)), "The average price is 2.5 [1]."),
        (rows(("tickets_count",), (7,)), "The number of tickets is 7 [1]."),
        (rows(("total",), (0.1 + 0.2,)), "The total is 0.3 [1]."),
        (rows(("max_price",), (None,)), "The database holds no value for max price [1]."),
        (rows(("name", "total"), ("Ann", 3)), "Name: Ann, total: 3 [1]."),
        (rows(("name",), ("Ann",), ("Bob",)), "Name (2): Ann, Bob [1]."),
        (rows(("name",)), "No rows match: the database holds nothing for this question [1]."),
    ],
)
def test_few_values_become_a_sentence(given_rows: Rows, expected: str) -> None:
    assert rows_text(given_rows, citation=" [1]") == expected


def test_many_rows_become_a_table_that_says_how_many_there_are() -> None:
    text = rows_text(rows(("id", "na|me"), *[(n, f"n|{n}") for n in range(12)]), max_rows=2)
    assert text.splitlines() == [
        "12 rows match; these are the first 2:",
        "",
        "| id | na/me |",
        "| --- | --- |",
        "| 0 | n/0 |",
        "| 1 | n/1 |",
    ]


def test_a_truncated_result_never_looks_complete() -> None:
    assert rows_text(rows(("id",), (1,), (2,), truncated=True)).startswith("More than 2 rows match")
    assert rows_text(rows(("id",), (1,), truncated=True)).startswith("More than 1 rows match")


def test_doubt_and_failure_are_said() -> None:
    assert "not certain" in rows_text(rows(("count",), (1,), confidence="low"))
    assert "may not fit" in rows_text(rows(("name",), confidence="low"))
    assert rows_text(Rows(reason="no table holds weather.", confidence="none")) == (
        "I could not turn this question into a database query: no table holds weather."
    )
    problem = Problem(type="t", title="A service is down", status=503, detail="d", code="c", remedy="r")
    assert rows_text(Rows(problem=problem)) == "The database could not be asked: A service is down."
