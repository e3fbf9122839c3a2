"""The SQL worker on the bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from bus.cancellation import Cancellations, watch_cancellations
from bus.connection import Bus
from bus.consume import PullLoop, Source
from bus.delivery import Delivery, Work
from bus.evidence import give_up_evidence, join_evidence, standing_evidence
from bus.stage import run_stage
from bus.topology import SQL
from contracts import EvidenceJob, Rows
from contracts.errors import SchemaChanged
from workers.shell.http import Ready
from workers.shell.neighbours import serve_stage
from workers.shell.process import Open
from workers.shell.tenants import Tenants
from workers.sql.completion import Completion, open_completion
from workers.sql.databases import Databases
from workers.sql.handler import handle
from workers.sql.settings import SqlSettings


class Limits(NamedTuple):
    """Of one question."""

    rows: int
    candidates: int


@dataclass(frozen=True)
class Parts:
    """What answering from a database needs."""

    bus: Bus
    databases: Databases
    cancellations: Cancellations
    completion: Completion | None
    limits: Limits


def make(settings: SqlSettings) -> Open:
    @asynccontextmanager
    async def open_sql(bus: Bus) -> AsyncIterator[Ready]:
        databases = Databases(settings, Tenants.load(settings.tenants_file))
        completion = await open_completion(settings, bus.spans)
        refreshing = asyncio.create_task(databases.refresh_forever())
        limits = Limits(settings.row_limit, settings.sql_engine_candidates)
        source = Source.of(SQL, settings.concurrency, bulk_share=settings.bulk_share)

        @asynccontextmanager
        async def serve(at: Bus, of: Source) -> AsyncIterator[PullLoop]:
            async with (
                watch_cancellations(at) as cancellations,
                run_stage(
                    at,
                    of,
                    EvidenceJob,
                    _work(Parts(at, databases, cancellations, completion, limits)),
                    drain_grace_s=settings.drain_grace_s,
                    give_up=give_up_evidence(at, Rows),
                ) as loop,
            ):
                yield loop

        async with serve_stage(bus, source, serve, settings=settings) as loop:
            yield lambda: {"pulling": loop.alive, "refreshing": not refreshing.done()}
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)
        await databases.close()
        if completion is not None:
            await completion.close()

    return open_sql


def _work(parts: Parts) -> Work[EvidenceJob]:
    async def work(delivery: Delivery[EvidenceJob]) -> None:
        """May run twice: statements only read, and their result is appended once."""
        job = delivery.body
        event = await standing_evidence(parts.bus, delivery, Rows)
        if not isinstance(event, Rows):
            asking = _ask(parts, job, delivery.tenant)
            event = await parts.cancellations.run(delivery.tenant, job.query_id, asking)
        await join_evidence(parts.bus, job, event, message=delivery)

    return work


async def _ask(parts: Parts, job: EvidenceJob, tenant: str) -> Rows:
    """A schema that changed behind our back is read again, and the question asked once more."""
    try:
        return await _handle(parts, job, tenant)
    except SchemaChanged:
        await parts.databases.reload(tenant)
    return await _handle(parts, job, tenant)


async def _handle(parts: Parts, job: EvidenceJob, tenant: str) -> Rows:
    connected = await parts.databases.of(tenant)
    return await handle(
        job,
        tenant=tenant,
        database=connected.database.traced(parts.bus.spans),
        index=connected.index,
        engine=parts.completion,
        row_limit=parts.limits.rows,
        candidates=parts.limits.candidates,
    )
