"""The load generator's client against the real bridge; a stand-in for the workers writes the logs."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bus import subjects
from bus.answer_log import AnswerWriter, DeltaWriter
from bus.connection import Bus
from bus.consume import Source
from bus.delivery import Delivery
from bus.stage import run_stage
from bus.testing import eventually
from bus.topology import ROUTE
from contracts import Accepted, Done, Query
from loadgen.clients import Ask, Crowd, Door, closed_loop, publish_steadily
from loadgen.sse import Connection
from workers.bridge.app import serve_bridge
from workers.bridge.settings import BridgeSettings

WORDS = [f"word{number} " for number in range(20)]


@pytest.fixture
async def door(bus: Bus) -> AsyncIterator[Door]:
    """A bridge for one tenant, `default`, without keys."""
    settings = BridgeSettings(nats_url=bus.settings.nats_url)
    async with serve_bridge(bus, settings) as (port, _):
        yield Door("127.0.0.1", port)


@pytest.fixture
async def worker(bus: Bus) -> AsyncIterator[None]:
    """Answers every question at once."""

    async def work(delivery: Delivery[Query]) -> None:
        writer = AnswerWriter(bus, delivery.tenant, delivery.body.id)
        await writer.append_once(Accepted(tenant=delivery.tenant, query=delivery.body, deadline=1))
        text = DeltaWriter(writer)
        for word in WORDS:
            text.write(word)
            await asyncio.sleep(0)
        await text.drain()
        await writer.append(Done(text="".join(WORDS)))

    async with run_stage(bus, Source(ROUTE.name, "router", 16), Query, work, drain_grace_s=1):
        yield


@pytest.mark.usefixtures("worker")
async def test_many_clients_read_whole_answers_over_kept_connections(door: Door) -> None:
    run = await closed_loop(door, lambda n: Ask(f"Question {n}?"), Crowd(8, 30, at_most=40, ramp_s=0.1))

    assert len(run.answers) == 40
    assert run.violations() == []
    assert {answer.tokens() for answer in run.answers} == {len(WORDS)}
    assert all(0 < (answer.first_delta_s or 0) <= answer.took_s for answer in run.answers)


async def test_a_refusal_is_a_violation_that_shows_its_status(door: Door) -> None:
    run = await closed_loop(door, lambda n: Ask(" "), Crowd(1, 30, at_most=1))

    (found,) = run.violations()
    assert found.startswith("status 400")


async def test_a_connection_that_is_lost_leaves_an_incomplete_answer(door: Door, bus: Bus) -> None:
    connection = await Connection.open(door.host, door.port)
    body = Ask("Is anybody there?").body()
    asking = asyncio.create_task(connection.request("POST", "/v1/ask", headers=door.headers, body=body))

    async def queued() -> bool:
        return (await bus.js.stream_info(ROUTE.name)).state.messages == 1

    await eventually(queued)
    connection.close()

    assert not (await asking).complete


async def test_steady_publishes_are_stored_and_a_full_queue_is_counted_as_refused(bus: Bus) -> None:
    config = (await bus.js.stream_info(ROUTE.name)).config
    config.max_msgs = 50
    await bus.js.update_stream(config)

    found = await publish_steadily(bus, "acme", ["Why?"] * 60, rate_per_s=2_000, deadline_s=60)

    assert (len(found.stored), len(found.refused)) == (50, 10)
    state = (await bus.js.stream_info(ROUTE.name)).state
    assert state.messages == 50
    first = await bus.js.get_msg(ROUTE.name, 1)
    assert first.subject == subjects.query("acme")
