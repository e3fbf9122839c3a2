"""The corpus of hostile statements against the guard."""

import pytest
from hostile import STATEMENTS
from shop import MODEL

from contracts.errors import StatementRefused
from workers.sql.guard import guard


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    assert len(STATEMENTS) == len(set(STATEMENTS)) >= 300


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: ascii(statement[:60]))
def test_the_guard_refuses_each_hostile_statement_with_a_reason(statement: str) -> None:
    with pytest.raises(StatementRefused) as refused:
        guard(statement, MODEL, row_limit=10)
    assert len(refused.value.detail) > 10
