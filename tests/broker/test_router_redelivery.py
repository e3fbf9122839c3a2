"""A query that comes to a router again when its evidence stands on the log, and no dedup id is remembered."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mini_fleet import TENANT, MiniFleet, mini_fleet
from nats.js.errors import APIError

from bus import subjects
from bus.answer_log import read_log
from bus.asking import EXPECTED_ID
from bus.connection import Bus
from bus.envelope import MESSAGE_ID, Envelope, message_id, now_ms
from bus.publish import publish
from bus.testing import eventually
from bus.topology import RETRIEVE, ROUTE, SQL
from contracts import SCHEMAS, Query, Route, encode
from loadgen.hearing import Sources, open_hearing


@pytest.fixture
async def fleet(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MiniFleet]:
    monkeypatch.setenv("AF_MILVUS_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("AF_MILVUS_TIMEOUT_S", "0.2")
    journal = tmp_path / "journal"
    async with (
        open_hearing(bus, Sources(journal=journal)) as hearing,
        mini_fleet(bus, hearing, journal) as opened,
    ):
        yield opened


async def remember_briefly(bus: Bus) -> None:
    """As if the window of the dedup ids, two minutes, were over soon."""
    for stream in (RETRIEVE, SQL):
        config = (await bus.js.stream_info(stream.name)).config
        await bus.js.update_stream(config, duplicate_window=0.1)


async def forgotten(bus: Bus, subject: str, identity: str) -> bool:
    """A publish that can't be stored: answered as a duplicate as long as the id is known, then refused."""
    headers = {MESSAGE_ID: identity, EXPECTED_ID: "none"}
    try:
        await bus.js.publish(subject, b"", headers=headers)
    except APIError:
        return True
    return False


async def come_again(bus: Bus, query: Query) -> None:
    """As another message, so that the streams know none of the ids."""
    envelope = Envelope(deadline=now_ms() + 20_000)
    headers = envelope.headers(message_id="again", schema=SCHEMAS[Query])
    await publish(bus, subjects.query(TENANT), encode(query), headers=headers)


async def nothing_waits(bus: Bus) -> bool:
    return not [
        stream.name
        for stream in (ROUTE, RETRIEVE, SQL)
        if (await bus.js.stream_info(stream.name)).state.messages
    ]


@pytest.mark.parametrize(
    ("route", "kinds"),
    [
        (Route.DOCUMENTS, ["accepted", "routed", "evidence"]),
        (Route.BOTH, ["accepted", "evidence", "routed", "rows"]),
    ],
)
async def test_evidence_that_stands_is_not_written_again(
    fleet: MiniFleet, route: Route, kinds: list[str]
) -> None:
    await remember_briefly(fleet.bus)
    await fleet.start_router()
    await fleet.start_evidence()
    query = fleet.query(route)
    await fleet.publish(query)
    await fleet.events(query, len(kinds))
    for step, subject in (("retrieve", subjects.retrieve(TENANT)), ("sql", subjects.sql(TENANT))):
        identity = message_id(TENANT, query.id, step)
        await eventually(lambda subject=subject, identity=identity: forgotten(fleet.bus, subject, identity))

    await come_again(fleet.bus, query)
    await eventually(lambda: nothing_waits(fleet.bus))

    events = (await read_log(fleet.bus, TENANT, query.id)).events
    assert sorted(event.type for event in events) == sorted(kinds)
