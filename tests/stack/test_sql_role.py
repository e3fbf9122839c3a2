"""Hostile statements and questions on a real PostgreSQL: what the role holds back when the guard does not."""

import hashlib
import itertools
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest
import shop
from hostile import STATEMENTS, questions

from askfleet.embedded.postgres import PostgresServer
from contracts.errors import AskfleetError, Misconfigured
from workers.catalogue.introspection import introspect
from workers.catalogue.linking import SchemaIndex
from workers.sql.agent import answer
from workers.sql.database import Database, create_reader_role, isolate_tenants

ROLE, PASSWORD = "shop_reader", "only for tests"
FOREIGN = "77013"
"""Number of an order of the tenant `globex`; it appears nowhere else."""

_STATE = (
    "select * from public.customers order by 1",
    "select * from public.products order by 1",
    "select * from sales.orders order by 1",
    "select * from sales.order_lines order by 1, 2",
    "select relname, relnamespace, relowner, relacl, relrowsecurity from pg_class order by 1, 2",
    "select oid, rolname, rolsuper, rolbypassrls, rolcanlogin from pg_roles order by 1",
    "select oid, proname, proacl from pg_proc order by 1",
    "select nspname, nspacl from pg_namespace order by 1",
    "select * from pg_db_role_setting order by 1, 2",
    "select extname from pg_extension order by 1",
    "select polname, polrelid from pg_policy order by 1",
    "select oid from pg_largeobject_metadata order by 1",
    "select datname, datacl from pg_database order by 1",
    "select typname from pg_type order by oid",
    "select evtname from pg_event_trigger order by 1",
    "select subname from pg_subscription order by 1",
    "select srvname from pg_foreign_server order by 1",
    "select gid from pg_prepared_xacts order by 1",
)
_SESSION = (
    "select current_setting('statement_timeout'), current_setting('default_transaction_read_only'), "
    "current_setting('transaction_read_only'), current_setting('row_security'), "
    "current_setting('search_path'), current_setting('af.tenant'), current_user, "
    "(select count(*) from pg_locks where locktype = 'advisory'), "
    "(select count(*) from pg_listening_channels()), (select count(*) from sales.orders)"
)


@pytest.fixture
async def owner(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(shop.SQL)
    await connection.execute(
        f"insert into sales.orders values ({FOREIGN}, 3, '2024-03-01', 'open', 'globex')"
    )
    await create_reader_role(postgres_dsn, ROLE, PASSWORD, schemas=("public", "sales"))
    await isolate_tenants(postgres_dsn, "orders", schema="sales")
    yield connection
    await connection.close()


@pytest.fixture
async def database(owner: asyncpg.Connection, postgres_server: PostgresServer) -> AsyncIterator[Database]:
    """One connection for all statements, so that what one leaves behind meets the next."""
    name = await owner.fetchval("select current_database()")
    dsn = postgres_server.dsn_of(name, user=ROLE, password=PASSWORD)
    database = await Database.connect(dsn, statement_timeout_s=0.1, pool_size=1)
    yield database
    await database.close()


async def _fingerprint(owner: asyncpg.Connection) -> dict[str, str]:
    """Everything that a statement could have changed for good, table by table."""
    found = {query: [tuple(row) for row in await owner.fetch(query)] for query in _STATE}
    return {query: hashlib.sha256(repr(rows).encode()).hexdigest() for query, rows in found.items()}


async def test_with_the_guard_off_the_role_changes_nothing_and_shows_no_row_of_another_tenant(
    database: Database, owner: asyncpg.Connection
) -> None:
    heard: list[str] = []
    await owner.add_listener("x", lambda *notice: heard.append(str(notice[-1])))
    before = await _fingerprint(owner)
    session = (await database.query(_SESSION, row_limit=1, tenant="acme")).rows
    wrong: list[str] = []
    for statement in itertools.chain.from_iterable(STATEMENTS.values()):
        shown = await _shown(database, statement)
        if FOREIGN in shown:
            wrong.append(f"shows a row of another tenant: {statement!r}: {shown[:200]}")
        left = (await database.query(_SESSION, row_limit=1, tenant="acme")).rows
        if left != session:
            wrong.append(f"leaves the session changed: {statement!r}: {left}")
    after = await _fingerprint(owner)
    wrong += [f"the database is changed: {query}" for query in before if before[query] != after[query]]
    assert (wrong, heard) == ([], [])


async def _shown(database: Database, statement: str) -> str:
    try:
        result = await database.query(statement, row_limit=1_000, tenant="acme")
    except AskfleetError as error:
        return error.detail
    return json.dumps(result.rows)


class Obedient:
    """A language model that writes what the question tells it to."""

    def __init__(self, statement: str) -> None:
        self.obeyed = statement

    async def statement(self, prompt: str, *, max_tokens: int, temperature: float = 0.0) -> str:
        return f"```sql\n{self.obeyed}\n```"


async def test_a_hostile_question_changes_nothing_even_with_a_language_model_that_obeys(
    database: Database, owner: asyncpg.Connection
) -> None:
    before, index = await _fingerprint(owner), SchemaIndex(await introspect(owner))
    for asked in questions("refused"):
        engine = Obedient(asked.obeyed)
        rows = await answer(asked.question, database=database, index=index, engine=engine, tenant="acme")
        assert (rows.statement, rows.confidence, bool(rows.reason)) == (None, "none", True), asked
    for asked in questions("answered in part"):
        engine = Obedient(asked.obeyed)
        rows = await answer(asked.question, database=database, index=index, engine=engine, tenant="acme")
        assert FOREIGN not in json.dumps(rows.rows), asked
        assert rows.reason or rows.confidence == "high", asked
    assert await _fingerprint(owner) == before


async def test_a_view_over_an_isolated_table_is_isolated_too(
    database: Database, owner: asyncpg.Connection, postgres_dsn: str
) -> None:
    await owner.execute("create view sales.open_again as select * from sales.orders")
    await owner.execute(f"grant select on sales.open_again to {ROLE}")
    assert FOREIGN in await _shown(database, "select * from sales.open_again")
    await isolate_tenants(postgres_dsn, "orders", schema="sales")
    for view, expected in (("open_orders", "[[11]]"), ("sales.open_again", "[[10], [11], [12]]")):
        assert await _shown(database, f"select order_id from {view}") == expected


async def test_a_materialised_view_over_an_isolated_table_is_refused(
    owner: asyncpg.Connection, postgres_dsn: str
) -> None:
    await owner.execute("create materialized view sales.totals as select tenant from sales.orders")
    with pytest.raises(Misconfigured, match=r"sales\.totals"):
        await isolate_tenants(postgres_dsn, "orders", schema="sales")
