"""Introspection, the read-only role and answers, on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
import shop

from askfleet.embedded.postgres import PostgresServer
from contracts.errors import DependencyUnavailable, Misconfigured, SchemaChanged
from contracts.job import EvidenceJob, LogPosition
from workers.catalogue.document import dump, load
from workers.catalogue.introspection import SamplingLimits, introspect
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import SemanticModel, VerifiedQuery
from workers.catalogue.revision import differences, merge
from workers.sql.agent import answer
from workers.sql.database import Database, create_reader_role, isolate_tenants
from workers.sql.failures import StatementFailed, StatementTimeout
from workers.sql.handler import handle

TURNOVER = VerifiedQuery(
    "What is our turnover?",
    "select sum(price * quantity) from order_lines "
    "join orders using (order_id) join products using (product_id)",
)
ROLE, PASSWORD = "shop_reader", "only for tests"


@pytest.fixture
async def owner(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(shop.SQL)
    yield connection
    await connection.close()


@pytest.fixture
async def reader_dsn(owner: asyncpg.Connection, postgres_dsn: str, postgres_server: PostgresServer) -> str:
    await create_reader_role(postgres_dsn, ROLE, PASSWORD, schemas=("public", "sales"))
    await isolate_tenants(postgres_dsn, "orders", schema="sales")
    name = await owner.fetchval("select current_database()")
    return postgres_server.dsn_of(name, user=ROLE, password=PASSWORD)


@pytest.fixture
async def database(reader_dsn: str) -> AsyncIterator[Database]:
    database = await Database.connect(reader_dsn, statement_timeout_s=1.0, pool_size=2)
    yield database
    await database.close()


@pytest.fixture
async def model(owner: asyncpg.Connection) -> SemanticModel:
    return await introspect(owner)


async def test_tables_views_and_mixed_case_names_are_found_in_all_schemas(model: SemanticModel) -> None:
    keys = {entity.key for entity in model.entities}
    assert {"public.customers", "sales.orders", "public.open_orders", "public.Gift Cards"} <= keys
    cards = model.by_key["public.Gift Cards"]
    assert cards.name == "gift cards"
    assert cards.primary_key == ("cardId",)


async def test_comments_keys_values_and_display_columns_are_read(model: SemanticModel) -> None:
    customers, products = model.by_key["public.customers"], model.by_key["public.products"]
    assert customers.description == "People who have ordered"
    assert customers.display == ("first_name", "last_name")
    category, price = products.column("category"), products.column("price")
    assert category is not None
    assert category.values == ("Furniture", "Lighting")
    assert price is not None
    assert (price.kind, price.role, price.unit) == ("number", "measure", "euros")


async def test_declared_and_implied_joins_are_told_apart(model: SemanticModel) -> None:
    kinds = {(join.left, join.right): join.kind for join in model.joins}
    assert kinds["sales.orders", "public.customers"] == "foreign key"
    assert kinds["public.Gift Cards", "public.customers"] == "implied"


async def test_secrets_are_hidden_and_not_sampled(model: SemanticModel) -> None:
    column = model.by_key["public.customers"].column("password_hash")
    assert column is not None
    assert column.hidden
    assert column.values == ()


async def test_only_the_asked_schemas_and_as_many_values_are_read(owner: asyncpg.Connection) -> None:
    model = await introspect(owner, schemas=["public"], limits=SamplingLimits(values=1))
    assert {entity.schema for entity in model.entities} == {"public"}
    city = model.by_key["public.customers"].column("city")
    assert city is not None
    assert city.values == ("Bergen",)


async def test_the_model_survives_its_file(model: SemanticModel) -> None:
    assert load(dump(model)) == model


async def test_a_persons_edits_survive_a_changed_schema(
    owner: asyncpg.Connection, model: SemanticModel
) -> None:
    products = replace(model.by_key["public.products"], synonyms=("articles",), name="goods")
    rest = tuple(entity for entity in model.entities if entity.key != products.key)
    edited = replace(model, entities=(products, *rest), verified=(VerifiedQuery("q", "select 1"),))
    await owner.execute("alter table products drop column category; alter table products add colour text")
    await owner.execute('drop table "Gift Cards"')
    fresh = await introspect(owner)
    merged = merge(fresh, edited)
    kept = merged.by_key["public.products"]
    assert (kept.synonyms, kept.name, merged.verified) == (("articles",), "goods", edited.verified)
    assert kept.column("category") is None
    assert kept.column("colour") is not None
    assert "public.Gift Cards" not in merged.by_key
    assert {str(change) for change in differences(fresh, edited)} >= {
        "+ column public.products.colour", "- column public.products.category", "- table public.Gift Cards",
    }  # fmt: skip


def test_a_wrong_file_is_refused_with_line_and_value() -> None:
    entity = (
        "  - schema: public\n    table: t\n    name: t\n    columns:\n      - name: c\n        kind: colour\n"
    )
    text = f"entities:\n{entity}"
    with pytest.raises(Misconfigured, match=r"line 7.*'colour'"):
        load(text)
    with pytest.raises(Misconfigured, match=r"line \d: not YAML"):
        load("entities:\n  - {a: [\n    b: c\n")


@pytest.mark.parametrize(
    "statement",
    [
        "delete from customers",
        "update customers set city = 'x'",
        "create table loot (x int)",
        "create temporary table loot (x int)",
        "select set_config('af.tenant', 'globex', false)",
        "select pg_read_file('/etc/passwd')",
        "select * from pg_authid",
        "copy customers to program 'id'",
    ],
)
async def test_the_role_refuses_what_the_guard_would(database: Database, statement: str) -> None:
    """The guard is not asked here: the role alone holds."""
    with pytest.raises(StatementFailed):
        await database.query(statement, row_limit=10)


async def test_a_tenant_sees_its_own_rows_only(database: Database) -> None:
    counts = {
        tenant: (await database.query("select count(*) from sales.orders", row_limit=1, tenant=tenant)).rows[
            0
        ][0]
        for tenant in ("acme", "globex", "", "other")
    }
    assert counts == {"acme": 3, "globex": 1, "": 0, "other": 0}


async def test_the_tenant_does_not_stay_with_the_connection(reader_dsn: str) -> None:
    database = await Database.connect(reader_dsn, pool_size=1)
    await database.query("select 1", row_limit=1, tenant="acme")
    result = await database.query("select count(*) from sales.orders", row_limit=1)
    await database.close()
    assert result.rows == ((0,),)


async def test_the_reader_role_can_read_the_schema_that_it_is_asked_about(
    reader_dsn: str, owner: asyncpg.Connection
) -> None:
    await owner.execute("create type mood as enum ('calm', 'cross'); alter table customers add mood mood")
    connection = await asyncpg.connect(reader_dsn)
    model = await introspect(connection)
    await connection.close()
    mood = model.by_key["public.customers"].column("mood")
    assert mood is not None
    assert mood.kind == "text"


async def test_values_come_as_json_scalars(database: Database) -> None:
    result = await database.query(
        "select 1.50::numeric, 2.00::numeric, date '2024-01-02', true, null, '\\x00ff'::bytea, array[1,2]",
        row_limit=5,
    )
    assert result.rows == ((1.5, 2, "2024-01-02", True, None, "\\x00ff", "[1, 2]"),)


async def test_more_rows_than_the_limit_are_said_to_be_cut(database: Database) -> None:
    result = await database.query("select city from customers", row_limit=3)
    assert (len(result.rows), result.truncated) == (3, True)


async def test_a_slow_statement_is_stopped_and_named(database: Database) -> None:
    with pytest.raises(StatementTimeout):
        await database.query("select pg_sleep(30)", row_limit=1)


async def test_cancelling_the_task_cancels_the_statement(
    database: Database, owner: asyncpg.Connection
) -> None:
    active = (
        "select count(*) from pg_stat_activity "
        "where query like '%pg_sleep(0.77)%' and state = 'active' and pid <> pg_backend_pid()"
    )
    task = asyncio.create_task(database.query("select pg_sleep(0.77), pg_sleep(30)", row_limit=1))
    await _until(owner, active, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(owner, active, 0)


async def _until(connection: asyncpg.Connection, query: str, wanted: int) -> None:
    deadline = time.monotonic() + 10
    while await connection.fetchval(query) != wanted:
        assert time.monotonic() < deadline, f"{query} never became {wanted}"
        await asyncio.sleep(0.01)


async def test_a_vanished_table_is_a_changed_schema(
    database: Database, owner: asyncpg.Connection, model: SemanticModel
) -> None:
    await owner.execute("drop table sales.order_lines; drop table products")
    with pytest.raises(SchemaChanged, match="products"):
        await answer("How many products are there?", database=database, index=SchemaIndex(model))


async def test_a_server_that_is_gone_is_a_transient_fault() -> None:
    with pytest.raises(DependencyUnavailable):
        await Database.connect("postgresql://nobody:x@127.0.0.1:1/none")


async def test_a_wrong_password_is_a_wrong_setting(reader_dsn: str) -> None:
    with pytest.raises(Misconfigured):
        await Database.connect(reader_dsn.replace("only%20for%20tests", "wrong"))


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("How many customers live in Oslo?", ((2,),)),
        # The order of Cy Stone is another tenant's.
        ("Which customers have never placed an order?", (("Cy", "Stone"), ("Di", "Marsh"))),
        ("What is the average price per category?", (("Furniture", 145), ("Lighting", 22.5))),
        ("Which products did Bo Berg order?", (("Chair",),)),
        ("Which product is the most expensive?", (("Desk",),)),
        ("How many orders were placed in February 2024?", ((2,),)),
        ("What is our turnover?", ((660,),)),
    ],
)
async def test_a_question_is_answered_with_the_right_rows(
    database: Database, model: SemanticModel, question: str, rows: tuple[tuple[object, ...], ...]
) -> None:
    index = SchemaIndex(replace(model, verified=(TURNOVER,)))
    found = await answer(question, database=database, index=index, tenant="acme")
    assert found.confidence == "high", found.reason
    assert sorted(found.rows, key=str) == sorted(rows, key=str)


async def test_the_handler_says_what_it_cannot_answer(database: Database, model: SemanticModel) -> None:
    job = EvidenceJob(
        query_id="q1",
        question="Why is the sky blue?",
        position=LogPosition(first_sequence=1, last_sequence=1, last_index=1),
    )
    rows = await handle(job, tenant="acme", database=database, index=SchemaIndex(model))
    assert (rows.statement, rows.confidence) == (None, "none")
    assert rows.reason


class Scripted:
    """Writes what it is given, and keeps the prompts."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.prompts = list(texts), []

    async def statement(self, prompt: str, *, max_tokens: int, temperature: float = 0.0) -> str:
        self.prompts.append(prompt)
        return self.texts.pop(0) if self.texts else ""


WEEKEND = "How many orders came in on a weekend?"


async def test_a_database_error_goes_back_to_the_model_once(database: Database, model: SemanticModel) -> None:
    engine = Scripted(
        "```sql\nselect count(*) from sales.orders where order_date = 'weekend'\n```",
        "SELECT count(*) FROM sales.orders WHERE extract(dow from order_date) IN (0, 6);",
    )
    rows = await answer(WEEKEND, database=database, index=SchemaIndex(model), engine=engine, tenant="acme")
    assert rows.rows == ((0,),)
    assert "weekend" in engine.prompts[1]
    assert rows.confidence == "low"


async def test_a_hostile_completion_is_refused_and_said(database: Database, model: SemanticModel) -> None:
    engine = Scripted("select pg_read_file('/etc/passwd')", "select * from pg_authid")
    rows = await answer("What is it?", database=database, index=SchemaIndex(model), engine=engine)
    assert rows.statement is None
    assert "pg_authid" in rows.reason


async def test_two_authors_with_the_same_rows_are_believed(database: Database, model: SemanticModel) -> None:
    question = "How many customers dwell in Oslo?"
    alone = await answer(question, database=database, index=SchemaIndex(model))
    engine = Scripted("select count(1) from customers where city = 'Oslo'")
    both = await answer(question, database=database, index=SchemaIndex(model), engine=engine)
    assert (alone.confidence, both.confidence) == ("low", "high")
    assert both.rows == ((2,),)
