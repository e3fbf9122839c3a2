"""Each promise, kept and broken on purpose: the judge names the one that is broken, and none that is kept.

The platform's own code is patched here, and only here: that it breaks is what these tests are about.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from mini_fleet import MiniFleet, Pace, mini_fleet, settings_for
from nats.aio.msg import Msg

from bus import answer_log, asking, evidence
from bus.answer_log import AnswerWriter, LogState
from bus.cancellation import Cancellations
from bus.connection import Bus, connect
from bus.delivery import Settler
from bus.envelope import Envelope, now_ms
from bus.feed import AnswerFeed
from bus.provision import provision
from bus.testing import eventually
from bus.topology import ROUTE
from contracts import Delta, Done, Event, Evidence, Route
from contracts.errors import QueueFull
from loadgen.hearing import Sources, open_hearing
from loadgen.oracle import Terms
from loadgen.promises import Line
from loadgen.witness import Outcome
from workers.bridge import sse

Patch = Callable[[pytest.MonkeyPatch], None]
KEPT_AND_BROKEN = pytest.mark.parametrize("broken", [False, True], ids=["kept", "broken"])


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    settings = settings_for(nats_url)
    async with connect(settings, name="test") as connected:
        await provision(connected.js, settings)
        yield connected


@pytest.fixture
def settle_s() -> float:
    return 0.2


@pytest.fixture
def grace_s() -> float:
    return 3.0


@pytest.fixture
async def fleet(
    bus: Bus, tmp_path: Path, settle_s: float, grace_s: float, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MiniFleet]:
    """Nothing runs yet but the judge."""
    monkeypatch.setenv("AF_MILVUS_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("AF_MILVUS_TIMEOUT_S", "0.2")
    journal = tmp_path / "journal"
    terms = Terms(grace_s=grace_s, settle_s=settle_s)
    async with (
        open_hearing(bus, Sources(journal=journal), terms=terms) as hearing,
        mini_fleet(bus, hearing, journal) as opened,
    ):
        yield opened


async def test_a_mixed_load_with_cancels_resumes_and_repeats_breaks_nothing(fleet: MiniFleet) -> None:
    await fleet.start_all()
    routes = [Route.DOCUMENTS, Route.SQL, Route.BOTH, Route.DIRECT] * 3
    asking = [fleet.ask(fleet.query(route)) for route in routes]
    asking += [fleet.ask(fleet.query(), break_after=index) for index in (1, 3, 5)]
    asking += [fleet.publish(fleet.query(), times=2) for _ in range(3)]
    gone = fleet.query()
    reading = asyncio.create_task(fleet.ask(gone))
    await fleet.events(gone, 4)
    await fleet.cancel(gone)

    seen = await asyncio.gather(reading, *asking)

    assert await fleet.lines() == set()
    assert fleet.hearing.judged == len(seen) == 19
    assert all(witness.whole for witness in seen if witness.seen)


def after_appending(patch: pytest.MonkeyPatch, kind: type[Event], then: Callable[[Event], Event]) -> None:
    """Behind each event of this kind another one is written, with the fence satisfied."""
    append = AnswerWriter.append

    async def append_two(self: AnswerWriter, event: Event) -> Event:
        stamped = await append(self, event)
        if isinstance(event, kind):
            await append(self, then(event))
        return stamped

    patch.setattr(AnswerWriter, "append", append_two)


def instead_of_done(patch: pytest.MonkeyPatch, other: Callable[[Done], Done]) -> None:
    stamp = AnswerWriter._stamp

    def stamp_other(self: AnswerWriter, event: Event) -> Event:
        stamped = stamp(self, event)
        return other(stamped) if isinstance(stamped, Done) else stamped

    patch.setattr(AnswerWriter, "_stamp", stamp_other)


def second_terminal(patch: pytest.MonkeyPatch) -> None:
    after_appending(patch, Done, lambda event: event)


def words_after_the_end(patch: pytest.MonkeyPatch) -> None:
    after_appending(patch, Done, lambda event: Delta(text="PS"))


def other_text_in_done(patch: pytest.MonkeyPatch) -> None:
    instead_of_done(patch, lambda done: done.model_copy(update={"text": f"{done.text}!"}))


def skipped_index(patch: pytest.MonkeyPatch) -> None:
    instead_of_done(patch, lambda done: done.model_copy(update={"index": done.index + 1}))


def evidence_twice(patch: pytest.MonkeyPatch) -> None:
    append_once = AnswerWriter.append_once

    async def append_twice(self: AnswerWriter, event: Event) -> LogState | None:
        before = await append_once(self, event)
        if isinstance(event, Evidence):
            await self.append(event)
        return before

    patch.setattr(AnswerWriter, "append_once", append_twice)


@pytest.mark.parametrize(
    ("mutation", "line"),
    [
        (second_terminal, Line.ONE_TERMINAL),
        (words_after_the_end, Line.NOTHING_AFTER_TERMINAL),
        (other_text_in_done, Line.TEXT_IS_DELTAS),
        (skipped_index, Line.IDS_RISE),
        (evidence_twice, Line.EFFECTS_ONCE),
    ],
)
async def test_a_log_that_is_written_wrongly_is_named(
    fleet: MiniFleet, mutation: Patch, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the mutation, this is the mixed load above."""
    mutation(monkeypatch)
    await fleet.start_router()
    await fleet.start_evidence()
    await fleet.start_generation()
    query = fleet.query(Route.BOTH)
    await fleet.publish(query)

    assert await fleet.lines() == {line}
    assert f'"id":"{query.id}"' in fleet.hearing.findings[0].log[0]


@KEPT_AND_BROKEN
async def test_words_that_do_not_wait_for_all_evidence_are_named(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken:
        monkeypatch.setattr(evidence, "_both", lambda before, event: True)
    fleet.database_s = 0.5
    await fleet.start_router()
    await fleet.start_evidence()
    await fleet.start_generation()
    await fleet.publish(fleet.query(Route.BOTH))

    assert await fleet.lines() == ({Line.EVIDENCE_FIRST} if broken else set())


@KEPT_AND_BROKEN
async def test_without_the_fence_a_zombie_writes_into_the_answer(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken:
        monkeypatch.setattr(answer_log, "EXPECTED_LAST", "Af-Nothing")
    fleet.pace = Pace(interval_ms=60)
    tie = await fleet.start_generation_behind_relay()
    await fleet.start_router()
    await fleet.start_evidence()
    query = fleet.query()
    await fleet.publish(query)
    await fleet.events(query, 5)
    since = now_ms()
    await tie.cut()
    await fleet.start_generation()
    await fleet.attempts(query, 2)
    await tie.restore()
    fleet.pause(since, now_ms() + 1_000)

    found = await fleet.lines()

    assert Line.IDS_RISE in found if broken else found == set()


@KEPT_AND_BROKEN
@pytest.mark.parametrize("grace_s", [0.3])
async def test_work_that_is_acknowledged_first_is_lost_with_its_worker(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Settler._settle

    async def settle_after_ack(self: Settler[Any], message: Msg) -> None:
        await message.ack()
        await settle(self, message)

    fleet.pace = Pace(interval_ms=20)
    tie = await fleet.start_generation_behind_relay()
    await fleet.start_router()
    await fleet.start_evidence()
    if broken:
        monkeypatch.setattr(Settler, "_settle", settle_after_ack)
    query = fleet.query()
    await fleet.publish(query, deadline_s=4)
    await fleet.events(query, 5)
    since = now_ms()
    await tie.cut()
    await fleet.start_generation()
    fleet.pause(since, now_ms() + 10_000)

    assert await fleet.lines() == ({Line.ONE_TERMINAL} if broken else set())


@KEPT_AND_BROKEN
async def test_without_the_dedup_id_a_repeated_publish_is_worked_on_twice(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = Envelope.headers

    def headers_without_identity(self: Envelope, *, message_id: str, schema: str) -> dict[str, str]:
        return headers(self, message_id=f"{message_id}:{time.time_ns()}", schema=schema)

    if broken:
        monkeypatch.setattr(Envelope, "headers", headers_without_identity)
    fleet.pace = Pace(first_token_ms=200)
    await fleet.start_all()
    await fleet.publish(fleet.query(), times=2)

    assert await fleet.lines() == ({Line.WORK_IS_ONCE} if broken else set())


@KEPT_AND_BROKEN
@pytest.mark.parametrize("settle_s", [1.5])
async def test_a_cancel_that_is_ignored_lets_the_engine_run_on(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken:
        monkeypatch.setattr(Cancellations, "_stop", lambda self, key: None)
    fleet.pace = Pace(first_token_ms=1_500)
    await fleet.start_all()
    query = fleet.query()
    await fleet.publish(query)
    await fleet.at_engine(query)
    await fleet.cancel(query)

    assert await fleet.lines() == ({Line.CANCEL_STOPS} if broken else set())


@KEPT_AND_BROKEN
async def test_work_on_an_expired_query_is_named(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fleet.start_router()
    await fleet.start_evidence()
    query = fleet.query()
    witness = await fleet.publish(query, deadline_s=0.4)
    await fleet.events(query, 3)
    await eventually(lambda: now_ms() > witness.deadline + 200)
    if broken:
        monkeypatch.setattr(Envelope, "remaining_s", lambda self: 60.0)
    await fleet.start_generation()

    assert await fleet.lines() == ({Line.EXPIRED_SPENT_NOTHING} if broken else set())


@KEPT_AND_BROKEN
async def test_an_engine_that_outlives_the_deadline_is_named(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken:
        monkeypatch.setattr(Envelope, "remaining_s", lambda self: 60.0)
    fleet.pace = Pace(first_token_ms=1_900, tokens=5)
    await fleet.start_router()
    await fleet.start_evidence()
    await fleet.start_generation()
    await fleet.publish(fleet.query(), deadline_s=0.6)

    assert await fleet.lines() == ({Line.EXPIRED_SPENT_NOTHING} if broken else set())


@KEPT_AND_BROKEN
async def test_a_resume_from_the_wrong_event_is_named(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = AnswerFeed.follow

    def follow_later(self: AnswerFeed, *, after: int = 0) -> AsyncIterator[list[Event]]:
        return follow(self, after=after + 1 if after else 0)

    if broken:
        monkeypatch.setattr(AnswerFeed, "follow", follow_later)
    await fleet.start_all()
    await fleet.ask(fleet.query(), break_after=4)

    found = await fleet.lines()

    assert found >= {Line.IDS_RISE, Line.RESUME_IS_SAME} if broken else found == set()


@KEPT_AND_BROKEN
async def test_a_reader_that_is_shown_other_words_is_named(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same ids, same length: only a comparison with the log can tell."""
    frame = sse.frame
    if broken:
        monkeypatch.setattr(sse, "frame", lambda entry: frame(entry).replace(b"seven", b"eight"))
    await fleet.start_all()
    await fleet.ask(fleet.query(), break_after=4)

    assert await fleet.lines() == ({Line.RESUME_IS_SAME} if broken else set())


@KEPT_AND_BROKEN
async def test_a_refused_query_that_was_stored_all_the_same_is_named(
    fleet: MiniFleet, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = asking.publish

    async def publish_then_refuse(*arguments: Any, **options: Any) -> NoReturn:
        await publish(*arguments, **options)
        raise QueueFull("The queue is said to be full.")

    config = (await fleet.bus.js.stream_info(ROUTE.name)).config
    config.max_msgs = 1
    await fleet.bus.js.update_stream(config)
    first = await fleet.publish(fleet.query(), deadline_s=10)
    await fleet.start_bridge()
    if broken:
        config.max_msgs = 2
        await fleet.bus.js.update_stream(config)
        monkeypatch.setattr(asking, "publish", publish_then_refuse)
    refused = await fleet.ask(fleet.query())
    await fleet.start_router()
    await fleet.start_evidence()
    await fleet.start_generation()

    assert (first.outcome, refused.outcome) == (Outcome.ACCEPTED, Outcome.REFUSED)
    assert await fleet.lines() == ({Line.REFUSED_LEFT_NOTHING} if broken else set())


async def test_a_refused_query_that_waits_in_a_queue_is_named(
    fleet: MiniFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = asking.publish

    async def publish_then_refuse(*arguments: Any, **options: Any) -> NoReturn:
        await publish(*arguments, **options)
        raise QueueFull("The queue is said to be full.")

    monkeypatch.setattr(asking, "publish", publish_then_refuse)
    await fleet.start_bridge()
    await fleet.ask(fleet.query())

    assert await fleet.lines() == {Line.REFUSED_LEFT_NOTHING}
    assert "ROUTE" in fleet.hearing.findings[0].detail


@pytest.mark.parametrize("grace_s", [0.3])
async def test_a_query_that_vanishes_is_lost(fleet: MiniFleet) -> None:
    query = fleet.query()
    await fleet.publish(query, deadline_s=0.3)
    await fleet.bus.js.purge_stream(ROUTE.name)

    assert await fleet.lines() == {Line.ONE_TERMINAL}
    assert "lost" in fleet.hearing.findings[0].detail
