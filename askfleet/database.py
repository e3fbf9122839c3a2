"""The embedded PostgreSQL as a supervised process, with one database and a role that may only read."""

import asyncio
from pathlib import Path

from askfleet.embedded.postgres import PostgresServer

DATABASE = "askfleet"
WATCH_INTERVAL_S = 0.5


class Database:
    def __init__(self, folder: Path, *, port: int) -> None:
        self._address = f"127.0.0.1:{port}"
        self._server = PostgresServer(folder, port=port)
        self._reader_dsn = ""

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
        return self._reader_dsn

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def wait(self) -> int:
        while self._server.is_running():  # noqa: ASYNC110 - after a takeover it is no child of ours
            await asyncio.sleep(WATCH_INTERVAL_S)
        return 1

    async def prepare(self) -> None:
        """Make the database and the reader; what is there stays."""
        await self._server.create_database(DATABASE)
