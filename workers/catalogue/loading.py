"""The schema of a tenant's database: read, merged with a person's file, indexed for matching questions."""

from pathlib import Path

import asyncpg
import structlog

from contracts.errors import DependencyUnavailable
from workers.catalogue import document
from workers.catalogue.connection import ReaderConnection
from workers.catalogue.introspection import introspect
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.revision import differences, merge

log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT_S = 5.0
_SHOWN = 20
_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection broke in the middle of an answer
)


async def load_schema(dsn: str, *, edited: Path | None = None) -> SchemaIndex:
    """Introspect the database and apply the edited semantic model, if there is one.

    Raises:
        DependencyUnavailable: the database does not answer or refuses the login.
        Misconfigured: the edited file is missing or wrong.
    """
    changes = document.read(edited) if edited is not None else None
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, connection_class=ReaderConnection)
    except _UNAVAILABLE as error:
        raise DependencyUnavailable(f"The SQL database does not answer: {error}.") from error
    try:
        model = await introspect(connection)
    except _UNAVAILABLE as error:
        raise DependencyUnavailable(f"The schema of the SQL database can't be read: {error}.") from error
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)
    if changes is None:
        return SchemaIndex(model)
    gone = [str(change) for change in differences(model, changes) if change.sign == "-"]
    if gone:
        log.warning(
            "the semantic model names what the database does not have; it is left out",
            action="semantic_model_stale",
            gone=gone[:_SHOWN],
            remedy="askfleet sql model check",
        )
    return SchemaIndex(merge(model, changes))
