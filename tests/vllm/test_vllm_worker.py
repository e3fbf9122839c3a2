"""The generation worker on the real vLLM engine and a real nats-server.

The engine's own behaviour (structure, overflow, adapters) is held by tests/engines on this engine.
"""

import asyncio
import time
from uuid import uuid4

import pytest
from vllm_worker import SLOTS, VllmWorker, Workers

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.asking import cancel_query
from bus.connection import Bus
from bus.envelope import Envelope, now_ms
from bus.publish import publish
from bus.testing import eventually
from bus.topology import GENERATE
from contracts import (
    Accepted,
    Cancelled,
    Delta,
    Done,
    Event,
    Evidence,
    GenerateJob,
    Passage,
    Query,
    Route,
    Routed,
    encode,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUESTS = "askfleet_engine_requests"
TENANT = "acme"
WEEK = "List the days of the week, one in each line, with what you can do on it."
STORY = "Write a long story about the days of the week."
"""Here the small model cites nothing: a citation that was moved is context that a continued answer lacks."""
PASSAGE = Passage(
    chunk_id="c1",
    document_id="d1",
    title="Days of the week",
    source="week.md",
    text="The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",
    score=1.0,
)


async def ask(bus: Bus, *, max_tokens: int, question: str = WEEK, deadline_s: float = 300) -> str:
    """What router and retrieval leave for the generation worker; returns the id of the query."""
    query = Query(id=uuid4().hex, question=question, max_tokens=max_tokens)
    deadline = now_ms() + int(deadline_s * 1000)
    writer = AnswerWriter(bus, TENANT, query.id)
    await writer.append(Accepted(tenant=TENANT, query=query, deadline=deadline))
    await writer.append(Routed(route=Route.DOCUMENTS, confidence=1.0))
    await writer.append(Evidence(passages=(PASSAGE,)))
    job = GenerateJob(query_id=query.id, first_sequence=writer.position.first_sequence)
    headers = Envelope(deadline=deadline).headers(message_id=f"{query.id}:generate", schema="generate-job/1")
    await publish(bus, subjects.generate("default", TENANT), encode(job), headers=headers)
    return query.id


async def events_of(bus: Bus, query_id: str) -> tuple[Event, ...]:
    return (await read_log(bus, TENANT, query_id)).events


async def deltas_of(bus: Bus, query_id: str) -> list[Delta]:
    return [event for event in await events_of(bus, query_id) if isinstance(event, Delta)]


async def ended(bus: Bus, query_id: str) -> Event:
    async def has_ended() -> bool:
        return (await read_log(bus, TENANT, query_id)).terminal is not None

    await eventually(has_ended, within_s=240, every_s=0.05)
    return (await events_of(bus, query_id))[-1]


async def begun(bus: Bus, query_id: str, *, deltas: int = 3) -> None:
    async def has_begun() -> bool:
        return len(await deltas_of(bus, query_id)) >= deltas

    await eventually(has_begun, within_s=120, every_s=0.01)


async def unsettled(bus: Bus) -> tuple[int, int]:
    info = await bus.js.consumer_info(GENERATE.name, "generation-default")
    return info.num_pending or 0, info.num_ack_pending or 0


async def settled(bus: Bus) -> None:
    async def is_settled() -> bool:
        return await unsettled(bus) == (0, 0)

    await eventually(is_settled, within_s=20)


async def test_the_start_is_told_in_phases(worker: VllmWorker) -> None:
    phases = ("process", "start", "weights", "warm-up")
    took = {phase: await worker.metric("askfleet_start_seconds", phase=phase) for phase in phases}
    assert all(seconds > 0 for seconds in took.values()), took
    assert took["start"] > took["weights"] + took["warm-up"]


async def test_an_answer_streams_onto_its_log_and_its_tokens_are_counted(
    worker: VllmWorker, fleet_bus: Bus
) -> None:
    query_id = await ask(fleet_bus, max_tokens=24)
    done = await ended(fleet_bus, query_id)
    deltas = await deltas_of(fleet_bus, query_id)

    assert isinstance(done, Done)
    assert len(deltas) > 3
    assert done.text == "".join(delta.text for delta in deltas)
    assert 0 < done.usage.completion_tokens <= 24
    assert done.usage.prompt_tokens > 20
    await settled(fleet_bus)
    assert await worker.metric(REQUESTS) == 0


async def test_16_answers_are_in_the_engine_together(worker: VllmWorker, fleet_bus: Bus) -> None:
    asked = [await ask(fleet_bus, max_tokens=48) for _ in range(SLOTS)]
    await worker.until(REQUESTS, lambda number: number == SLOTS, within_s=60)
    last = await asyncio.gather(*(ended(fleet_bus, query_id) for query_id in asked))

    assert all(isinstance(event, Done) for event in last)
    await settled(fleet_bus)
    assert await worker.metric(REQUESTS) == 0


async def test_the_same_evidence_asked_again_comes_from_the_cache(worker: VllmWorker, fleet_bus: Bus) -> None:
    await ended(fleet_bus, await ask(fleet_bus, max_tokens=4))
    done = await ended(fleet_bus, await ask(fleet_bus, max_tokens=4))
    assert isinstance(done, Done)
    assert done.usage.cached_prompt_tokens > done.usage.prompt_tokens / 2


async def test_a_cancelled_answer_leaves_no_request_in_the_engine(worker: VllmWorker, fleet_bus: Bus) -> None:
    query_id = await ask(fleet_bus, max_tokens=400)
    await begun(fleet_bus, query_id)
    await cancel_query(fleet_bus, TENANT, query_id)

    await worker.until(REQUESTS, lambda number: number == 0, within_s=1)
    assert isinstance(await ended(fleet_bus, query_id), Cancelled)
    await settled(fleet_bus)


async def test_a_passed_deadline_leaves_no_request_in_the_engine(worker: VllmWorker, fleet_bus: Bus) -> None:
    begin = time.monotonic()
    await ended(fleet_bus, await ask(fleet_bus, max_tokens=400))
    took_s = time.monotonic() - begin
    query_id = await ask(fleet_bus, max_tokens=400, deadline_s=took_s / 2)
    assert (await ended(fleet_bus, query_id)).type == "failed"
    assert await deltas_of(fleet_bus, query_id)

    await worker.until(REQUESTS, lambda number: number == 0, within_s=1)
    await settled(fleet_bus)


async def test_a_worker_whose_engine_core_dies_ends_and_another_writes_the_same_answer_to_its_end(
    worker: VllmWorker, fleet_bus: Bus, workers: Workers
) -> None:
    whole = await ended(fleet_bus, await ask(fleet_bus, max_tokens=96, question=STORY))
    cut = await ask(fleet_bus, max_tokens=96, question=STORY)
    await begun(fleet_bus, cut, deltas=12)
    worker.kill_engine_core()

    assert await worker.exit_code(within_s=60) == 1
    standing = "".join(delta.text for delta in await deltas_of(fleet_bus, cut))
    assert (await read_log(fleet_bus, TENANT, cut)).terminal is None
    await workers.running()
    done = await ended(fleet_bus, cut)

    assert isinstance(whole, Done)
    assert isinstance(done, Done)
    assert done.text.startswith(standing)
    assert 0 < len(standing) < len(done.text)
    assert done.text == whole.text
    assert done.text == "".join(delta.text for delta in await deltas_of(fleet_bus, cut))
    attempts = {delta.id.partition(":")[0] for delta in await deltas_of(fleet_bus, cut)}
    assert len(attempts) == 2
    await settled(fleet_bus)
