"""The one way to a tenant's database: read-only, bounded in time and rows, in the tenant's name."""

import json
import math
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import TYPE_CHECKING, Self

import asyncpg

from bus.spans import Kind, NoSpans, Spans
from contracts.errors import DependencyUnavailable, InvalidName, Misconfigured, SchemaChanged
from contracts.event import Scalar
from workers.catalogue.connection import RESET, ReaderConnection
from workers.sql.failures import StatementFailed, StatementTimeout

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

MAX_CELL_CHARS = 2_000
APPLICATION = "askfleet-sql"
MAX_NAME_BYTES = 63
"""PostgreSQL cuts longer names."""
CHECK_CLIENT_MS = 500
_CONNECT_TIMEOUT_S = 5.0
_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection broke in the middle of an answer
    ConnectionError,
    OSError,
)
_VANISHED = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
)
_REJECTED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidCatalogNameError,
)


_WITHDRAWN = (
    # A DO block may SET what set_config() may not, and show rows in the text of an error.
    "revoke usage on language plpgsql from public",
    # All tenants come as one role, and a role may read along with its own sessions.
    "revoke select on pg_catalog.pg_stat_activity from public",
    "grant select on pg_catalog.pg_stat_activity to pg_read_all_stats",
)
_WITHDRAWN_FUNCTIONS = {
    "set_config": None,
    "pg_notify": None,
    "pg_logical_emit_message": None,
    "pg_cancel_backend": "pg_signal_backend",
    "pg_terminate_backend": "pg_signal_backend",
    "pg_stat_get_activity": "pg_read_all_stats",
}
"""With the role that PostgreSQL has for those who need the function."""
_OVERLOADS = """
select proname as name, oid::regprocedure::text as signature from pg_proc
where pronamespace = 'pg_catalog'::regnamespace and proname = any($1)"""
_VIEWS_OVER = """
with recursive over(oid) as (
  select $1::regclass::oid
  union select r.ev_class from over join pg_depend d on d.refobjid = over.oid
    and d.refclassid = 'pg_class'::regclass and d.classid = 'pg_rewrite'::regclass
    join pg_rewrite r on r.oid = d.objid)
select c.oid::regclass::text as name, c.relkind = 'm' as stored
from over join pg_class c using (oid) where c.relkind in ('v', 'm')"""


@dataclass(frozen=True)
class Result:
    """Rows as JSON scalars; `truncated` when the database had more than the limit."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]
    truncated: bool
    took_ms: float


class Database:
    """A pool of connections whose every transaction is read-only.

    Cancelling the task that awaits `query` cancels the statement in PostgreSQL as well.
    """

    def __init__(
        self, pool: "Pool", *, statement_timeout_s: float, mark: str = "", spans: Spans | None = None
    ) -> None:
        """Args: mark: what the server's list of sessions says; spans: told of each statement."""
        self._pool = pool
        self._spans = spans or NoSpans()
        self._timeout_s = statement_timeout_s
        self._mark = mark

    def marked(self, query_id: str) -> Self:
        """The same pool; `pg_stat_activity.application_name` says whose statements its are."""
        return self._again(f"{APPLICATION}:{query_id}"[:MAX_NAME_BYTES], self._spans)

    def traced(self, spans: Spans) -> Self:
        """The same pool; each statement is a span of the present work."""
        return self._again(self._mark, spans)

    def _again(self, mark: str, spans: Spans) -> Self:
        return type(self)(self._pool, statement_timeout_s=self._timeout_s, mark=mark, spans=spans)

    @classmethod
    async def connect(cls, dsn: str, *, statement_timeout_s: float = 5.0, pool_size: int = 8) -> Self:
        """
        Raises:
            DependencyUnavailable: the server does not answer.
            Misconfigured: it refuses the login or has no such database.
        """
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=pool_size,
                timeout=_CONNECT_TIMEOUT_S,
                # PostgreSQL's own timeout comes first; this one is for a server that stopped answering.
                command_timeout=statement_timeout_s + 2.0,
                connection_class=ReaderConnection,
                server_settings={
                    "default_transaction_read_only": "on",
                    "statement_timeout": str(int(statement_timeout_s * 1_000)),
                    "idle_in_transaction_session_timeout": str(int((statement_timeout_s + 10) * 1_000)),
                    "standard_conforming_strings": "on",
                    "jit": "off",
                    "application_name": APPLICATION,
                    # The statement of a worker that was killed ends within a second, not at its timeout.
                    "client_connection_check_interval": str(CHECK_CLIENT_MS),
                },
            )
        except _REJECTED as error:
            raise Misconfigured(
                f"The database refuses the login: {error}.", remedy="Correct AF_DSN."
            ) from error
        except (*_UNAVAILABLE, TimeoutError) as error:
            raise DependencyUnavailable(f"The database does not answer: {error}.") from error
        except ValueError as error:
            raise Misconfigured(f"AF_DSN is not a PostgreSQL address: {error}.") from error
        return cls(pool, statement_timeout_s=statement_timeout_s)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def reading(self, *, tenant: str = "") -> "AsyncIterator[Connection]":
        """A connection in a READ ONLY transaction; row-level security sees the tenant as `af.tenant`.

        What begins the transaction and what ends it takes one round trip each: the pool's own reset, which
        would be another, is part of the end.
        """
        try:
            async with self._pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection:
                await connection.execute(self._begin(tenant))
                try:
                    yield connection
                finally:
                    # Never a commit: what reads needs none, and NOTIFY reaches others only with one.
                    if not connection.is_closed():
                        await connection.execute(f"rollback; {RESET}")
        except asyncpg.QueryCanceledError as error:
            raise StatementTimeout(f"The statement was stopped after {self._timeout_s:g} s.") from error
        except _VANISHED as error:
            raise SchemaChanged(f"The database says: {error}.") from error
        except _UNAVAILABLE as error:
            raise DependencyUnavailable(f"The database does not answer: {error}.") from error
        except TimeoutError as error:
            raise DependencyUnavailable("The database did not answer in time.") from error
        except asyncpg.PostgresError as error:
            raise StatementFailed(f"The database says: {error}.") from error

    def _begin(self, tenant: str) -> str:
        # SET and not set_config(): the reader role may be denied that function, so that no statement can
        # speak in another tenant's name.
        begun = f"begin read only; set local af.tenant = {quote_literal(tenant)}"
        return f"{begun}; set local application_name = {quote_literal(self._mark)}" if self._mark else begun

    async def query(self, statement: str, *, row_limit: int, tenant: str = "") -> Result:
        """Run a statement that the guard let through; the guard limits its rows.

        Raises:
            DependencyUnavailable: connection refused, restart, too many connections.
            SchemaChanged: a table or column is gone.
            StatementTimeout: it ran too long.
            StatementFailed: anything else that PostgreSQL refuses.
        """
        about = {"tool.name": "statement", "db.system.name": "postgresql"}
        with self._spans.child("postgresql", Kind.TOOL, about, asked=statement) as span:
            result = await self._query(statement, row_limit=row_limit, tenant=tenant)
            span.note({"db.response.returned_rows": len(result.rows)})
            return result

    async def _query(self, statement: str, *, row_limit: int, tenant: str) -> Result:
        started = time.perf_counter()
        async with self.reading(tenant=tenant) as connection:
            prepared = await connection.prepare(statement)
            columns = tuple(attribute.name for attribute in prepared.get_attributes())
            records = await prepared.fetch()
        rows = tuple(tuple(scalar(value) for value in record) for record in records[:row_limit])
        took_ms = (time.perf_counter() - started) * 1_000
        return Result(columns, rows, len(records) > row_limit, round(took_ms, 2))


def scalar(value: object) -> Scalar:
    """A database value as JSON can carry it; what has no JSON form becomes text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date | clock):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return _shortened("\\x" + bytes(value).hex())
    if isinstance(value, list | dict | tuple):
        return _shortened(json.dumps(value, default=str, ensure_ascii=False))
    return _shortened(str(value))


def quote_literal(value: str) -> str:
    if "\x00" in value or "\\" in value:
        raise InvalidName(f"Not a tenant: {value!r}.")
    return "'" + value.replace("'", "''") + "'"


async def create_reader_role(
    dsn: str,
    role: str,
    password: str,
    *,
    schemas: Iterable[str] = ("public",),
    statement_timeout_s: float = 5.0,
) -> None:
    """Make or correct the role that the SQL worker logs in with: it can read those schemas and nothing else.

    Args:
        dsn: the owner of the tables, or a superuser, in the database to read.

    No statement of that role can change `af.tenant`, stop or watch the statements of others, or send
    anything: what could is withdrawn, in this database, from all who are not superusers (see `_WITHDRAWN`,
    `_WITHDRAWN_FUNCTIONS`).
    """
    name, secret = _identifier(role), quote_literal(password)
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            if not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
                await connection.execute(f"create role {name}")
            attributes = "login nosuperuser nocreatedb nocreaterole noreplication nobypassrls"
            database = _identifier(await connection.fetchval("select current_database()"))
            timeout = f"{int(statement_timeout_s * 1_000)}"
            for statement in (
                f"alter role {name} with {attributes} password {secret}",
                f"alter role {name} set default_transaction_read_only = on",
                f"alter role {name} set statement_timeout = {timeout}",
                f"revoke all on database {database} from public",
                f"grant connect on database {database} to {name}",
                "revoke create on schema public from public",
                *_WITHDRAWN,
                *await _withdrawn_functions(connection),
                *(grant for schema in schemas for grant in _grants(_identifier(schema), name)),
            ):
                await connection.execute(statement)
    finally:
        await connection.close()


async def isolate_tenants(dsn: str, table: str, *, column: str = "tenant", schema: str = "public") -> None:
    """Let every role but the owner see only the rows whose `column` is the tenant that asks.

    A view reads with its owner's eyes, who sees all rows; those over the table are made to read with the
    asker's (`security_invoker`, PostgreSQL 15). Call it again after views were added.

    Raises:
        Misconfigured: a materialised view keeps rows of all tenants, and no policy can part them.
    """
    target = f"{_identifier(schema)}.{_identifier(table)}"
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"alter table {target} enable row level security")
            await connection.execute(f"drop policy if exists af_tenant on {target}")
            await connection.execute(
                f"create policy af_tenant on {target} for select "
                f"using ({_identifier(column)} = current_setting('af.tenant', true))"
            )
            for view in await connection.fetch(_VIEWS_OVER, target):
                if view["stored"]:
                    raise Misconfigured(
                        f"The materialised view {view['name']} holds rows of all tenants of {target}.",
                        remedy="Drop it, or make it a plain view.",
                    )
                await connection.execute(f"alter view {view['name']} set (security_invoker = true)")
    finally:
        await connection.close()


async def _withdrawn_functions(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """Every overload that this version of PostgreSQL has."""
    statements: list[str] = []
    for row in await connection.fetch(_OVERLOADS, list(_WITHDRAWN_FUNCTIONS)):
        statements.append(f"revoke execute on function {row['signature']} from public")
        entitled = _WITHDRAWN_FUNCTIONS[row["name"]]
        if entitled:
            statements.append(f"grant execute on function {row['signature']} to {entitled}")
    return statements


def _grants(schema: str, role: str) -> tuple[str, ...]:
    return (
        f"grant usage on schema {schema} to {role}",
        f"grant select on all tables in schema {schema} to {role}",
        f"alter default privileges in schema {schema} grant select on tables to {role}",
    )


def _identifier(name: str) -> str:
    if not name or "\x00" in name:
        raise Misconfigured(f"Not a database name: {name!r}.")
    return '"' + name.replace('"', '""') + '"'


def _number(value: Decimal) -> Scalar:
    if not value.is_finite():
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARS else f"{text[: MAX_CELL_CHARS - 3]}..."
