"""The durable truth is followed through restarts of the server; cancelled or fenced work stops at once."""

import asyncio
import time
from pathlib import Path

import pytest
from mini_fleet import TENANT, MiniFleet, Pace, mini_fleet

from bus.answer_log import AnswerWriter
from bus.connection import Bus
from bus.subjects import AnswerKey
from bus.testing import NatsServer, eventually
from contracts import Accepted, Delta, Done, Query
from loadgen.auditor import audit
from loadgen.engine_journal import EngineJournal
from loadgen.hearing import Sources, open_hearing

ABORT_WITHIN_MS = 100


async def write(bus: Bus, query_id: str, words: int) -> None:
    writer = AnswerWriter(bus, "acme", query_id)
    await writer.append_once(Accepted(tenant="acme", query=Query(id=query_id, question="?"), deadline=1))
    for number in range(words):
        await writer.append(Delta(text=f"word{number} "))
    await writer.append(Done(text="".join(f"word{number} " for number in range(words))))


async def test_a_killed_server_hides_no_event_and_repeats_none(bus: Bus, nats_server: NatsServer) -> None:
    await write(bus, "before-the-audit", 3)
    async with audit(bus) as auditor:
        writing = [asyncio.create_task(write(bus, f"q{number}", 150)) for number in range(4)]
        await eventually(lambda: auditor.messages > 50)
        nats_server.kill()
        nats_server.start()
        await asyncio.gather(*writing)
        await auditor.catch_up()

        assert set(auditor.accounts) == {AnswerKey("acme", f"q{number}") for number in range(4)}
        for account in auditor.accounts.values():
            assert (account.faults, account.last_index, account.terminal) == ([], 152, "done")
            assert len(account.attempts) == 1
        assert auditor.messages == 4 * 152


async def test_an_event_behind_a_judged_answer_is_a_violation(bus: Bus) -> None:
    async with audit(bus) as auditor:
        await write(bus, "q", 1)
        await auditor.catch_up()
        auditor.close((AnswerKey("acme", "q"),))
        writer = AnswerWriter(bus, "acme", "q")
        writer.position = (await writer.read()).position
        await writer.append(Delta(text="PS"))
        await auditor.catch_up()

        assert [found.line for found in auditor.late()] == ["nothing_after_terminal"]
        assert auditor.late() == ()


@pytest.fixture
async def fleet(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("AF_MILVUS_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("AF_MILVUS_TIMEOUT_S", "0.2")
    journal = tmp_path / "journal"
    async with (
        open_hearing(bus, Sources(journal=journal)) as hearing,
        mini_fleet(bus, hearing, journal) as opened,
    ):
        yield opened


async def aborted_at(fleet: MiniFleet, query: Query) -> int:
    """When the engine's first request for this query was aborted, in epoch milliseconds."""
    journal = EngineJournal(fleet.journal)

    def aborted() -> bool:
        journal.read()
        uses = journal.uses.get(query.id, [])
        return bool(uses) and uses[0].aborted

    await eventually(aborted, within_s=8)
    return journal.uses[query.id][0].ended


async def test_a_cancel_aborts_the_engine_before_its_first_token(fleet: MiniFleet) -> None:
    fleet.pace = Pace(first_token_ms=5_000)
    await fleet.start_all()
    query = fleet.query()
    await fleet.publish(query)
    await fleet.at_engine(query)
    asked_ms = time.time() * 1000
    await fleet.cancel(query)

    assert await aborted_at(fleet, query) - asked_ms < ABORT_WITHIN_MS


async def test_words_of_another_attempt_abort_the_engine(fleet: MiniFleet) -> None:
    """The next flush is refused; between two flushes a writer rests for 50 ms at most."""
    fleet.pace = Pace(interval_ms=10, tokens=400)
    await fleet.start_all()
    query = fleet.query()
    await fleet.publish(query)
    await fleet.events(query, 5)
    other = AnswerWriter(fleet.bus, TENANT, query.id)
    while other.position.last_index < 5 or not await other._offer(other._stamp(Delta(text="mine"))):
        other.position = (await other.read()).position
    fenced_ms = time.time() * 1000

    assert await aborted_at(fleet, query) - fenced_ms < 50 + ABORT_WITHIN_MS


async def test_the_deadline_aborts_the_engine(fleet: MiniFleet) -> None:
    fleet.pace = Pace(first_token_ms=5_000)
    await fleet.start_all()
    query = fleet.query()
    witness = await fleet.publish(query, deadline_s=0.5)

    assert 0 <= await aborted_at(fleet, query) - witness.deadline < ABORT_WITHIN_MS


async def test_a_cancel_that_was_sent_while_a_worker_was_away_stops_it_when_it_is_back(
    fleet: MiniFleet,
) -> None:
    fleet.pace = Pace(first_token_ms=8_000)
    tie = await fleet.start_generation_behind_relay()
    await fleet.start_router()
    await fleet.start_evidence()
    query = fleet.query()
    await fleet.publish(query)
    await fleet.at_engine(query)
    await tie.cut()
    await fleet.cancel(query)
    await tie.restore()
    back_ms = time.time() * 1000

    assert await aborted_at(fleet, query) - back_ms < 1_000
