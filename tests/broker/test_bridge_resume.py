"""Answers are found from every replica: waiting, under way, ended, and after a restart of NATS or a drain."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from bridges import EVENTS, accept_next, bridge, ids, route_messages

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.connection import Bus, connect
from bus.replay import FEW, Replay
from bus.settings import BusSettings
from bus.subjects import AnswerKey
from bus.testing import NatsServer, eventually
from bus.topology import ROUTE
from contracts import Accepted, Delta, Done, Query


async def test_a_query_that_waits_for_a_router_is_read_at_another_replica(
    bus: Bus, bus_settings: BusSettings, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(connect(bus_settings, name="second"))
        two = await stack.enter_async_context(bridge(second, tmp_path))
        one = await stack.enter_async_context(bridge(bus, tmp_path))
        body = {"question": "Hi?", "id": "waits"}
        async with one.stream("POST", "/v1/ask", json=body, headers=EVENTS) as response:
            assert response.status_code == 200
        snapshot = await two.get("/v1/answers/waits")
        assert (snapshot.status_code, snapshot.json()["status"]) == (200, "queued")
        async with two.stream("GET", "/v1/answers/waits", headers=EVENTS) as response:
            writer, _ = await accept_next(bus)
            await writer.append(Done(text=""))
            assert await asyncio.wait_for(ids(response.aiter_lines()), 5) == [1, 2]


async def test_a_query_that_waits_is_cancelled_at_another_replica(
    bus: Bus, bus_settings: BusSettings, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(connect(bus_settings, name="second"))
        two = await stack.enter_async_context(bridge(second, tmp_path))
        one = await stack.enter_async_context(bridge(bus, tmp_path))
        async with one.stream("POST", "/v1/ask", json={"question": "?", "id": "q"}, headers=EVENTS):
            cancelled = await two.delete("/v1/answers/q")

    assert cancelled.json()["status"] == "cancelled"
    assert [event.type for event in (await read_log(bus, "acme", "q")).events] == ["cancelled"]


async def test_an_answer_that_is_read_on_at_another_replica_is_not_abandoned(
    bus: Bus, bus_settings: BusSettings, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(connect(bus_settings, name="second"))
        two = await stack.enter_async_context(bridge(second, tmp_path))
        one = await stack.enter_async_context(bridge(bus, tmp_path, abandon_s=0.1))
        body = {"question": "Hi?", "id": "moved"}
        async with one.stream("POST", "/v1/ask", json=body, headers=EVENTS) as response:
            writer, _ = await accept_next(bus)
            assert await ids(response.aiter_lines(), until=1) == [1]
            reading = two.stream("GET", "/v1/answers/moved", headers=EVENTS)
            moved = await stack.enter_async_context(reading)
        asked_at_one = await bus.nc.subscribe(subjects.READERS)
        for _ in range(2):
            await asked_at_one.next_msg(timeout=5)
        await writer.append(Done(text=""))

        assert await asyncio.wait_for(ids(moved.aiter_lines()), 5) == [1, 2]


async def test_an_id_asked_again_at_another_replica_gives_the_same_answer_from_its_start(
    bus: Bus, bus_settings: BusSettings, tmp_path: Path
) -> None:
    body = {"question": "Hi?", "id": "same"}
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(connect(bus_settings, name="second"))
        two = await stack.enter_async_context(bridge(second, tmp_path))
        one = await stack.enter_async_context(bridge(bus, tmp_path))
        async with one.stream("POST", "/v1/ask", json=body, headers=EVENTS) as first:
            writer, _ = await accept_next(bus)
            await writer.append(Delta(text="a"))
            assert await ids(first.aiter_lines(), until=2) == [1, 2]
        async with two.stream("POST", "/v1/ask", json=body, headers=EVENTS) as again:
            await writer.append(Done(text="a"))
            assert await asyncio.wait_for(ids(again.aiter_lines()), 5) == [1, 2, 3]

    assert await route_messages(bus, "acme") == 0


async def test_an_answer_on_the_log_is_not_asked_again_when_the_queue_has_forgotten_its_id(
    bus: Bus, bus_settings: BusSettings, tmp_path: Path
) -> None:
    config = (await bus.js.stream_info(ROUTE.name)).config
    config.duplicate_window = 0.1
    await bus.js.update_stream(config)
    body = {"question": "Hi?", "id": "old"}
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(connect(bus_settings, name="second"))
        two = await stack.enter_async_context(bridge(second, tmp_path))
        one = await stack.enter_async_context(bridge(bus, tmp_path))
        asked = asyncio.create_task(one.post("/v1/ask", json=body))
        writer, _ = await accept_next(bus)
        await writer.append(Done(text="x"))
        await asked

        async def forgotten() -> bool:
            ack = await bus.js.publish("af.query.other", b"{}", headers={"Nats-Msg-Id": "probe"})
            return not ack.duplicate

        await forgotten()
        await eventually(forgotten)
        again = await two.post("/v1/ask", json=body)

    assert again.json()["text"] == "x"
    assert await route_messages(bus, "acme") == 0


async def test_what_was_said_while_nats_restarted_arrives_within_a_second(
    bus: Bus, nats_server: NatsServer, bus_settings: BusSettings, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(bridge(bus, tmp_path))
        body = {"question": "?", "id": "q"}
        response = await stack.enter_async_context(
            client.stream("POST", "/v1/ask", json=body, headers=EVENTS)
        )
        lines = response.aiter_lines()
        worker = await stack.enter_async_context(connect(bus_settings, name="worker"))
        writer, _ = await accept_next(worker)
        assert await ids(lines, until=1) == [1]
        # The bridge's own connection comes back later than the worker's, which writes in between.
        bus.nc.options["reconnect_time_wait"] = 3
        nats_server.kill()
        nats_server.start()
        await writer.append(Delta(text="a"))
        await writer.append(Done(text="a"))
        assert bus.nc.is_reconnecting
        await eventually(lambda: bus.nc.is_connected)
        back = asyncio.get_running_loop().time()
        rest = await asyncio.wait_for(ids(lines), 5)

    assert rest == [2, 3]
    assert asyncio.get_running_loop().time() - back < 1.0


@pytest.mark.parametrize("answers", [FEW, 4 * FEW])
async def test_logs_read_together_are_what_each_log_holds(bus: Bus, answers: int) -> None:
    writers = [AnswerWriter(bus, "acme", f"a{n}") for n in range(answers)]
    for number, writer in enumerate(writers):
        query = Query(id=f"a{number}", question="?")
        await writer.append_once(Accepted(tenant="acme", query=query, deadline=1))
    for turn in range(5):
        await asyncio.gather(*(writer.append(Delta(text=f"{turn}")) for writer in writers))
    replay = Replay(bus)

    found = await asyncio.gather(*(replay.read(AnswerKey("acme", f"a{n}")) for n in range(answers)))
    missing = await replay.read(AnswerKey("acme", "nothing"))
    tail = await replay.read(AnswerKey("acme", "a0"), from_sequence=found[0].last_sequence)

    assert [[entry.number for entry in each.entries] for each in found] == [[1, 2, 3, 4, 5, 6]] * answers
    assert not missing.entries
    assert [entry.number for entry in tail.entries] == [6]
    assert replay.scans == (1 if answers > FEW else 0)


async def test_a_drain_refuses_questions_and_cuts_streams_after_a_whole_event(
    bus: Bus, bus_settings: BusSettings, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(connect(bus_settings, name="second"))
        other = await stack.enter_async_context(bridge(second, tmp_path))
        leaving = AsyncExitStack()
        one = await leaving.enter_async_context(bridge(bus, tmp_path, drain_grace_s=1.0))
        probe = await stack.enter_async_context(httpx.AsyncClient(base_url=one.base_url, headers=one.headers))
        async with probe.stream(
            "POST", "/v1/ask", json={"question": "?", "id": "q"}, headers=EVENTS
        ) as response:
            writer, _ = await accept_next(bus)
            lines = response.aiter_lines()
            assert await asyncio.wait_for(ids(lines, until=1), 5) == [1]
            stopping = asyncio.create_task(leaving.aclose())
            refused = await _until_draining(probe)
            await writer.append(Delta(text="in time"))
            rest = [line async for line in lines]
        await stopping
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert (await read_log(bus, "acme", "refused")).events == ()
        assert rest.count("event: delta") == 1
        assert rest[-2].startswith("retry: ")
        await writer.append(Done(text="in time"))
        async with other.stream("GET", "/v1/answers/q", headers=EVENTS) as resumed:
            assert await ids(resumed.aiter_lines()) == [1, 2, 3]


async def _until_draining(probe: httpx.AsyncClient) -> httpx.Response:
    async def unready() -> bool:
        return (await probe.get("/readyz")).status_code == 503

    await eventually(unready, within_s=3)
    return await probe.post("/v1/ask", json={"question": "?", "id": "refused"})
