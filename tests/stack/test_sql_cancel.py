"""A statement whose query was cancelled, or whose worker is gone, ends in PostgreSQL within a second."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from askfleet.embedded.postgres import PostgresServer
from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.asking import cancel_query
from bus.cancellation import Cancellations
from bus.connection import Bus
from bus.envelope import Envelope, message_id, now_ms
from bus.publish import publish
from bus.testing import eventually
from contracts import SCHEMAS, Accepted, EvidenceJob, Query, encode
from loadgen.hearing import Hearing, Sources, open_hearing
from loadgen.oracle import Terms
from loadgen.promises import Line
from loadgen.witness import Outcome, Witness
from workers.sql.app import make
from workers.sql.database import Database, create_reader_role
from workers.sql.settings import SqlSettings

TENANT = "default"
STATEMENT_TIMEOUT_S = 4.0
QUESTION = "How many trios are there?"
TABLE = "create table points (id int primary key); insert into points select generate_series(1, 4000)"
MODEL = """
verified:
  - question: How many trios are there?
    sql: select count(*) from points a join points b on a.id <> b.id join points c on b.id <> c.id
"""
RUNNING = (
    "select count(*) from pg_stat_activity where state = 'active' and application_name like 'askfleet-sql:%'"
)


@pytest.fixture
async def owner(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(TABLE)
    yield connection
    await connection.close()


@pytest.fixture
async def reader_dsn(owner: asyncpg.Connection, postgres_dsn: str, postgres_server: PostgresServer) -> str:
    await create_reader_role(postgres_dsn, "trio_reader", "only for tests")
    name = await owner.fetchval("select current_database()")
    return postgres_server.dsn_of(name, user="trio_reader", password="only for tests")


@pytest.fixture
def settings(bus: Bus, reader_dsn: str, tmp_path: Path) -> SqlSettings:
    """With a statement that the guard allows and that takes minutes."""
    edited = tmp_path / "model.yaml"
    edited.write_text(MODEL)
    return SqlSettings(
        nats_url=bus.settings.nats_url,
        dsn=SecretStr(reader_dsn),
        statement_timeout_s=STATEMENT_TIMEOUT_S,
        semantic_model=edited,
        drain_grace_s=0.1,
    )


@pytest.fixture
async def hearing(bus: Bus, postgres_dsn: str) -> AsyncIterator[Hearing]:
    async with open_hearing(bus, Sources(dsn=postgres_dsn), terms=Terms(settle_s=3)) as opened:
        yield opened


async def ask(bus: Bus, hearing: Hearing, query_id: str) -> None:
    """Accepted, and its SQL job published, as the router does it."""
    query, deadline = Query(id=query_id, question=QUESTION), now_ms() + 30_000
    writer = AnswerWriter(bus, TENANT, query_id)
    await writer.append_once(Accepted(tenant=TENANT, query=query, deadline=deadline))
    job = EvidenceJob(query_id=query_id, question=QUESTION, position=writer.position)
    headers = Envelope(deadline=deadline).headers(
        message_id=message_id(TENANT, query_id, "sql"), schema=SCHEMAS[EvidenceJob]
    )
    await publish(bus, subjects.sql(TENANT), encode(job), headers=headers)
    hearing.hear(Witness(TENANT, query_id, Outcome.ACCEPTED, deadline))


async def running(owner: asyncpg.Connection, count: int, *, within_s: float = 10.0) -> float:
    """Seconds until so many statements run."""
    began = time.perf_counter()

    async def there() -> bool:
        return bool(await owner.fetchval(RUNNING) == count)

    await eventually(there, within_s=within_s)
    return time.perf_counter() - began


@pytest.mark.parametrize("broken", [False, True], ids=["kept", "broken"])
async def test_a_cancel_reaches_postgresql(
    bus: Bus,
    hearing: Hearing,
    owner: asyncpg.Connection,
    settings: SqlSettings,
    broken: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broken on purpose, the statement runs to its timeout, and the judge names the promise."""
    if broken:
        monkeypatch.setattr(Cancellations, "_stop", lambda self, key: None)
    async with make(settings)(bus):
        await ask(bus, hearing, "trio")
        await running(owner, 1)
        await cancel_query(bus, TENANT, "trio")
        stopped_after_s = await running(owner, 0)
        state = await read_log(bus, TENANT, "trio")
        lines = {found.line for found in await hearing.finish()}

    assert state.events[-1].type == "cancelled"
    assert lines == ({Line.CANCEL_STOPS} if broken else set())
    assert (stopped_after_s > 1) == broken


SLEEPER = """
import asyncio, sys
from workers.sql.database import Database

async def main():
    database = await Database.connect(sys.argv[1], statement_timeout_s=30)
    await database.marked("orphan").query(sys.argv[2], row_limit=1)

asyncio.run(main())
"""


async def test_the_statement_of_a_killed_worker_ends_within_a_second(
    owner: asyncpg.Connection, reader_dsn: str
) -> None:
    statement = "select count(*) from points a, points b, points c"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SLEEPER, reader_dsn, statement)
    await running(owner, 1)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    assert await running(owner, 0, within_s=5) < 1


async def test_a_statement_carries_the_id_of_its_query_for_its_transaction_only(reader_dsn: str) -> None:
    database = await Database.connect(reader_dsn, pool_size=1)
    name = "select current_setting('application_name')"
    long_id = "x" * 64
    assert (await database.marked("q-1").query(name, row_limit=1)).rows == (("askfleet-sql:q-1",),)
    assert (await database.query(name, row_limit=1)).rows == (("askfleet-sql",),)
    assert (await database.marked(long_id).query(name, row_limit=1)).rows[0][0] == f"askfleet-sql:{'x' * 50}"
    await database.close()
