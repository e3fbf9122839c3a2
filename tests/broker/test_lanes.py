"""Fresh and bulk lanes of one stage, and a flooding tenant, on a real nats-server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus import subjects
from bus.connection import Bus
from bus.consume import PullLoop, Shares, Source
from bus.delivery import Delivery, Work
from bus.envelope import Envelope, message_id, now_ms
from bus.fairness import Backlogs
from bus.publish import publish
from bus.stage import run_stage
from bus.subjects import Lane
from bus.testing import eventually
from bus.topology import GENERATE, ROUTE
from contracts import SCHEMAS, GenerateJob, Query, encode
from workers.router.admission import admit

QUICK_S = 0.01


async def send(bus: Bus, query_id: str, *, lane: Lane, tenant: str = "acme") -> None:
    headers = Envelope(deadline=now_ms() + 60_000).headers(
        message_id=message_id(tenant, query_id, "generate"), schema=SCHEMAS[GenerateJob]
    )
    job = GenerateJob(query_id=query_id, first_sequence=0)
    await publish(bus, subjects.generate("default", tenant, lane), encode(job), headers=headers)


async def send_many(bus: Bus, count: int, *, lane: Lane, name: str) -> None:
    await asyncio.gather(*(send(bus, f"{name}-{number}", lane=lane) for number in range(count)))


@asynccontextmanager
async def stage(bus: Bus, work: Work[GenerateJob], *, concurrency: int) -> AsyncIterator[PullLoop]:
    async with run_stage(
        bus, Source.of(GENERATE, concurrency, bulk_share=0.875), GenerateJob, work, drain_grace_s=1
    ) as loop:
        yield loop


async def in_work(bus: Bus) -> int:
    infos = [await bus.js.consumer_info(GENERATE.name, each.durable) for each in GENERATE.consumers]
    return sum(info.num_ack_pending or 0 for info in infos)


class Worked:
    """Notes the ids in the order in which they were begun, and how many were in work at once."""

    def __init__(self, *, each_s: float = QUICK_S) -> None:
        self.begun: list[str] = []
        self.now = 0
        self.most = 0
        self._each_s = each_s

    async def __call__(self, delivery: Delivery[GenerateJob]) -> None:
        self.begun.append(delivery.body.query_id)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self._each_s)
        self.now -= 1

    def of(self, name: str) -> int:
        return sum(query_id.startswith(name) for query_id in self.begun)


@pytest.mark.parametrize("concurrency", [1, 4, 16])
async def test_both_lanes_are_worked_off_and_nothing_stays_pending(bus: Bus, concurrency: int) -> None:
    worked = Worked()
    await send_many(bus, 20, lane=Lane.BULK, name="bulk")
    async with stage(bus, worked, concurrency=concurrency):
        await send_many(bus, 20, lane=Lane.FRESH, name="fresh")
        await eventually(lambda: len(worked.begun) == 40)
        await eventually(lambda: _idle(bus))

    assert len(set(worked.begun)) == 40
    assert worked.most <= concurrency


async def _idle(bus: Bus) -> bool:
    return await in_work(bus) == 0


async def test_the_two_lanes_together_hold_no_more_than_the_free_slots(bus: Bus) -> None:
    release = asyncio.Event()

    async def work(delivery: Delivery[GenerateJob]) -> None:
        await release.wait()

    await send_many(bus, 10, lane=Lane.BULK, name="bulk")
    async with stage(bus, work, concurrency=4) as loop:
        await eventually(lambda: loop.in_work >= 3)
        await send_many(bus, 10, lane=Lane.FRESH, name="fresh")
        await eventually(lambda: loop.in_work == 4)
        assert await in_work(bus) == 4
        release.set()


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_fresh_work_overtakes_the_bulk_that_waits(bus: Bus, concurrency: int) -> None:
    worked = Worked(each_s=0.02)
    await send_many(bus, 100, lane=Lane.BULK, name="bulk")
    async with stage(bus, worked, concurrency=concurrency):
        await eventually(lambda: worked.of("bulk") >= 8)
        before = worked.of("bulk")
        await send_many(bus, 8, lane=Lane.FRESH, name="fresh")
        await eventually(lambda: worked.of("fresh") == 8)
        assert worked.of("bulk") < before + 60
        await eventually(lambda: len(worked.begun) == 108)


async def test_bulk_work_goes_on_under_a_steady_stream_of_fresh_work(bus: Bus) -> None:
    worked = Worked(each_s=0.05)
    await send_many(bus, 600, lane=Lane.FRESH, name="fresh")
    await send_many(bus, 2, lane=Lane.BULK, name="bulk")
    async with stage(bus, worked, concurrency=2):
        await eventually(lambda: worked.of("bulk") == 2, within_s=15)
        assert worked.of("fresh") < 600


def test_bulk_work_gets_its_share_and_an_eighth_beside_fresh_work() -> None:
    assert Shares(16, 0.875).bulk(fresh_waits=False, starved=False) == 14
    assert Shares(16, 0.25).bulk(fresh_waits=False, starved=False) == 4
    assert Shares(16, 0.25).bulk(fresh_waits=True, starved=False) == 2
    assert Shares(4, 1.0).bulk(fresh_waits=False, starved=False) == 3
    assert Shares(4, 0.25).bulk(fresh_waits=True, starved=False) == 0
    assert Shares(4, 0.25).bulk(fresh_waits=True, starved=True) == 1
    assert Shares(1, 0.25).bulk(fresh_waits=False, starved=False) == 1


async def ask(bus: Bus, tenant: str, query_id: str) -> None:
    headers = Envelope(deadline=now_ms() + 60_000).headers(
        message_id=message_id(tenant, query_id, "query"), schema=SCHEMAS[Query]
    )
    query = Query(id=query_id, question="?")
    await publish(bus, subjects.query(tenant), encode(query), headers=headers)


async def test_a_flood_steps_aside_for_another_tenant_and_none_of_it_is_lost(bus: Bus) -> None:
    backlogs = Backlogs(bus, limit=10)
    order: list[str] = []

    async def hand_on(delivery: Delivery[Query]) -> None:
        await send(bus, delivery.body.id, lane=delivery.lane, tenant=delivery.tenant)

    async def generate(delivery: Delivery[GenerateJob]) -> None:
        order.append(delivery.body.query_id)
        await asyncio.sleep(QUICK_S)

    await asyncio.gather(*(ask(bus, "loud", f"loud-{number}") for number in range(400)))
    await backlogs.refresh()
    refreshing = asyncio.create_task(backlogs.refresh_forever())
    router = Source.of(ROUTE, 16)
    async with (
        run_stage(bus, router, Query, admit(bus, backlogs, hand_on), drain_grace_s=1),
        stage(bus, generate, concurrency=2),
    ):
        await eventually(lambda: len(order) > 20)
        await asyncio.gather(*(ask(bus, "quiet", f"quiet-{number}") for number in range(5)))
        await eventually(lambda: len(order) == 405, within_s=30)
    refreshing.cancel()

    last_quiet = max(place for place, query_id in enumerate(order) if query_id.startswith("quiet"))
    assert len(set(order)) == 405
    assert last_quiet < 300, "the quiet tenant waited behind the flood"


async def test_backlogs_count_all_queues_and_what_passed_since(bus: Bus) -> None:
    backlogs = Backlogs(bus, limit=3)
    await ask(bus, "acme", "a")
    await send(bus, "b", lane=Lane.FRESH)
    await send(bus, "c", lane=Lane.BULK)
    await backlogs.refresh()

    assert not backlogs.exceeded("acme")
    backlogs.note("acme")
    assert backlogs.exceeded("acme")
    assert not backlogs.exceeded("other")
    assert not Backlogs(bus, limit=0).exceeded("acme")
