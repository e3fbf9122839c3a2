"""Load runs against real bridges on a real nats-server; a stand-in for the workers writes the logs."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
from clients import Relay

from bus.answer_log import AnswerWriter
from bus.connection import Bus
from bus.consume import Source
from bus.delivery import Delivery
from bus.stage import run_stage
from bus.testing import eventually
from bus.topology import ROUTE
from contracts import Accepted, Delta, Done, Query, Route, Routed
from contracts.errors import Misconfigured
from loadgen.bridges import Address, Bridges
from loadgen.hearing import open_hearing
from loadgen.http_client import HttpClient
from loadgen.mix import Order
from loadgen.nats_client import NatsClient
from loadgen.observed import Door, End, Habit, Observed
from loadgen.openai_client import OpenAIClient
from loadgen.oracle import Terms
from loadgen.run import LoadRun, Site
from loadgen.scenario import Closed, Constant, DoorShares, Habits, Questions, Scenario, TenantShare
from loadgen.tally import Tally
from loadgen.witness import Outcome
from workers.bridge.app import serve_bridge
from workers.bridge.settings import BridgeSettings

WORDS = [f"word{number} " for number in range(20)]
TEXT = "".join(WORDS)
TENANT = "default"
TERMS = Terms(grace_s=1.0, settle_s=0.2)
T = TypeVar("T")


@asynccontextmanager
async def bridge(bus: Bus) -> AsyncIterator[Address]:
    settings = BridgeSettings(nats_url=bus.settings.nats_url, drain_grace_s=0.0)
    async with serve_bridge(bus, settings) as (port, _):
        yield Address("127.0.0.1", port)


@pytest.fixture
async def two_bridges(bus: Bus) -> AsyncIterator[tuple[Address, Address]]:
    async with bridge(bus) as one, bridge(bus) as other:
        yield one, other


@asynccontextmanager
async def worker(bus: Bus, *, word_s: float = 0.0, hold: asyncio.Event | None = None) -> AsyncIterator[None]:
    """Answers every question, a word each `word_s` seconds; in the middle it waits for `hold`."""

    async def work(delivery: Delivery[Query]) -> None:
        writer = AnswerWriter(bus, delivery.tenant, delivery.body.id)
        await writer.append_once(
            Accepted(tenant=delivery.tenant, query=delivery.body, deadline=delivery.envelope.deadline)
        )
        await writer.append_once(Routed(route=Route.DIRECT, confidence=1.0))
        for number, word in enumerate(WORDS):
            if hold is not None and number == len(WORDS) // 2:
                await hold.wait()
            await writer.append(Delta(text=word))
            await asyncio.sleep(word_s)
        await writer.append(Done(text=TEXT))

    async with run_stage(bus, Source(ROUTE.name, "router", 64), Query, work, drain_grace_s=1):
        yield


def scenario(**fields: object) -> Scenario:
    given: dict[str, object] = {
        "seconds": 1.0,
        "arrivals": Constant(rate=40),
        "questions": (Questions(texts=("Is it?",)),),
        "tenants": (TenantShare(name=TENANT),),
        "deadline_s": 20.0,
        "grace_s": 1.0,
    }
    return Scenario.model_validate(given | fields)


async def run(planned: Scenario, bus: Bus, *bridges: Address) -> LoadRun:
    async with open_hearing(bus, terms=TERMS) as hearing:
        running = LoadRun(planned, Site(bridges, bus=bus), hearing=hearing)
        await running.run()
    return running


def order(**fields: object) -> Order:
    given: dict[str, object] = {"number": 0, "query_id": "q", "tenant": TENANT, "question": "Is it?"}
    return Order(**(given | fields))  # type: ignore[arg-type]


@asynccontextmanager
async def http_client(*addresses: Address, **fields: object) -> AsyncIterator[HttpClient]:
    bridges = Bridges(addresses)
    yield HttpClient(bridges, {}, scenario(**fields), pulse=Tally(), origin=0.0)
    await bridges.close()


async def ask(client: HttpClient | NatsClient | OpenAIClient, wanted: Order) -> Observed:
    return await client.ask(wanted, scheduled_at=0.0)


def assert_read_once_and_whole(seen: Observed) -> None:
    assert seen.end is End.DONE
    assert [event.id for event in seen.witness.seen] == list(range(1, len(WORDS) + 4))
    assert seen.tokens == len(WORDS)


async def test_an_open_loop_over_every_door_is_measured_and_judged(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    planned = scenario(
        doors=DoorShares(http=2, nats=1, openai=1),
        clients=Habits(
            cancel=0.1,
            resume=0.2,
            slow=0.1,
            resume_after_s=(0.0, 0.1),
            pause_s=(0.0, 0.1),
            slow_bytes_per_s=3_000,
        ),
    )
    async with worker(bus, word_s=0.005):
        done = await run(planned, bus, *two_bridges)

    found = done.recording("test")
    totals = found.totals
    assert found.violations == ()
    assert totals.asked == totals.accepted == totals.done + totals.cancelled == 40
    assert totals.disconnected > 0
    assert totals.slow > 0
    assert 0 < found.latencies["whole"].count < totals.done
    assert found.latencies["first_token"].p50 < found.latencies["whole"].p50
    assert found.by_route["direct"]["whole"].count > 0
    assert sum(second.started for second in found.timeline) == 40
    assert {sample.stage for sample in found.stages} >= {"router", "generation"}
    assert found.generator.cpu_ms_per_answer > 0


async def test_a_closed_loop_keeps_as_many_queries_under_way_as_there_are_clients(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    async with worker(bus, word_s=0.005):
        done = await run(scenario(arrivals=Closed(clients=5), seconds=4.0), bus, *two_bridges)

    found = done.recording("test")
    assert found.violations == ()
    assert found.totals.done > 5
    assert max(second.in_flight for second in found.timeline) <= 5


async def test_a_client_that_leaves_reads_the_rest_at_another_bridge(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    async with worker(bus, word_s=0.01), http_client(*two_bridges) as client:
        seen = await ask(client, order(habit=Habit.LEAVE, after_s=0.08, pause_s=0.05))

    assert_read_once_and_whole(seen)
    assert (seen.left, seen.lost_connections, len(seen.resumes_s)) == (1, 0, 1)
    assert seen.witness.whole


async def test_a_client_that_cancels_sees_the_answer_end_so(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    hold = asyncio.Event()
    async with worker(bus, hold=hold), http_client(*two_bridges) as client:
        seen = await ask(client, order(habit=Habit.CANCEL, after_s=0.05))
        hold.set()

    assert seen.end is End.CANCELLED
    assert seen.cancelled_at is not None
    assert seen.witness.seen[-1].data.count(b'"cancelled"') == 1


async def test_a_slow_client_reads_no_faster_than_it_is_told(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    habits = Habits(slow=1, slow_bytes_per_s=2_000)
    async with worker(bus), http_client(*two_bridges, clients=habits) as client:
        slow = await ask(client, order(query_id="slow", habit=Habit.SLOW))

    assert_read_once_and_whole(slow)
    size = sum(len(event.data) for event in slow.witness.seen)
    assert slow.ended_at - slow.sent_at > 0.5 * size / 2_000


async def test_a_connection_that_breaks_in_mid_stream_is_resumed_behind_the_last_event(bus: Bus) -> None:
    hold = asyncio.Event()
    async with bridge(bus) as behind, worker(bus, hold=hold):
        relay = await Relay(behind.port).open()
        async with http_client(Address("127.0.0.1", relay.port)) as client:
            asking = asyncio.create_task(ask(client, order()))
            await eventually(lambda: written(bus, at_least=len(WORDS) // 2))
            await relay.cut()
            await relay.open()
            hold.set()
            seen = await asking
        await relay.cut()

    assert_read_once_and_whole(seen)
    assert (seen.asks, seen.lost_connections, seen.left) == (1, 1, 0)


async def test_a_question_whose_response_was_lost_is_asked_again_with_its_id_and_answered_once(
    bus: Bus,
) -> None:
    async with (
        Silent() as silent,
        bridge(bus) as speaking,
        worker(bus),
        http_client(silent.address, speaking) as client,
    ):
        while client.bridges.next() != speaking:
            pass  # so that the silent one is next
        seen = await ask(client, order())

    (lost,) = silent.bodies
    assert json.loads(lost)["id"] == json.loads(seen.witness.seen[0].data)["query"]["id"] == "q"
    assert_read_once_and_whole(seen)
    assert (seen.asks, seen.lost_connections) == (2, 1)


async def test_where_nobody_listens_a_query_stays_unsettled_and_is_no_violation(bus: Bus) -> None:
    async with http_client(Address("127.0.0.1", 1), deadline_s=0.3) as client:
        seen = await ask(client, order())

    assert seen.end is End.UNSETTLED
    assert seen.witness.outcome is Outcome.UNKNOWN
    assert (seen.asks, seen.status) == (0, 0)


async def test_a_full_queue_refuses_at_the_doors_and_leaves_nothing(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    config = (await bus.js.stream_info(ROUTE.name)).config
    config.max_msgs = 10
    await bus.js.update_stream(config)
    planned = scenario(doors=DoorShares(http=1, nats=1), deadline_s=2.0, grace_s=3.0)
    done = await run(planned, bus, *two_bridges)

    found = done.recording("test")
    assert found.totals.refused == 30
    assert found.failures["queue-full"] == 30
    assert found.totals.accepted == 10
    assert {broken.line for broken in found.violations} <= {"one_terminal"}


async def test_an_accepted_query_that_never_ends_is_a_violation_with_its_log(bus: Bus) -> None:
    hold = asyncio.Event()
    async with worker(bus, hold=hold):
        planned = scenario(
            arrivals=Constant(rate=1), doors=DoorShares(http=0, nats=1), deadline_s=0.5, grace_s=0.5
        )
        done = await run(planned, bus)
        hold.set()

    found = done.recording("test")
    assert found.totals.stuck == 1
    (broken,) = found.violations
    assert broken.line == "one_terminal"
    assert '"accepted"' in broken.log[0]


async def test_at_the_nats_door_a_client_that_leaves_reads_the_rest_from_the_log(bus: Bus) -> None:
    async with worker(bus, word_s=0.01):
        client = NatsClient(bus, scenario(), pulse=Tally(), origin=0.0)
        seen = await ask(client, order(door=Door.NATS, habit=Habit.LEAVE, after_s=0.08, pause_s=0.05))

    assert_read_once_and_whole(seen)
    assert seen.left == 1


async def test_at_the_nats_door_a_cancel_ends_the_answer(bus: Bus) -> None:
    hold = asyncio.Event()
    async with worker(bus, hold=hold):
        client = NatsClient(bus, scenario(), pulse=Tally(), origin=0.0)
        seen = await ask(client, order(door=Door.NATS, habit=Habit.CANCEL, after_s=0.05))
        hold.set()

    assert seen.end is End.CANCELLED


async def test_at_the_openai_door_the_judge_knows_the_query_by_the_id_that_the_door_chose(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    async with worker(bus), http_client(*two_bridges) as client:
        seen = await ask(OpenAIClient(client), order(door=Door.OPENAI))

    assert seen.end is End.DONE
    assert seen.witness.query_id != "q"
    assert seen.first_token_at is not None


async def test_a_generator_that_was_stalled_shows_in_the_latency(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    planned = scenario(seconds=1.5, arrivals=Constant(rate=30))
    async with worker(bus):
        running = LoadRun(planned, Site(two_bridges))
        asking = asyncio.create_task(running.run())
        await eventually(lambda: running.snapshot().asked >= 5)
        stall(1.0)
        await asking

    found = running.recording("test")
    assert found.totals.done == 45
    assert found.generator.late.worst > 800
    assert found.latencies["accepted"].p90 > 700


async def test_a_run_that_is_stopped_asks_no_more_and_reads_what_is_under_way(
    bus: Bus, two_bridges: tuple[Address, Address]
) -> None:
    async with worker(bus, word_s=0.005):
        running = LoadRun(scenario(seconds=60), Site(two_bridges))
        asking = asyncio.create_task(running.run())
        await eventually(lambda: running.snapshot().asked >= 5)
        running.stop()
        await asking

    totals = running.recording("test").totals
    assert totals.done == totals.asked < 200


async def test_a_bridge_that_is_not_there_is_said_before_anything_is_asked() -> None:
    with pytest.raises(Misconfigured, match=r"http://127\.0\.0\.1:1"):
        await LoadRun(scenario(), Site([Address("127.0.0.1", 1)])).run()


def stall(seconds: float) -> None:
    """Keeps the event loop of the test, and so the generator, from doing anything."""
    time.sleep(seconds)


async def written(bus: Bus, *, at_least: int) -> bool:
    return (await bus.js.stream_info("ANSWERS")).state.messages >= at_least


class Silent:
    """A server that takes one request and hangs up without a word."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __aenter__(self) -> "Silent":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.splitlines() if line.startswith("content-length:"))
        self.bodies.append(await reader.readexactly(int(length[15:])))
        writer.close()
        await writer.wait_closed()
