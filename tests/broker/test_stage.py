"""Pull, work and settle on a real nats-server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.connection import Bus
from bus.consume import PullLoop, Source
from bus.delivery import Delivery, Work
from bus.envelope import Envelope, now_ms
from bus.publish import publish
from bus.stage import run_stage
from bus.testing import NatsServer, eventually
from bus.topology import DLQ, GENERATE
from contracts import Accepted, Failed, GenerateJob, Query, encode
from contracts.errors import DependencyUnavailable, InvalidQuery

DURABLE = "generation-default"


async def send(bus: Bus, query_id: str, *, body: bytes | None = None, deadline_s: float = 60) -> None:
    envelope = Envelope(deadline=now_ms() + int(deadline_s * 1000))
    job = body if body is not None else encode(GenerateJob(query_id=query_id, first_sequence=0))
    headers = envelope.headers(message_id=f"{query_id}:generate", schema="generate-job/1")
    await publish(bus, subjects.generate("default", "acme"), job, headers=headers)


@asynccontextmanager
async def stage(bus: Bus, work: Work[GenerateJob], *, concurrency: int = 4) -> AsyncIterator[PullLoop]:
    source = Source(GENERATE.name, DURABLE, concurrency)
    async with run_stage(bus, source, GenerateJob, work, drain_grace_s=1) as loop:
        yield loop


async def unsettled(bus: Bus) -> tuple[int, int]:
    info = await bus.js.consumer_info(GENERATE.name, DURABLE)
    return info.num_pending or 0, info.num_ack_pending or 0


async def test_every_message_is_worked_once_and_none_stays_pending(bus: Bus) -> None:
    seen: list[str] = []

    async def work(delivery: Delivery[GenerateJob]) -> None:
        seen.append(delivery.body.query_id)

    async with stage(bus, work):
        for number in range(200):
            await send(bus, f"q{number}")
        await eventually(lambda: len(seen) == 200)

    assert sorted(seen) == sorted(f"q{number}" for number in range(200))
    assert await unsettled(bus) == (0, 0)


async def test_no_more_messages_are_fetched_than_there_are_free_slots(bus: Bus) -> None:
    release = asyncio.Event()
    held: list[str] = []

    async def work(delivery: Delivery[GenerateJob]) -> None:
        held.append(delivery.body.query_id)
        await release.wait()

    for number in range(20):
        await send(bus, f"q{number}")
    async with stage(bus, work, concurrency=3):
        await eventually(lambda: len(held) == 3)
        assert await unsettled(bus) == (17, 3)
        release.set()
        await eventually(lambda: len(held) == 20)


async def test_work_longer_than_ack_wait_is_not_delivered_twice(bus: Bus) -> None:
    attempts: list[int] = []

    async def work(delivery: Delivery[GenerateJob]) -> None:
        attempts.append(delivery.attempt)
        await asyncio.sleep(2 * bus.settings.ack_wait_s)

    async with stage(bus, work):
        await send(bus, "slow")
        await eventually(lambda: len(attempts) == 1)
        await eventually(lambda: _settled(bus), within_s=10)

    assert attempts == [1]


async def _settled(bus: Bus) -> bool:
    return await unsettled(bus) == (0, 0)


async def test_a_transient_fault_is_tried_again_and_then_succeeds(bus: Bus) -> None:
    attempts: list[int] = []

    async def work(delivery: Delivery[GenerateJob]) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 2:
            raise DependencyUnavailable("PostgreSQL is restarting.")

    async with stage(bus, work):
        await send(bus, "again")
        await eventually(lambda: attempts == [1, 2])
    assert await unsettled(bus) == (0, 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{broken", "undecodable"),
        (b'{"query_id": "dead", "first_sequence": "x"}', "undecodable"),
        (None, "invalid-query"),
    ],
)
async def test_a_permanent_fault_is_said_on_the_log_and_buried(
    bus: Bus, body: bytes | None, code: str
) -> None:
    await AnswerWriter(bus, "acme", "dead").append_once(
        Accepted(tenant="acme", query=Query(id="dead", question="?"), deadline=1)
    )

    async def work(delivery: Delivery[GenerateJob]) -> None:
        raise InvalidQuery("The question is 'nonsense'.")

    async with stage(bus, work):
        await send(bus, "dead", body=body)
        await eventually(lambda: _settled(bus))
        await eventually(lambda: _buried(bus))

    state = await read_log(bus, "acme", "dead")
    assert isinstance(state.terminal, Failed)
    assert state.terminal.problem.code == code
    letter = await bus.js.get_msg(DLQ.name, 1)
    assert letter.headers is not None
    assert letter.headers["Af-Dead-Code"] == code
    assert letter.headers["Af-Dead-Attempts"] == "1"


async def _buried(bus: Bus) -> bool:
    return (await bus.js.stream_info(DLQ.name)).state.messages == 1


async def test_expired_work_is_dropped_before_any_work_and_said_on_the_log(bus: Bus) -> None:
    worked: list[str] = []

    async def work(delivery: Delivery[GenerateJob]) -> None:
        worked.append(delivery.body.query_id)

    async with stage(bus, work):
        await send(bus, "late", deadline_s=-1)
        await eventually(lambda: _terminal(bus, "late"))

    state = await read_log(bus, "acme", "late")
    assert isinstance(state.terminal, Failed)
    assert state.terminal.problem.code == "deadline-exceeded"
    assert worked == []
    assert (await bus.js.stream_info(DLQ.name)).state.messages == 0


async def _terminal(bus: Bus, query_id: str) -> bool:
    return (await read_log(bus, "acme", query_id)).terminal is not None


async def test_shutdown_hands_unfinished_work_to_another_worker_at_once(bus: Bus) -> None:
    started = asyncio.Event()

    async def forever(delivery: Delivery[GenerateJob]) -> None:
        started.set()
        await asyncio.Event().wait()

    await send(bus, "moved")
    source = Source(GENERATE.name, DURABLE, 2)
    async with run_stage(bus, source, GenerateJob, forever, drain_grace_s=0.05):
        async with asyncio.timeout(5):
            await started.wait()
    finished = asyncio.Event()

    async def finish(delivery: Delivery[GenerateJob]) -> None:
        finished.set()

    async with stage(bus, finish), asyncio.timeout(bus.settings.ack_wait_s / 2):
        await finished.wait()
    assert await unsettled(bus) == (0, 0)


async def test_the_loop_goes_on_after_the_server_was_killed_and_restarted(
    bus: Bus, nats_server: NatsServer
) -> None:
    seen: set[str] = set()

    async def work(delivery: Delivery[GenerateJob]) -> None:
        seen.add(delivery.body.query_id)

    async with stage(bus, work):
        await send(bus, "before")
        await eventually(lambda: "before" in seen)
        nats_server.kill()
        nats_server.start()
        await send(bus, "after")
        await eventually(lambda: "after" in seen, within_s=30)
    assert seen == {"before", "after"}


async def test_a_repeated_publish_with_the_same_id_is_stored_once(bus: Bus) -> None:
    await send(bus, "same")
    await send(bus, "same")

    assert (await unsettled(bus))[0] == 1
