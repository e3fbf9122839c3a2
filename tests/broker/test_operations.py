"""Cancelling many queries at once, on a real nats-server."""

import asyncio

import pytest

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.asking import publish_query
from bus.cancellation import watch_cancellations
from bus.connection import Bus
from bus.consume import Source
from bus.delivery import Delivery
from bus.documents import outcomes, publish_document
from bus.envelope import Envelope, now_ms
from bus.operations import Scope, Target, cancel_one, cancel_target, find_targets, in_parallel
from bus.publish import publish
from bus.stage import run_stage
from bus.subjects import Lane
from bus.testing import eventually
from bus.topology import GENERATE, INGEST, ROUTE, STAGES, Stream
from contracts import Accepted, Cancelled, Document, Done, GenerateJob, Query, encode


async def wait_for_router(bus: Bus, tenant: str, query_id: str) -> None:
    await publish_query(bus, tenant, Query(id=query_id, question="?"), deadline=now_ms() + 60_000)


async def wait_for_generation(bus: Bus, tenant: str, query_id: str, *, lane: Lane = Lane.FRESH) -> None:
    accepted = Accepted(tenant=tenant, query=Query(id=query_id, question="?"), deadline=now_ms() + 60_000)
    await AnswerWriter(bus, tenant, query_id).append_once(accepted)
    headers = Envelope(deadline=now_ms() + 60_000).headers(
        message_id=f"{tenant}:{query_id}:generate", schema="generate-job/1"
    )
    job = encode(GenerateJob(query_id=query_id, first_sequence=1))
    await publish(bus, subjects.generate("default", tenant, lane), job, headers=headers)


async def cancel_all(bus: Bus, scope: Scope) -> list[str]:
    targets = await find_targets(bus, scope)

    async def one(target: Target) -> str:
        return await cancel_target(bus, target)

    return [fate async for fate in in_parallel(targets, one)]


async def ended(bus: Bus, tenant: str, query_id: str) -> bool:
    return isinstance((await read_log(bus, tenant, query_id)).terminal, Cancelled)


async def stored(bus: Bus, stream: Stream) -> int:
    return (await bus.js.stream_info(stream.name)).state.messages


async def names(bus: Bus, scope: Scope) -> set[tuple[str, str]]:
    return {(target.tenant, target.id) for target in await find_targets(bus, scope)}


async def test_a_scope_chooses_by_tenant_stage_or_all_in_both_lanes(bus: Bus) -> None:
    await wait_for_router(bus, "acme", "q1")
    await wait_for_router(bus, "globex", "q2")
    await wait_for_generation(bus, "acme", "q3")
    await wait_for_generation(bus, "acme", "q4", lane=Lane.BULK)
    await publish_document(bus, "acme", Document(id="d", content=b"eA=="))

    all_queries = {("acme", "q1"), ("globex", "q2"), ("acme", "q3"), ("acme", "q4")}
    assert await names(bus, Scope()) == all_queries
    assert await names(bus, Scope(tenant="acme")) == all_queries - {("globex", "q2")}
    assert await names(bus, Scope(stage="generation")) == {("acme", "q3"), ("acme", "q4")}
    assert await names(bus, Scope(stage="router", tenant="globex")) == {("globex", "q2")}
    assert await names(bus, Scope(stage="ingest")) == {("acme", "d")}


async def test_what_waits_ends_as_cancelled_by_the_operator_and_leaves_its_queue(bus: Bus) -> None:
    await wait_for_router(bus, "acme", "q1")
    for number in range(2, 50):
        await wait_for_generation(bus, "acme", f"q{number}")
    await wait_for_generation(bus, "globex", "other")

    assert await cancel_all(bus, Scope(tenant="acme")) == ["cancelled"] * 49

    for number in range(1, 50):
        state = await read_log(bus, "acme", f"q{number}")
        assert isinstance(state.terminal, Cancelled)
        assert state.terminal.reason == "by the operator"
    assert (await stored(bus, ROUTE), await stored(bus, GENERATE)) == (0, 1)
    assert not await ended(bus, "globex", "other")
    assert await cancel_all(bus, Scope(tenant="acme")) == []


async def test_a_query_with_work_in_two_stages_is_one_target(bus: Bus) -> None:
    for subject in (subjects.retrieve("acme"), subjects.sql("acme")):
        await publish(bus, subject, b'{"query_id": "both"}', headers={"Nats-Msg-Id": subject})
    (target,) = await find_targets(bus, Scope())
    assert len(target.messages) == 2
    assert await cancel_target(bus, target) == "cancelled"
    assert [await stored(bus, stream) for stream in STAGES.values()] == [0] * 5


async def test_cancelling_stops_the_work_in_hand_and_leaves_nothing_unacknowledged(bus: Bus) -> None:
    stopped = asyncio.Event()
    async with watch_cancellations(bus) as cancellations:

        async def work(delivery: Delivery[GenerateJob]) -> None:
            async def forever() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    stopped.set()

            await cancellations.run(delivery.tenant, delivery.body.query_id, forever())

        async with run_stage(bus, Source.of(GENERATE, 2), GenerateJob, work, drain_grace_s=1) as loop:
            await wait_for_generation(bus, "acme", "busy")
            await eventually(lambda: loop.in_work == 1)
            assert await cancel_all(bus, Scope(stage="generation")) == ["cancelled"]
            async with asyncio.timeout(1):
                await stopped.wait()
            await eventually(lambda: settled(bus))
    assert await ended(bus, "acme", "busy")


async def settled(bus: Bus) -> bool:
    info = await bus.js.consumer_info(GENERATE.name, "generation-default")
    return (info.num_pending, info.num_ack_pending) == (0, 0)


async def test_flushing_leaves_what_a_worker_has_in_hand(bus: Bus) -> None:
    for number in range(4):
        await wait_for_generation(bus, "acme", f"q{number}")
    await wait_for_generation(bus, "acme", "bulk", lane=Lane.BULK)
    subscription = await bus.js.pull_subscribe_bind("generation-default", GENERATE.name)
    held = await subscription.fetch(2, timeout=2)

    assert await cancel_all(bus, Scope(waiting_only=True)) == ["cancelled"] * 3

    assert [await ended(bus, "acme", f"q{number}") for number in range(4)] == [False, False, True, True]
    assert await ended(bus, "acme", "bulk")
    assert await stored(bus, GENERATE) == 2
    for message in held:
        await message.ack_sync()
    assert await settled(bus)


async def test_an_answer_that_ended_keeps_its_end_and_its_left_over_message_goes(bus: Bus) -> None:
    await wait_for_generation(bus, "acme", "done")
    await AnswerWriter(bus, "acme", "done").append_once(Done(text="42"))
    assert await cancel_all(bus, Scope()) == ["ended"]
    assert isinstance((await read_log(bus, "acme", "done")).terminal, Done)
    assert await stored(bus, GENERATE) == 0


async def test_one_answer_is_cancelled_by_its_id_wherever_it_is(bus: Bus) -> None:
    await wait_for_generation(bus, "acme", "q1")
    await wait_for_router(bus, "acme", "q2")
    assert await cancel_one(bus, "acme", "q1") == "cancelled"
    assert await cancel_one(bus, "acme", "q1") == "ended"
    assert await cancel_one(bus, "acme", "q2") == "cancelled"
    assert await ended(bus, "acme", "q2")
    assert await cancel_one(bus, "globex", "q1") == "unknown"


async def test_documents_leave_the_queue_and_their_sender_is_told(bus: Bus) -> None:
    async with outcomes(bus, "acme") as reported:
        for number in range(3):
            await publish_document(bus, "acme", Document(id=f"d/{number}", content=b"eA=="))
        assert await cancel_all(bus, Scope(stage="ingest", tenant="acme")) == ["cancelled"] * 3
        told = [await anext(reported) for _ in range(3)]
    assert {outcome.document_id for outcome in told} == {"d/0", "d/1", "d/2"}
    assert {outcome.problem.code for outcome in told if outcome.problem} == {"withdrawn"}
    assert await stored(bus, INGEST) == 0


async def test_messages_that_can_not_be_read_leave_the_queue_too(bus: Bus) -> None:
    for body in (b"{broken", b"[]", b""):
        await publish(bus, subjects.query("acme"), body, headers={"Nats-Msg-Id": "!" + body.decode()})
    assert await cancel_all(bus, Scope(stage="router")) == ["cancelled"] * 3
    assert await stored(bus, ROUTE) == 0


async def test_work_in_parallel_keeps_its_limit_and_ends_with_the_first_error() -> None:
    running, most = 0, 0

    async def one(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        if number == 30:
            raise ValueError(number)
        return number

    assert sorted([found async for found in in_parallel(range(20), one, at_once=4)]) == list(range(20))
    assert most == 4
    with pytest.raises(ValueError, match="30"):
        assert [found async for found in in_parallel(range(100), one, at_once=4)]
    assert running == 0
