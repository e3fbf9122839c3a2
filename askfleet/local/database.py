"""The embedded PostgreSQL as a supervised process, with one database and a role that may only read."""

import asyncio
import secrets
from pathlib import Path

import asyncpg

from askfleet.embedded.postgres import PostgresServer
from workers.sql.database import create_reader_role

DATABASE = "askfleet"
READER = "askfleet_reader"
WATCH_INTERVAL_S = 0.5


class Database:
    def __init__(self, folder: Path, *, port: int) -> None:
        self._address = f"127.0.0.1:{port}"
        self._server = PostgresServer(folder, port=port)
        # Made anew for each start: it is needed by the workers of this stack and nobody else.
        self._password = secrets.token_urlsafe(24)

    @property
    def name(self) -> str:
        return "postgres"

    @property
    def address(self) -> str:
        return self._address

    @property
    def pid(self) -> int | None:
        return self._server.pid if self._server.is_running() else None

    @property
    def log(self) -> Path:
        return self._server.log_file

    @property
    def owner_dsn(self) -> str:
        """Of the role that loads data; workers never get it."""
        return self._server.dsn_of(DATABASE)

    @property
    def reader_dsn(self) -> str:
        """Of the workers' role: SELECT only."""
        return self._server.dsn_of(DATABASE, user=READER, password=self._password)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def wait(self) -> int:
        while self._server.is_running():  # noqa: ASYNC110 - after a takeover it is no child of ours
            await asyncio.sleep(WATCH_INTERVAL_S)
        return 1

    async def prepare(self) -> None:
        """Make the database and the reader of all its schemas; again after schemas were added."""
        await self._server.create_database(DATABASE)
        schemas = await _schemas(self.owner_dsn)
        await create_reader_role(self.owner_dsn, READER, self._password, schemas=schemas)


async def _schemas(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch(
            "select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'"
        )
    finally:
        await connection.close()
    return [row["nspname"] for row in found]
