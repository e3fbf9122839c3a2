"""The engine as a server beside the workers, which goes away, stops, and comes back."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from mini_fleet import MiniFleet, mini_fleet, settings_for

from bus.answer_log import read_log
from bus.connection import connect
from bus.provision import provision
from bus.testing import eventually
from contracts import Cancelled, Delta, Done, Event
from loadgen.engine_journal import EngineJournal
from loadgen.hearing import Sources, open_hearing
from loadgen.openai_process import OpenAIProcess, engine_arguments, openai_process
from loadgen.oracle import Terms
from loadgen.witness import EngineUse

TOKENS = 40


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[OpenAIProcess]:
    arguments = engine_arguments(tmp_path / "journal", first_token_ms=20, interval_ms=40, tokens=TOKENS)
    with openai_process(arguments) as server:
        yield server


@pytest.fixture
async def fleet(nats_url: str, tmp_path: Path, engine: OpenAIProcess) -> AsyncIterator[MiniFleet]:
    journal = tmp_path / "journal"
    async with connect(settings_for(nats_url), name="test") as bus:
        await provision(bus.js, bus.settings)
        async with (
            open_hearing(bus, Sources(journal), terms=Terms(grace_s=2, settle_s=0.5)) as hearing,
            mini_fleet(bus, hearing, journal) as opened,
        ):
            await opened.start_router()
            await opened.start_evidence()
            await opened.start_generation(engine_url=engine.url)
            yield opened


async def test_an_answer_goes_on_behind_what_was_published_once_the_engine_is_back(
    fleet: MiniFleet, engine: OpenAIProcess
) -> None:
    whole, cut = fleet.query(), fleet.query()
    await fleet.publish(whole)
    await fleet.ended(whole)
    await fleet.publish(cut)
    await fleet.events(cut, at_least=8)

    with engine.held():
        os.kill(engine.pid, signal.SIGKILL)
        standing = text_of(await events_of(fleet, cut.id))
    await fleet.ended(cut)

    events = await events_of(fleet, cut.id)
    assert isinstance(events[-1], Done)
    assert text_of(events) == text_of(await events_of(fleet, whole.id))
    assert 0 < len(standing) < len(text_of(events))
    assert len({event.id.partition(":")[0] for event in events if isinstance(event, Delta)}) == 2
    assert [use.tokens for use in uses(fleet, cut.id) if use.ended][-1] < TOKENS
    assert await fleet.lines() == set()


async def test_a_worker_that_starts_while_the_engine_is_away_waits_for_it(
    fleet: MiniFleet, engine: OpenAIProcess
) -> None:
    with engine.held():
        os.kill(engine.pid, signal.SIGKILL)
        await eventually(lambda: engine.find() is None)
    await fleet.start_generation(engine_url=engine.url)

    assert engine.find() is not None


async def test_a_cancel_hangs_up_on_the_engine_which_stops(fleet: MiniFleet) -> None:
    query = fleet.query()
    await fleet.publish(query)
    await fleet.events(query, at_least=8)
    await fleet.cancel(query)
    await fleet.ended(query)

    await eventually(lambda: [use.aborted for use in uses(fleet, query.id)] == [True])
    assert await fleet.lines() == set()


async def test_a_stopped_engine_begins_nothing_for_a_query_that_was_cancelled_meanwhile(
    fleet: MiniFleet, engine: OpenAIProcess
) -> None:
    running, *waiting = (fleet.query() for _ in range(16))
    await fleet.publish(running)
    await fleet.events(running, at_least=8)
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        for query in waiting:
            await fleet.publish(query)
        for query in waiting:
            await fleet.events(query, at_least=3)
        for query in waiting:
            await fleet.cancel(query)
        for query in waiting:
            await fleet.ended(query)
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    await fleet.ended(running)

    assert isinstance((await events_of(fleet, running.id))[-1], Done)
    for query in waiting:
        assert isinstance((await events_of(fleet, query.id))[-1], Cancelled)
        assert uses(fleet, query.id) == []
    assert await fleet.lines() == set()


async def events_of(fleet: MiniFleet, query_id: str) -> tuple[Event, ...]:
    return (await read_log(fleet.bus, "default", query_id)).events


def text_of(events: tuple[Event, ...]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def uses(fleet: MiniFleet, query_id: str) -> list[EngineUse]:
    journal = EngineJournal(fleet.journal)
    journal.read()
    return list(journal.uses.get(query_id, ()))
