"""The databases of all tenants: one pool and one indexed schema for each DSN, opened at first use."""

import asyncio
import time
from dataclasses import dataclass

import structlog

from contracts.errors import AskfleetError
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.loading import load_schema
from workers.shell.tenants import Tenants
from workers.sql.database import Database
from workers.sql.settings import SqlSettings

log = structlog.get_logger(__name__)

RELOAD_PAUSE_S = 2.0
"""A statement that met a missing table asks for a new look at the schema, at most so often."""


@dataclass(frozen=True)
class Connected:
    """A database that can be asked, and what is known of its schema."""

    database: Database
    index: SchemaIndex


class Databases:
    def __init__(self, settings: SqlSettings, tenants: Tenants) -> None:
        self._settings = settings
        self._tenants = tenants
        self._connected: dict[str, Connected] = {}
        self._read_at: dict[str, float] = {}
        self._opening = asyncio.Lock()

    async def of(self, tenant: str) -> Connected:
        """
        Raises:
            UnknownTenant: it is not in the tenants file.
            DependencyUnavailable: the database does not answer.
            Misconfigured: it refuses the login.
        """
        dsn = self._tenants.dsn(tenant, self._settings.dsn)
        found = self._connected.get(dsn)
        return found if found is not None else await self._open(dsn)

    async def reload(self, tenant: str) -> None:
        """Read the schema of the tenant's database again, unless that was done a moment ago."""
        dsn = self._tenants.dsn(tenant, self._settings.dsn)
        if time.monotonic() - self._read_at.get(dsn, 0.0) > RELOAD_PAUSE_S:
            await self._read_schema(dsn)

    async def refresh_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_s)
            for dsn in list(self._connected):
                try:
                    await self._read_schema(dsn)
                except AskfleetError as error:
                    log.warning(
                        "going on with the schema read before", action="schema_failed", error=str(error)
                    )

    async def close(self) -> None:
        for connected in self._connected.values():
            await connected.database.close()
        self._connected.clear()

    async def _open(self, dsn: str) -> Connected:
        async with self._opening:
            if dsn not in self._connected:
                index = await load_schema(dsn, edited=self._settings.semantic_model)
                database = await Database.connect(
                    dsn,
                    statement_timeout_s=self._settings.statement_timeout_s,
                    pool_size=self._settings.pool_size,
                )
                self._connected[dsn] = Connected(database, index)
                self._read_at[dsn] = time.monotonic()
            return self._connected[dsn]

    async def _read_schema(self, dsn: str) -> None:
        self._read_at[dsn] = time.monotonic()
        index = await load_schema(dsn, edited=self._settings.semantic_model)
        self._connected[dsn] = Connected(self._connected[dsn].database, index)
