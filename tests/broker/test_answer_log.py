"""The answer log on a real nats-server."""

import asyncio

import pytest

from bus import subjects
from bus.answer_log import AnswerWriter, DeltaWriter, read_log
from bus.connection import Bus
from bus.testing import NatsServer, eventually
from contracts import Accepted, Delta, Done, Evidence, LogPosition, Query, Rows, decode_event
from contracts.errors import AnswerEnded, Fenced

ACCEPTED = Accepted(tenant="acme", query=Query(id="q1", question="Who?"), deadline=1)


async def started(bus: Bus) -> AnswerWriter:
    writer = AnswerWriter(bus, "acme", "q1")
    await writer.append_once(ACCEPTED)
    return writer


async def test_events_come_back_in_order_with_indexes_from_one(bus: Bus) -> None:
    writer = await started(bus)
    for word in ("a", "b", "c"):
        await writer.append(Delta(text=word))

    state = await read_log(bus, "acme", "q1")

    assert [event.index for event in state.events] == [1, 2, 3, 4]
    assert state.text == "abc"
    assert state.position == writer.position


async def test_a_log_longer_than_one_batch_is_read_whole(bus: Bus) -> None:
    writer = await started(bus)
    for number in range(600):
        await writer.append(Delta(text=str(number)))

    state = await writer.read()

    assert [event.index for event in state.events] == list(range(1, 602))


async def test_a_second_accepted_is_not_written(bus: Bus) -> None:
    await started(bus)

    found = await AnswerWriter(bus, "acme", "q1").append_once(ACCEPTED)

    assert found is not None
    assert len((await read_log(bus, "acme", "q1")).events) == 1


async def test_an_evidence_writer_with_a_stale_position_reads_on_and_appends(bus: Bus) -> None:
    position = (await started(bus)).position
    await AnswerWriter(bus, "acme", "q1", position=position).append_once(Evidence())

    before = await AnswerWriter(bus, "acme", "q1", position=position).append_once(Rows(statement="SELECT 1"))

    assert before is not None
    assert [event.type for event in before.events] == ["accepted", "evidence"]
    assert (await read_log(bus, "acme", "q1")).last_index == 3


async def test_a_zombies_words_are_refused_and_no_live_reader_sees_them(bus: Bus) -> None:
    writer = await started(bus)
    zombie = AnswerWriter(bus, "acme", "q1", position=writer.position)
    seen: list[str] = []

    async def collect(message) -> None:  # type: ignore[no-untyped-def]
        seen.append(decode_event(message.data).type)

    await bus.nc.subscribe(subjects.live("acme", "q1"), cb=collect)
    await writer.append(Delta(text="mine"))
    with pytest.raises(Fenced):
        await zombie.append(Delta(text="late"))
    await writer.append(Done(text="mine"))

    await eventually(lambda: "done" in seen)
    assert seen == ["delta", "done"]


async def test_a_second_terminal_is_refused(bus: Bus) -> None:
    writer = await started(bus)
    late = AnswerWriter(bus, "acme", "q1", position=writer.position)
    await writer.append(Done(text=""))

    with pytest.raises(AnswerEnded):
        await late.append(Done(text="again"))


async def test_an_event_whose_acknowledgement_was_lost_is_recognised_as_the_writers_own(bus: Bus) -> None:
    writer = await started(bus)
    before = writer.position
    stored = await writer.append(Delta(text="once"))
    writer.position = before
    writer._written -= 1  # the same event is stamped again, as in a retry after a lost acknowledgement

    again = await writer.append(Delta(text="once"))

    assert again.id == stored.id
    assert (await read_log(bus, "acme", "q1")).text == "once"


async def test_appends_survive_a_restart_of_the_server(bus: Bus, nats_server: NatsServer) -> None:
    writer = await started(bus)
    text = DeltaWriter(writer)
    for number in range(50):
        text.write(f"{number} ")
        if number == 20:
            nats_server.kill()
            nats_server.start()
    await text.drain()

    state = await read_log(bus, "acme", "q1")
    assert state.text.split() == [str(number) for number in range(50)]
    assert [event.index for event in state.events] == list(range(1, len(state.events) + 1))


async def test_tokens_collect_while_a_flush_is_under_way(bus: Bus) -> None:
    writer = await started(bus)
    text = DeltaWriter(writer)
    for number in range(200):
        text.write(f"{number} ")
    await text.drain()

    state = await read_log(bus, "acme", "q1")
    assert state.text.split() == [str(number) for number in range(200)]
    assert len(state.events) < 10


async def test_tokens_collect_while_the_writer_rests_and_a_drain_ends_the_rest(bus: Bus) -> None:
    writer = await started(bus)
    text = DeltaWriter(writer)
    text.write("a")
    await eventually(lambda: writer.position.last_index == 2, every_s=0)
    for word in ("b", "c", "d"):
        text.write(word)
        await asyncio.sleep(0)
    await text.drain()

    state = await read_log(bus, "acme", "q1")
    assert [event.text for event in state.events if isinstance(event, Delta)] == ["a", "bcd"]


async def test_a_fenced_delta_writer_tells_its_owner_at_once(bus: Bus) -> None:
    writer = await started(bus)
    zombie_position = LogPosition(**writer.position.model_dump())
    await writer.append(Delta(text="taken over"))
    refused = asyncio.Event()
    zombie = DeltaWriter(AnswerWriter(bus, "acme", "q1", position=zombie_position), on_refused=refused.set)

    zombie.write("late")

    async with asyncio.timeout(5):
        await refused.wait()
    with pytest.raises(Fenced):
        zombie.write("later")
