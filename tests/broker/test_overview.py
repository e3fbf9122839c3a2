"""The numbers that an operator sees, against a real nats-server."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata

import pytest
from nats.aio.msg import Msg

from bus import subjects
from bus.connection import Bus, connect
from bus.overview import Overview, read_overview
from bus.presence import Identity, Presence, answer_pings, gather_presences
from bus.provision import provision
from bus.publish import publish
from bus.subjects import Lane
from bus.testing import NatsServer, eventually
from bus.topology import GENERATE, RETRIEVE, SQL, bulk
from bus.vitals import Vitals
from contracts.errors import DependencyUnavailable


async def send(bus: Bus, subject: str, count: int = 1) -> None:
    for _ in range(count):
        await publish(bus, subject, b"{}", headers={"Nats-Msg-Id": str(time.monotonic_ns())})


async def pull(bus: Bus, stream: str, durable: str, count: int) -> list[Msg]:
    subscription = await bus.js.pull_subscribe_bind(durable, stream)
    return await subscription.fetch(count, timeout=2)


@asynccontextmanager
async def worker(bus: Bus, kind: str) -> AsyncIterator[Identity]:
    """A worker as others see it, on a connection of its own."""
    identity = Identity(kind, version="1.2.3")
    async with (
        connect(bus.settings, name=kind) as own,
        answer_pings(own, identity, lambda: {"pulling": True}),
    ):
        own.vitals.watch(Busy())
        own.vitals.count("readers", lambda: 7)
        await own.nc.flush()
        yield identity


class Busy:
    concurrency = 4
    in_work = 3


async def test_what_waits_is_in_work_and_came_again_is_counted_by_stage_and_lane(bus: Bus) -> None:
    await send(bus, subjects.sql("acme"), 2)
    _, second = await pull(bus, SQL.name, "sql", 2)
    await second.nak()
    (again,) = await pull(bus, SQL.name, "sql", 1)
    assert again.metadata.num_delivered == 2
    await send(bus, subjects.sql("acme"), 3)
    await send(bus, subjects.sql("acme", Lane.BULK), 2)

    view = (await read_overview(bus)).stage("sql")

    assert (view.waiting, view.in_work, view.redelivered, view.stored) == (5, 2, 1, 7)
    assert {consumer.durable: consumer.waiting for consumer in view.consumers} == {"sql": 3, bulk("sql"): 2}
    assert {consumer.lane for consumer in view.consumers} == {"fresh", "bulk"}


async def test_the_age_is_that_of_the_oldest_message_that_waits_not_of_one_in_work(bus: Bus) -> None:
    await send(bus, subjects.retrieve("acme"))
    await pull(bus, RETRIEVE.name, "retrieval", 1)
    await asyncio.sleep(0.4)
    await send(bus, subjects.retrieve("acme"), 2)
    young = (await read_overview(bus, gather_s=0.01)).stage("retrieval").oldest_age_s
    assert young < 0.3

    async def aged() -> bool:
        overview = await read_overview(bus, gather_s=0.01)
        return overview.stage("retrieval").oldest_age_s > young + 0.5

    await eventually(aged, within_s=5)
    assert (await read_overview(bus)).stage("router").oldest_age_s == 0


async def test_models_that_only_the_server_knows_are_counted_too(bus: Bus) -> None:
    await provision(bus.js, bus.settings, models=["large"])
    await send(bus, subjects.generate("large", "acme"), 3)

    view = (await read_overview(bus)).stage("generation")

    assert view.waiting == 3
    waiting = {consumer.durable: consumer.waiting for consumer in view.consumers}
    assert waiting["generation-large"] == 3
    assert waiting["generation-default"] == 0


async def test_dead_letters_are_counted_by_stage_and_answers_by_query(bus: Bus) -> None:
    await send(bus, subjects.dead("sql", "acme"), 2)
    await send(bus, subjects.dead("sql", "globex"))
    await send(bus, subjects.dead("ingest", "acme"))
    await send(bus, subjects.answer("acme", "q1"), 3)

    overview = await read_overview(bus)

    assert overview.dead == {"sql": 3, "ingest": 1}
    assert overview.stage("sql").dead == 3
    assert overview.stage("router").dead == 0
    assert (overview.answers.answers, overview.answers.events) == (1, 3)


async def test_each_worker_that_is_alive_is_seen_with_what_it_does(bus: Bus) -> None:
    async with worker(bus, "sql") as first, worker(bus, "sql"), worker(bus, "bridge"):
        overview = await read_overview(bus)
        assert overview.stage("sql").workers == 2
        assert overview.stage("router").workers == 0
        assert sorted(found.kind for found in overview.workers) == ["bridge", "sql", "sql"]
        found = next(found for found in overview.workers if found.instance == first.instance)
        assert (found.concurrency, found.in_work, found.counts) == (4, 3, {"readers": 7})
        assert found.ready
        assert found.version == "1.2.3"
        assert abs(found.started_at - time.time() * 1000) < 60_000
    assert await gather_presences(bus) == ()


async def test_a_missing_consumer_is_named_and_hides_no_other(bus: Bus) -> None:
    await send(bus, subjects.sql("acme"), 2)
    await send(bus, subjects.query("acme"))
    await bus.js.delete_consumer(SQL.name, bulk("sql"))

    overview = await read_overview(bus)

    assert overview.stage("sql").waiting == 2
    assert overview.stage("router").waiting == 1
    assert len(overview.problems) == 1
    assert "CONSUMER.INFO.SQL.sql-bulk" in overview.problems[0]


async def test_a_missing_stream_is_named_and_hides_no_other(bus: Bus) -> None:
    await send(bus, subjects.query("acme"))
    await bus.js.delete_stream(GENERATE.name)

    overview = await read_overview(bus)

    assert overview.stage("router").waiting == 1
    assert overview.stage("generation").problem
    assert all("GENERATE" in problem for problem in overview.problems)


async def test_a_server_that_is_gone_is_an_error_within_the_time_limit(
    bus: Bus, nats_server: NatsServer
) -> None:
    nats_server.kill()
    began = time.monotonic()
    with pytest.raises(DependencyUnavailable, match=bus.settings.nats_url):
        await read_overview(bus, within_s=0.5, gather_s=0.2)
    assert time.monotonic() - began < 3
    nats_server.start()
    await eventually(lambda: bus.nc.is_connected)


async def test_an_overview_is_one_json_object_and_can_be_read_again(bus: Bus) -> None:
    async with worker(bus, "router"):
        overview = await read_overview(bus)
    assert Overview.model_validate_json(overview.model_dump_json()) == overview
    assert overview.stages[0].stage == "router"


def test_fields_of_a_later_release_do_not_hide_a_worker() -> None:
    told = b'{"name": "sql-1", "kind": "sql", "instance": "1", "colour": "blue", "ready": true}'
    assert Presence.model_validate_json(told).name == "sql-1"


def test_a_process_with_two_pull_loops_tells_their_sum() -> None:
    vitals = Vitals()
    vitals.watch(Busy())
    vitals.watch(Busy())
    assert (vitals.concurrency, vitals.in_work) == (8, 6)


async def test_a_worker_process_answers_from_its_start_and_is_gone_after_its_end(
    bus: Bus, nats_url: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.bridge"),
        env={**os.environ, "AF_NATS_URL": nats_url},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: _told(bus, process.pid), within_s=30)
        (found,) = await gather_presences(bus)
        assert (found.kind, found.stage, found.version) == ("bridge", "", metadata.version("askfleet"))
        assert found.counts == {"readers": 0}
    finally:
        process.terminate()
        assert await process.wait() == 0
    assert await gather_presences(bus) == ()


async def _told(bus: Bus, pid: int) -> bool:
    found = await gather_presences(bus)
    return [presence.pid for presence in found if presence.ready] == [pid]
