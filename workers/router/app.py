"""The router on the bus: accepts a query, decides its route, hands it to the workers of that route."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from bus import subjects
from bus.answer_log import AnswerWriter, LogState
from bus.connection import Bus
from bus.consume import PullLoop, Source
from bus.delivery import Delivery, Work
from bus.envelope import message_id
from bus.fairness import Backlogs
from bus.publish import publish
from bus.stage import run_stage
from bus.topology import ARTEFACTS_BUCKET, ROUTE
from contracts import SCHEMAS, Accepted, EvidenceJob, GenerateJob, LogPosition, Query, Route, Routed, encode
from contracts.errors import AnswerEnded
from workers.embedding import EmbedderSettings
from workers.router import store as artefacts
from workers.router.admission import admit
from workers.router.catalogues import LiveCatalogues
from workers.router.conversation import EngineRewriter, open_rewriter
from workers.router.decision import Router
from workers.router.evidence import Catalogue, features
from workers.router.features import words
from workers.router.handler import handle
from workers.router.settings import RouterSettings
from workers.shell.http import Ready
from workers.shell.neighbours import serve_stage
from workers.shell.process import Open
from workers.shell.tenants import Tenants
from workers.vectors import VectorSettings, open_store

log = structlog.get_logger(__name__)


@dataclass
class Current:
    """The router in use, replaced when a new model arrives, and what rewrites follow-ups for it."""

    router: Router
    rewriter: EngineRewriter | None = None


def make(settings: RouterSettings) -> Open:
    @asynccontextmanager
    async def open_router(bus: Bus) -> AsyncIterator[Ready]:
        tenants = Tenants.load(settings.tenants_file)
        store = open_store(VectorSettings(), dimension=EmbedderSettings().dimension)
        catalogues = LiveCatalogues(settings, tenants, store)
        await catalogues.refresh()
        current = Current(Router(threshold=settings.router_threshold), open_rewriter(settings))
        watching = await bus.nc.subscribe(subjects.OUTCOME, cb=catalogues.note_outcome)
        # One tenant alone has nobody to be fair to.
        several = len(tenants.tenants) > 1
        background = [
            asyncio.create_task(catalogues.refresh_forever()),
            asyncio.create_task(_follow_models(bus, current, settings)),
        ]

        @asynccontextmanager
        async def serve(at: Bus, of: Source) -> AsyncIterator[PullLoop]:
            backlogs = Backlogs(at, limit=settings.fair_backlog if several else 0)
            if several:
                background.append(asyncio.create_task(backlogs.refresh_forever()))
            work = admit(at, backlogs, _work(at, current, catalogues, tenants))
            async with run_stage(at, of, Query, work, drain_grace_s=settings.drain_grace_s) as loop:
                yield loop

        source = Source.of(ROUTE, settings.concurrency, bulk_share=settings.bulk_share)
        async with serve_stage(bus, source, serve, settings=settings) as loop:
            yield lambda: {"pulling": loop.alive, "refreshing": not any(task.done() for task in background)}
        await watching.unsubscribe()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        if current.rewriter is not None:
            await current.rewriter.close()
        await store.close()

    return open_router


async def _follow_models(bus: Bus, current: Current, settings: RouterSettings) -> None:
    async for model in artefacts.watch(bus.js, bucket=ARTEFACTS_BUCKET):
        current.router = Router(model, threshold=settings.router_threshold)
        log.info("routing with another model", action="model_loaded", version=current.router.version)


def _work(bus: Bus, current: Current, catalogues: LiveCatalogues, tenants: Tenants) -> Work[Query]:
    async def work(delivery: Delivery[Query]) -> None:
        """May run twice: events that stand on the log are not written again, and jobs carry dedup ids."""
        query, tenant = delivery.body, delivery.tenant
        tenants.require(tenant)
        writer = AnswerWriter(bus, tenant, query.id, trace_parent=delivery.envelope.trace_parent)
        accepted = Accepted(tenant=tenant, query=query, deadline=delivery.envelope.deadline)
        before = await writer.append_once(accepted)
        routed = _standing_route(before)
        if routed is None:
            routed = await handle(
                query,
                tenant=tenant,
                router=current.router,
                catalogues=catalogues,
                rewriter=current.rewriter,
            )
            before = await writer.append_once(routed)
            routed = _standing_route(before) or routed
            if bus.spans.recording and query.route is None:
                _note_features(bus, routed.question or query.question, catalogues.of(tenant))
        # Where the log had to be read, evidence may stand on it: behind that, it would be written once more.
        position = writer.position if before is None else writer.position.beginning
        await _hand_on(bus, delivery, routed, position)

    return work


def _note_features(bus: Bus, question: str, catalogue: Catalogue) -> None:
    numbers = features(words(question), catalogue)
    bus.spans.note({f"askfleet.feature.{name}": round(number, 4) for name, number in numbers.items()})


def _standing_route(before: LogState | None) -> Routed | None:
    """What an earlier delivery decided: it stays, although another model may decide otherwise now."""
    if before is None:
        return None
    if before.terminal is not None:
        raise AnswerEnded(f"The answer ended as {before.terminal.type!r}.")
    return next((event for event in before.events if isinstance(event, Routed)), None)


async def _hand_on(bus: Bus, delivery: Delivery[Query], routed: Routed, position: LogPosition) -> None:
    if routed.route is Route.DIRECT:
        await _publish_generation(bus, delivery, position)
        return
    query = delivery.body
    job = EvidenceJob(
        query_id=query.id,
        question=routed.question or query.question,
        top_k=query.top_k,
        model=query.model,
        joined=routed.route is Route.BOTH,
        evidence_only=query.evidence_only,
        position=position,
    )
    tenant, lane = delivery.tenant, delivery.lane
    steps = {"retrieve": subjects.retrieve(tenant, lane), "sql": subjects.sql(tenant, lane)}
    if routed.route is Route.DOCUMENTS:
        del steps["sql"]
    elif routed.route is Route.SQL:
        del steps["retrieve"]
    await asyncio.gather(
        *(_publish_job(bus, delivery, step, subject, job) for step, subject in steps.items())
    )


async def _publish_job(
    bus: Bus, delivery: Delivery[Query], step: str, subject: str, job: EvidenceJob
) -> None:
    identity = message_id(delivery.tenant, job.query_id, step)
    headers = delivery.envelope.headers(message_id=identity, schema=SCHEMAS[EvidenceJob])
    await publish(bus, subject, encode(job), headers=headers)


async def _publish_generation(bus: Bus, delivery: Delivery[Query], position: LogPosition) -> None:
    query = delivery.body
    job = GenerateJob(query_id=query.id, first_sequence=position.first_sequence)
    identity = message_id(delivery.tenant, query.id, "generate")
    headers = delivery.envelope.headers(message_id=identity, schema=SCHEMAS[GenerateJob])
    subject = subjects.generate(query.model, delivery.tenant, delivery.lane)
    await publish(bus, subject, encode(job), headers=headers)
