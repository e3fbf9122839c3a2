"""Workers of two neighbouring releases side by side: the newer one adds fields and event types."""

import asyncio
import json
from typing import Any

import pytest

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.connection import Bus
from bus.consume import Source
from bus.delivery import Delivery
from bus.envelope import Envelope, message_id, now_ms
from bus.publish import publish
from bus.stage import run_stage
from bus.testing import eventually
from bus.topology import DLQ, ROUTE
from contracts import SCHEMAS, Accepted, Delta, Done, GenerateJob, Query, Unknown, encode
from workers.engines import EngineSettings
from workers.generation.app import make
from workers.generation.settings import GenerationSettings

ADDED = {"tone": "brief"}
"""A field that the release of these tests does not know."""


def newer(schema: str) -> str:
    return f"{schema}.1"


async def send(bus: Bus, subject: str, body: dict[str, Any], *, step: str, schema: str) -> None:
    headers = Envelope(deadline=now_ms() + 60_000).headers(
        message_id=message_id("acme", "q1", step), schema=schema
    )
    await publish(bus, subject, json.dumps(body).encode(), headers=headers)


@pytest.mark.parametrize("schema", [SCHEMAS[Query], newer(SCHEMAS[Query])])
async def test_a_worker_takes_the_query_of_an_older_and_of_a_newer_publisher(bus: Bus, schema: str) -> None:
    body = {"id": "q1", "question": "Why?"} | (ADDED if schema != SCHEMAS[Query] else {})
    taken = asyncio.Queue[Query]()

    async def work(delivery: Delivery[Query]) -> None:
        taken.put_nowait(delivery.body)

    await send(bus, subjects.query("acme"), body, step="query", schema=schema)
    async with run_stage(bus, Source.of(ROUTE, 2), Query, work, drain_grace_s=1), asyncio.timeout(10):
        assert await taken.get() == Query(id="q1", question="Why?")
    assert (await bus.js.stream_info(DLQ.name)).state.messages == 0


async def test_an_older_worker_answers_where_a_newer_one_wrote_on_the_log(bus: Bus) -> None:
    first = await write_as_newer(bus)
    settings = GenerationSettings(
        engine=EngineSettings(kind="simulated", simulated_first_token_ms=1, simulated_interval_ms=0)
    )
    job = {"query_id": "q1", "first_sequence": first} | ADDED
    async with make(settings)(bus):
        await send(
            bus,
            subjects.generate("default", "acme"),
            job,
            step="generate",
            schema=newer(SCHEMAS[GenerateJob]),
        )
        await eventually(lambda: _ended(bus))

    events = (await read_log(bus, "acme", "q1")).events
    assert [event.index for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1], Done)
    assert events[-1].text.startswith("Begun. ")
    passed_on = json.loads(encode(events[1]))
    assert isinstance(events[1], Unknown)
    assert passed_on["type"] == "thought"
    assert passed_on["text"] == "Hm."


async def _ended(bus: Bus) -> bool:
    return (await read_log(bus, "acme", "q1")).terminal is not None


async def write_as_newer(bus: Bus) -> int:
    """A field in the query, a type of event, and the begin of the text; the first stream sequence."""
    accepted = json.loads(
        encode(Accepted(tenant="acme", query=Query(id="q1", question="Hi", route="direct"), deadline=1))
    )
    accepted["query"] |= ADDED
    thought = {"type": "thought", "text": "Hm."}
    delta = json.loads(encode(Delta(text="Begun. "))) | ADDED
    first = 0
    for index, event in enumerate((accepted, thought, delta), start=1):
        body = json.dumps(event | {"index": index, "id": f"new:{index}"}).encode()
        stored = await bus.js.publish(subjects.answer("acme", "q1"), body)
        first = first or stored.seq
    return first


async def test_an_append_follows_on_an_event_of_an_unknown_type(bus: Bus) -> None:
    await write_as_newer(bus)
    writer = AnswerWriter(bus, "acme", "q1")
    writer.position = (await writer.read()).position

    assert (await writer.append(Delta(text="On."))).index == 4
