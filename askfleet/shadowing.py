"""Runs a model on the questions that routers get, off their path: it reads, compares and writes nothing."""

import asyncio
from collections.abc import Callable

from nats.aio.msg import Msg

from bus import subjects
from bus.connection import Bus
from bus.feedback import label_of, read_feedback
from bus.stored import read_batch
from bus.topology import ANSWERS
from contracts import Query, Route, Routed, decode, decode_event
from contracts.errors import AskfleetError
from workers.router.decision import Router
from workers.router.evidence import Catalogue
from workers.router.shadow import Comparison, Judged, Pair, judge

WAITING = 256
"""Questions whose decision is awaited; those above are counted as missed."""
FOLLOWED_AT_ONCE = 8
FIRST_EVENTS = 8
ROUTED_WITHIN_S = 15.0
_POLL_S = 0.05

CatalogueOf = Callable[[str], Catalogue]


async def follow(
    bus: Bus, router: Router, catalogue_of: CatalogueOf, *, seconds: float, questions: int = 0
) -> Comparison:
    """Compare for so long, or until so many questions were compared; then ask the feedback who was right.

    Args:
        questions: 0 means that only the time ends it.
    """
    comparison = Comparison()
    waiting: asyncio.Queue[tuple[str, Query]] = asyncio.Queue(WAITING)
    enough = asyncio.Event()

    async def note(message: Msg) -> None:
        try:
            waiting.put_nowait((subjects.tenant_of(message.subject), decode(Query, message.data)))
        except (AskfleetError, asyncio.QueueFull):
            comparison.missed += 1

    async def compare() -> None:
        while True:
            tenant, query = await waiting.get()
            pair = await _pair(bus, router, catalogue_of(tenant), tenant, query)
            if pair is not None:
                comparison.add(pair)
            elif query.route is None:
                comparison.missed += 1
            if questions and comparison.questions >= questions:
                enough.set()

    hearing = await bus.nc.subscribe(subjects.QUERY, cb=note)
    tasks = [asyncio.create_task(compare()) for _ in range(FOLLOWED_AT_ONCE)]
    try:
        await _first_of(enough, tasks, seconds)
    finally:
        await hearing.unsubscribe()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    comparison.judged = await judged(bus, router, catalogue_of)
    return comparison


async def judged(bus: Bus, router: Router, catalogue_of: CatalogueOf) -> Judged:
    """Both models on the questions whose route readers named or approved of, as far as feedback is kept."""
    total = Judged()
    async for given in read_feedback(bus):
        label, live = label_of(given), given.feedback.routed
        # An approved route alone would always speak for the model in use.
        if label is None or live is None or not label.certain:
            continue
        shadow = router.decide(label.question, catalogue=catalogue_of(label.tenant)).route
        total += judge(Route(label.route), live=live, shadow=shadow)
    return total


async def _first_of(enough: asyncio.Event, tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Until there is enough, the time is over, or a task failed: its error is raised."""
    ended = asyncio.create_task(enough.wait())
    done, _ = await asyncio.wait([ended, *tasks], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    for task in done:
        task.result()


async def _pair(bus: Bus, router: Router, catalogue: Catalogue, tenant: str, query: Query) -> Pair | None:
    """None where the router decided nothing: the query named its route, or no decision came in time."""
    if query.route is not None:
        return None
    routed = await _routed(bus, tenant, query.id)
    if routed is None:
        return None
    question = routed.question or query.question
    decision = router.decide(question, catalogue=catalogue)
    return Pair(tenant, question, routed.route, decision.route, routed.confidence, decision.confidence)


async def _routed(bus: Bus, tenant: str, query_id: str) -> Routed | None:
    subject = subjects.answer(tenant, query_id)
    deadline = asyncio.get_running_loop().time() + ROUTED_WITHIN_S
    while asyncio.get_running_loop().time() < deadline:
        found = (await read_batch(bus, ANSWERS.name, subject, limit=FIRST_EVENTS)).messages
        events = [decode_event(stored.body) for stored in found]
        routed = next((event for event in events if isinstance(event, Routed)), None)
        if routed is not None or (events and events[-1].type in ("failed", "cancelled")):
            return routed
        await asyncio.sleep(_POLL_S)
    return None
