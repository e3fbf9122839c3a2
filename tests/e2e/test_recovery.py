"""Processes that are killed in the middle of an answer."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fleet import DEMO, SIMULATED, Fleet

from askfleet.sse import AnswerStream, frames
from contracts import Cancelled, Delta, Done, Event, decode_event

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = {"question": "How do I reset the gateway?", "model": SIMULATED, "route": "documents"}
EVENTS = {"accept": "text/event-stream"}


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def indexes(events: list[Event]) -> list[int]:
    return [event.index for event in events]


async def whole_answer(fleet: Fleet) -> str:
    """The same question without any trouble: the simulated text follows from the prompt alone."""
    last = (await fleet.ask(**QUESTION))[-1]
    assert isinstance(last, Done)
    return last.text


async def read(response: httpx.Response) -> AsyncIterator[Event]:
    assert response.status_code == 200
    async for frame in frames(response.aiter_lines()):
        yield decode_event(frame.data.encode())


async def test_killing_the_generation_worker_in_mid_answer_yields_one_continued_answer(fleet: Fleet) -> None:
    expected = await whole_answer(fleet)
    events: list[Event] = []
    killed = 0

    async with fleet.client() as client:
        async for event in AnswerStream(client, key=fleet.keys[DEMO]).ask(QUESTION):
            events.append(event)
            if not killed and len(text_of(events)) > len(expected) / 4:
                killed = fleet.kill("generation-simulated")

    await fleet.back("generation-simulated", not_pid=killed)
    attempts = {event.id.partition(":")[0] for event in events if isinstance(event, Delta)}
    assert len(attempts) == 2
    assert indexes(events) == list(range(1, len(events) + 1))
    assert text_of(events) == expected
    assert isinstance(events[-1], Done)
    assert events[-1].text == expected


async def test_killing_the_bridge_in_mid_answer_and_resuming_on_another_misses_and_repeats_nothing(
    fleet: Fleet,
) -> None:
    expected = await whole_answer(fleet)
    before: list[Event] = []

    async with (
        fleet.client(bridge=0) as client,
        client.stream("POST", "/v1/ask", json=QUESTION, headers=EVENTS) as response,
    ):
        query_id = response.headers["af-query-id"]
        reading = read(response)
        while len(text_of(before)) < len(expected) / 4:
            before.append(await anext(reading))
        killed = fleet.kill("bridge")
        with pytest.raises(httpx.TransportError):
            before += [event async for event in reading]

    resume = EVENTS | {"last-event-id": str(before[-1].index)}
    async with (
        fleet.client(bridge=1) as client,
        client.stream("GET", f"/v1/answers/{query_id}", headers=resume) as response,
    ):
        after = [event async for event in read(response)]

    await fleet.back("bridge", not_pid=killed)
    whole = before + after
    assert not isinstance(before[-1], Done)
    assert indexes(whole) == list(range(1, len(whole) + 1))
    assert text_of(whole) == expected
    assert isinstance(whole[-1], Done)


async def test_a_cancel_in_mid_answer_stops_the_worker_and_nothing_follows_on_the_log(fleet: Fleet) -> None:
    events: list[Event] = []
    async with fleet.client() as client:
        stream = AnswerStream(client, key=fleet.keys[DEMO])
        async for event in stream.ask(QUESTION):
            events.append(event)
            if isinstance(event, Delta) and len(text_of(events)) < 40:
                await stream.cancel()

    await fleet.idle()
    log = await fleet.log(stream.answer_id)
    assert isinstance(events[-1], Cancelled)
    assert [event.id for event in log] == [event.id for event in events]
