"""Watches which statements PostgreSQL works on for which query: the SQL worker marks its transactions."""

import asyncio
from time import time_ns

import asyncpg
import structlog

from loadgen.witness import StatementUse

log = structlog.get_logger(__name__)

EVERY_S = 0.25
RETRY_S = 1.0
FORGET_MS = 120_000
PREFIX = "askfleet-sql:"
RUNNING = """
select application_name, pid, (extract(epoch from query_start) * 1000)::bigint as began
from pg_stat_activity where state = 'active' and application_name like $1
"""


class StatementWatch:
    """`uses` has what was seen, by query. Short statements are mostly missed, and not wanted."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.uses: dict[str, list[StatementUse]] = {}

    async def watch_forever(self) -> None:
        """A database that is away is asked again a second later."""
        while True:
            try:
                await self._watch()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.info("the watch on statements waits for PostgreSQL", action="watch", error=repr(error))
            await asyncio.sleep(RETRY_S)

    async def _watch(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5)
        try:
            statement = await connection.prepare(RUNNING)
            while True:
                now = time_ns() // 1_000_000
                for row in await statement.fetch(f"{PREFIX}%"):
                    query_id = row["application_name"].removeprefix(PREFIX)
                    self._note(StatementUse(query_id, row["pid"], row["began"], now))
                self._forget(now - FORGET_MS)
                await asyncio.sleep(EVERY_S)
        finally:
            await connection.close(timeout=1)

    def _note(self, use: StatementUse) -> None:
        uses = self.uses.setdefault(use.query_id, [])
        if uses and (uses[-1].pid, uses[-1].began) == (use.pid, use.began):
            uses[-1] = use
        else:
            uses.append(use)

    def _forget(self, before: int) -> None:
        old = [query_id for query_id, uses in self.uses.items() if uses[-1].seen < before]
        for query_id in old:
            del self.uses[query_id]
