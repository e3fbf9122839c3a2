"""Candidates of the planner and of a language model behind HTTP, over a real PostgreSQL: votes and repair."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import asyncpg
import pytest
import shop
from scripted_engine import Script, scripted

from contracts import Rows
from contracts.errors import DependencyUnavailable
from workers.catalogue.introspection import introspect
from workers.catalogue.linking import SchemaIndex
from workers.sql.agent import answer
from workers.sql.completion import open_completion
from workers.sql.database import Database
from workers.sql.settings import SqlSettings

IN_OSLO = "select count(*) from customers where city = 'Oslo'"
ALL = "select count(*) from customers"
UNSURE = "How many customers dwell in Oslo?"
UNPLANNED = "Ein Satz über Bestellungen am Wochenende?"


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    owner = await asyncpg.connect(postgres_dsn)
    await owner.execute(shop.SQL)
    await owner.close()
    database = await Database.connect(postgres_dsn, statement_timeout_s=2.0, pool_size=3)
    yield database
    await database.close()


@pytest.fixture
async def index(database: Database, postgres_dsn: str) -> SchemaIndex:
    connection = await asyncpg.connect(postgres_dsn)
    model = await introspect(connection)
    await connection.close()
    return SchemaIndex(model)


async def asked(
    script: Script, database: Database, index: SchemaIndex, question: str, *, candidates: int = 3
) -> Rows:
    settings = SqlSettings(sql_engine="openai", sql_engine_url=script.url, sql_engine_timeout_s=5)
    completion = await open_completion(settings)
    assert completion is not None
    try:
        return await answer(
            question, database=database, index=index, engine=completion, candidates=candidates
        )
    finally:
        await completion.close()


async def test_a_first_statement_that_agrees_with_the_planner_is_believed_and_no_more_are_asked_for(
    database: Database, index: SchemaIndex
) -> None:
    with scripted(f"```sql\n{IN_OSLO}\n```") as script:
        rows = await asked(script, database, index, UNSURE)
    assert (rows.rows, rows.confidence, len(script.asked)) == (((2,),), "high", 1)


async def test_the_planner_wins_with_one_of_three_statements_against_two_that_differ(
    database: Database, index: SchemaIndex
) -> None:
    with scripted(ALL, IN_OSLO, "select 7 as n from customers limit 1") as script:
        rows = await asked(script, database, index, UNSURE)
    assert (rows.rows, rows.confidence, len(script.asked)) == (((2,),), "high", 3)
    assert [request["temperature"] for request in script.asked] == [0.0, 0.7, 0.7]


async def test_the_majority_of_the_model_is_taken_over_the_planner_and_said_to_be_uncertain(
    database: Database, index: SchemaIndex
) -> None:
    with scripted(ALL) as script:
        rows = await asked(script, database, index, UNSURE)
    assert (rows.rows, rows.confidence) == (((4,),), "low")
    assert "different rows" in rows.reason


async def test_two_statements_that_find_nothing_prove_nothing(database: Database, index: SchemaIndex) -> None:
    with scripted("select first_name, last_name from customers where city = 'Nowhere'") as script:
        rows = await asked(script, database, index, "Which customers dwell in 'Bodø'?")
    assert rows.confidence != "high"


async def test_an_error_of_the_database_goes_back_once_with_the_statement(
    database: Database, index: SchemaIndex
) -> None:
    wrong = "select count(*) from sales.orders where order_date = 'weekend'"
    right = "select count(*) from sales.orders where extract(dow from order_date) in (0, 6)"
    with scripted(wrong, right) as script:
        rows = await asked(script, database, index, UNPLANNED, candidates=1)
    assert (rows.rows, rows.confidence, len(script.asked)) == (((1,),), "low", 2)
    assert wrong in script.prompts[1]
    assert "invalid input syntax" in script.prompts[1]


async def test_a_statement_that_fails_twice_is_an_answer_without_rows_that_says_why(
    database: Database, index: SchemaIndex
) -> None:
    with scripted("select count(*) from sales.orders where order_date = 'weekend'") as script:
        rows = await asked(script, database, index, UNPLANNED, candidates=1)
    assert (rows.statement, rows.confidence, len(script.asked)) == (None, "none", 2)
    assert "weekend" in rows.reason


async def test_an_uncertain_answer_is_given_while_the_model_is_away(
    database: Database, index: SchemaIndex
) -> None:
    with scripted("", status=503) as script:
        rows = await asked(script, database, index, UNSURE)
        assert (rows.rows, rows.confidence) == (((2,),), "low")
        assert "does not answer" in rows.reason
        with pytest.raises(DependencyUnavailable):
            await asked(script, database, index, UNPLANNED)


async def test_a_worker_that_starts_before_its_model_uses_it_once_it_is_there(
    database: Database, index: SchemaIndex
) -> None:
    with scripted("") as gone:
        port = int(gone.url.split(":")[2].partition("/")[0])
    completion = await open_completion(SqlSettings(sql_engine="openai", sql_engine_url=gone.url))
    assert completion is not None
    alone = await answer(UNSURE, database=database, index=index, engine=completion)
    with scripted(IN_OSLO, port=port):
        both = await answer(UNSURE, database=database, index=index, engine=completion)
        await completion.close()
    assert (alone.rows, alone.confidence, both.confidence) == (((2,),), "low", "high")


async def test_the_key_of_the_generation_workers_goes_to_their_server_only(
    database: Database, index: SchemaIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AF_ENGINE_API_KEY", "theirs")
    with scripted(IN_OSLO) as own:
        await asked(own, database, index, UNSURE)
    with scripted(IN_OSLO) as shared, shared_engine(shared, monkeypatch):
        completion = await open_completion(SqlSettings(sql_engine="openai"))
        assert completion is not None
        await completion.statement("x", max_tokens=5)
        await completion.close()
    assert (own.keys, shared.keys) == ([""], ["Bearer theirs"])


@contextmanager
def shared_engine(script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AF_ENGINE_URL", script.url)
    yield
    monkeypatch.delenv("AF_ENGINE_URL")
