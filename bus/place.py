"""Where a query waits and how much stands before it, as far as the queues tell."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from bus import subjects
from bus.asking import find_waiting
from bus.connection import Bus
from bus.envelope import MESSAGE_ID, query_id_of
from bus.jetstream import JetStreamApi
from bus.stored import read_batch
from bus.subjects import Lane
from bus.topology import GENERATE, RETRIEVE, ROUTE, SQL, Stream, bulk, generation_durable
from contracts import Accepted, Event, Evidence, Route, Routed, Rows, queue_of

CLOCK_SKEW_MS = 5_000
"""Between the worker that stamped an event and the server that stored the job after it."""
LONGEST_SEARCH = 256
"""Jobs of the same tenant that were stored since: behind so many, the own one is not looked for."""


class Place(BaseModel):
    """One stage that the query is at. Where it waits, `ahead` others were stored before it."""

    model_config = ConfigDict(frozen=True)

    stage: str
    state: Literal["waiting", "working"]
    ahead: int = Field(default=0, description="of all tenants, in the same lane or not: about so many")


class _Job(NamedTuple):
    stream: Stream
    lane: Lane
    sequence: int


async def find_places(
    bus: Bus, key: subjects.AnswerKey, events: Sequence[Event], *, model: str = "default"
) -> tuple[Place, ...]:
    """Two for a query that is looked for in documents and database at once; none between two stages.

    Args:
        events: what its log holds by now.

    Raises:
        DependencyUnavailable: NATS did not answer.
    """
    if not events:
        waiting = await find_waiting(bus, *key)
        return (await _place(bus, _Job(ROUTE, waiting.lane, waiting.sequence), model),) if waiting else ()
    since_ms = events[-1].at - CLOCK_SKEW_MS
    first = events[0]
    model = first.query.model if isinstance(first, Accepted) else model
    found = [await _find(bus, stream, key, since_ms) for stream in _expected(events)]
    return tuple([await _place(bus, job, model) for job in found if job is not None])


def _expected(events: Sequence[Event]) -> Iterator[Stream]:
    routed = next((event for event in events if isinstance(event, Routed)), None)
    if routed is None:
        return
    kinds = {type(event) for event in events}
    documents = routed.route in (Route.DOCUMENTS, Route.BOTH) and Evidence not in kinds
    database = routed.route in (Route.SQL, Route.BOTH) and Rows not in kinds
    if documents:
        yield RETRIEVE
    if database:
        yield SQL
    if not documents and not database:
        yield GENERATE


async def _find(bus: Bus, stream: Stream, key: subjects.AnswerKey, since_ms: int) -> _Job | None:
    for lane, pattern in zip(Lane, stream.subjects, strict=True):
        subject = subjects.of_tenant(pattern, key.tenant)
        batch = await read_batch(bus, stream.name, subject, since_ms=since_ms, limit=LONGEST_SEARCH)
        for stored in batch.messages:
            if query_id_of(stored.body, stored.headers.get(MESSAGE_ID, "")) == key.query_id:
                return _Job(stream, lane, stored.sequence)
    return None


async def _place(bus: Bus, job: _Job, model: str) -> Place:
    api = JetStreamApi(bus, bus.settings.publish_timeout_s)
    durable = (
        generation_durable(queue_of(model)) if job.stream is GENERATE else job.stream.consumers[0].durable
    )
    consumer = await api.consumer(job.stream.name, durable if job.lane is Lane.FRESH else bulk(durable))
    stage = job.stream.stage
    if consumer.delivered.stream_seq >= job.sequence:
        return Place(stage=stage, state="working")
    last = (await api.stream(job.stream.name)).state.last_seq
    return Place(stage=stage, state="waiting", ahead=max(0, consumer.num_pending - 1 - (last - job.sequence)))
