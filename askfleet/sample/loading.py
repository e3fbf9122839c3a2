"""Puts the sample database into a PostgreSQL."""

from collections.abc import Sequence
from datetime import date
from importlib.resources import files

import asyncpg

from askfleet.sample.generator import SEED, TICKETS, generate

SCHEMA = "support"


async def load(dsn: str, *, base_date: date, seed: int = SEED, tickets: int = TICKETS) -> bool:
    """Create and fill the schema in one transaction; False when it was there already.

    Args:
        dsn: of a role that may create schemas.
        base_date: the day after the last one that the data covers.
    """
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetchval("select to_regnamespace($1) is not null", SCHEMA):
            return False
        desk = generate(base_date, seed=seed, tickets=tickets)
        async with connection.transaction():
            await connection.execute(_script("support_desk.sql"))
            for table, rows in desk._asdict().items():
                await _copy(connection, table, rows)
            await connection.execute(_script("indexes.sql"))
    finally:
        await connection.close()
    return True


async def _copy(
    connection: "asyncpg.Connection[asyncpg.Record]", table: str, rows: Sequence[tuple[object, ...]]
) -> None:
    await connection.copy_records_to_table(table, schema_name=SCHEMA, records=rows)


def _script(name: str) -> str:
    return files("askfleet.sample").joinpath(name).read_text(encoding="utf-8")
