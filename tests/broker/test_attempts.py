"""What counts as an attempt, and when a message is given up."""

import asyncio

import pytest

from bus import subjects
from bus.connection import Bus, connect
from bus.consume import Source
from bus.delivery import Delivery, Work
from bus.envelope import Envelope, now_ms
from bus.provision import provision
from bus.publish import publish
from bus.settings import BusSettings
from bus.stage import run_stage
from bus.testing import eventually
from bus.topology import DLQ, GENERATE, HANDED_BACK
from contracts import GenerateJob, encode
from contracts.errors import DependencyUnavailable


@pytest.fixture
def bus_settings(nats_url: str) -> BusSettings:
    return BusSettings(nats_url=nats_url, ack_wait_s=0.5, max_deliver=3, publish_timeout_s=2.0)


async def send(bus: Bus, query_id: str) -> None:
    headers = Envelope(deadline=now_ms() + 60_000).headers(
        message_id=f"{query_id}:generate", schema="generate-job/1"
    )
    job = encode(GenerateJob(query_id=query_id, first_sequence=0))
    await publish(bus, subjects.generate("default", "acme"), job, headers=headers)


async def run_until(bus: Bus, work: Work[GenerateJob], reached: asyncio.Event) -> None:
    source = Source.of(GENERATE, 4)
    async with run_stage(bus, source, GenerateJob, work, drain_grace_s=0), asyncio.timeout(10):
        await reached.wait()


async def buried(bus: Bus) -> int:
    return (await bus.js.stream_info(DLQ.name)).state.messages


async def test_work_that_was_handed_back_at_shutdown_keeps_its_attempts(bus: Bus) -> None:
    await send(bus, "moved")
    for _ in range(4):
        started = asyncio.Event()

        async def hold(_: Delivery[GenerateJob], started: asyncio.Event = started) -> None:
            started.set()
            await asyncio.Event().wait()

        await run_until(bus, hold, started)
    assert (await bus.js.stream_info(HANDED_BACK.name)).state.messages == 4

    failed, done = asyncio.Event(), asyncio.Event()

    async def fail_once(_: Delivery[GenerateJob]) -> None:
        if not failed.is_set():
            failed.set()
            raise DependencyUnavailable("PostgreSQL is restarting.")
        done.set()

    await run_until(bus, fail_once, done)
    assert await buried(bus) == 0


async def test_a_message_whose_workers_all_died_is_buried_untried(bus: Bus) -> None:
    """Each pull without an acknowledgement is a worker that was killed."""
    await send(bus, "poison")
    pull = await bus.js.pull_subscribe_bind(GENERATE.consumers[0].durable, GENERATE.name)
    for _ in range(bus.settings.max_deliver - 1):
        await pull.fetch(1, timeout=5)
    worked: list[str] = []

    async def work(delivery: Delivery[GenerateJob]) -> None:
        worked.append(delivery.body.query_id)

    async with run_stage(bus, Source.of(GENERATE, 4), GenerateJob, work, drain_grace_s=1):
        await eventually(lambda: _is_buried(bus))

    assert worked == []
    assert (await bus.js.stream_info(GENERATE.name)).state.messages == 0


async def _is_buried(bus: Bus) -> bool:
    return await buried(bus) == 1


async def test_redelivered_work_leaves_half_of_the_slots_to_fresh_work(bus_settings: BusSettings) -> None:
    """More retries than slots, and each takes long: fresh messages are worked on meanwhile."""
    settings = bus_settings.model_copy(update={"max_deliver": 9})
    async with connect(settings, name="test") as bus:
        await provision(bus.js, settings)
        for number in range(8):
            await send(bus, f"again-{number}")
        pull = await bus.js.pull_subscribe_bind(GENERATE.consumers[0].durable, GENERATE.name)
        taken = await pull.fetch(8, timeout=5)
        for number in range(4):
            await send(bus, f"fresh-{number}")
        for message in taken:
            await message.nak()
        begun: list[str] = []
        release = asyncio.Event()

        async def work(delivery: Delivery[GenerateJob]) -> None:
            begun.append(delivery.body.query_id)
            await release.wait()

        async with run_stage(bus, Source.of(GENERATE, 4), GenerateJob, work, drain_grace_s=1):
            await eventually(lambda: len(begun) == 4)
            assert sum(query_id.startswith("fresh") for query_id in begun) >= 2
            release.set()
            await eventually(lambda: len(set(begun)) == 12, within_s=20)
