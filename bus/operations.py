"""What an operator does to many queries at once; free of the terminal.

Every unfinished answer has at least one message in a work stream: it waits there, or is in work. So the
queues say what there is to cancel.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

from bus import subjects
from bus.asking import cancel_query
from bus.connection import Bus
from bus.documents import report_outcome
from bus.envelope import MESSAGE_ID, query_id_of
from bus.jetstream import JetStreamApi
from bus.stored import Stored, delete_one, read_all
from bus.topology import INGEST, ROUTE, STAGES, Stream
from contracts import Document, Outcome, decode
from contracts.errors import AnswerEnded, AnswerNotFound, DecodeError, PermanentError

AT_ONCE = 32

T = TypeVar("T")
R = TypeVar("R")

Fate = Literal["cancelled", "ended", "unknown"]


class Withdrawn(PermanentError):
    """Told to whoever sent a document that an operator takes off the queue."""

    code = "withdrawn"
    title = "An operator took it off the queue"
    remedy = "Send the document again."


@dataclass(frozen=True)
class Scope:
    """What to cancel. Empty fields choose all; documents only where the stage is `ingest`.

    Args:
        waiting_only: leave alone what a worker has in hand.
    """

    tenant: str = ""
    stage: str = ""
    waiting_only: bool = False


class Place(NamedTuple):
    """One stored message."""

    stream: str
    sequence: int


@dataclass(frozen=True)
class Target:
    """A query or a document, by its id (empty where it can't be read), and its messages in the queues."""

    tenant: str
    stage: str
    id: str
    messages: tuple[Place, ...] = ()


async def find_targets(bus: Bus, scope: Scope) -> tuple[Target, ...]:
    """What stands in the queues by now.

    Raises:
        DependencyUnavailable: NATS did not answer.
    """
    names = [scope.stage] if scope.stage else [name for name in STAGES if name != INGEST.stage]
    found: dict[tuple[str, str], Target] = {}
    for name in names:
        async for stored in _messages(bus, STAGES[name], scope):
            tenant, named = subjects.tenant_of(stored.subject), _id_in(name, stored)
            place = Place(stored.stream, stored.sequence)
            # Without an id of its own each message is a target of its own.
            key = (tenant, named or f"{place.stream}:{place.sequence}")
            former = found.get(key, Target(tenant, name, named))
            found[key] = replace(former, messages=(*former.messages, place))
    return tuple(found.values())


async def cancel_target(bus: Bus, target: Target) -> Fate:
    """First the terminal event, then the messages: whoever delivers one meanwhile sees that it has ended.

    Repeating it changes nothing.

    Raises:
        DependencyUnavailable: NATS did not answer; what was not done can be done again.
    """
    if target.stage == INGEST.stage:
        await _tell_withdrawn(bus, target)
        fate: Fate = "cancelled"
    else:
        fate = await cancel_one(bus, target.tenant, target.id, waiting=bool(target.messages))
    for place in target.messages:
        await delete_one(bus, place.stream, place.sequence)
    return fate


async def cancel_one(bus: Bus, tenant: str, query_id: str, *, waiting: bool = False) -> Fate:
    """End one answer as `cancelled`, wherever it is; `unknown`: no log, or not known to wait."""
    if not query_id:
        return "cancelled" if waiting else "unknown"
    try:
        await cancel_query(bus, tenant, query_id, reason="operator", waiting=waiting)
    except AnswerEnded:
        return "ended"
    except AnswerNotFound:
        return await _cancel_unaccepted(bus, tenant, query_id)
    return "cancelled"


async def _cancel_unaccepted(bus: Bus, tenant: str, query_id: str) -> Fate:
    """Nothing is on its log: it may wait for a router."""
    for target in await find_targets(bus, Scope(tenant=tenant, stage=ROUTE.stage)):
        if target.id == query_id:
            return await cancel_target(bus, target)
    return "unknown"


async def in_parallel(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], *, at_once: int = AT_ONCE
) -> AsyncIterator[R]:
    """Results as they come; the first error ends what is under way and is raised."""
    waiting = iter(items)
    running: set[asyncio.Task[R]] = set()

    async def run(item: T) -> R:
        return await work(item)

    try:
        while True:
            while len(running) < at_once and (item := next(waiting, _END)) is not _END:
                running.add(asyncio.create_task(run(item)))  # type: ignore[arg-type]
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


_END = object()


def _id_in(stage: str, stored: Stored) -> str:
    if stage != INGEST.stage:
        return query_id_of(stored.body, stored.headers.get(MESSAGE_ID, ""))
    try:
        return decode(Document, stored.body).id
    except DecodeError:
        return ""


async def _messages(bus: Bus, stream: Stream, scope: Scope) -> AsyncIterator[Stored]:
    taken = await _taken(bus, stream) if scope.waiting_only else {}
    for pattern in stream.subjects:
        subject = subjects.of_tenant(pattern, scope.tenant) if scope.tenant else pattern
        async for stored in read_all(bus, stream.name, subject):
            if stored.sequence > _last_taken(stored.subject, taken):
                yield stored


async def _taken(bus: Bus, stream: Stream) -> Mapping[str, int]:
    """For each consumer's subject, the last sequence that a worker has got to see."""
    api = JetStreamApi(bus, bus.settings.publish_timeout_s)
    infos = [await api.consumer(stream.name, durable) for durable in await api.consumers(stream.name)]
    return {info.config.filter_subject: info.delivered.stream_seq for info in infos}


def _last_taken(subject: str, taken: Mapping[str, int]) -> int:
    return max((last for pattern, last in taken.items() if subjects.matches(pattern, subject)), default=0)


async def _tell_withdrawn(bus: Bus, target: Target) -> None:
    if target.id:
        problem = Withdrawn(f"{target.id!r} was not indexed.").problem()
        await report_outcome(
            bus, target.tenant, Outcome(document_id=target.id, status="failed", problem=problem)
        )
