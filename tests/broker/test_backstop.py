"""What becomes of a message whose workers die each time, on a real nats-server."""

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.backstop import Backstop, watch_given_up
from bus.connection import Bus, connect
from bus.dead_letter import DeadLetter, LetterFilter, read_letters
from bus.delivery import Terms
from bus.envelope import Envelope, now_ms
from bus.evidence import give_up_evidence
from bus.publish import publish
from bus.settings import BusSettings
from bus.stage import fail_on_log
from bus.stored import read_one
from bus.testing import eventually
from bus.topology import GENERATE, SQL, Stream
from contracts import Accepted, EvidenceJob, Failed, GenerateJob, Query, Rows, encode

DELIVERIES = 2
TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def bus_settings(nats_url: str) -> BusSettings:
    return BusSettings(nats_url=nats_url, ack_wait_s=0.3, publish_timeout_s=2.0)


@pytest.fixture
async def generation(bus: Bus) -> None:
    """The generation consumer gives up after two deliveries."""
    await deliver_at_most(bus, GENERATE)


async def deliver_at_most(bus: Bus, stream: Stream) -> None:
    consumer = stream.consumers[0]
    config = ConsumerConfig(
        durable_name=consumer.durable,
        filter_subject=consumer.filter_subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=bus.settings.ack_wait_s,
        max_deliver=DELIVERIES,
        max_ack_pending=consumer.max_ack_pending,
        max_waiting=2048,
    )
    await bus.js.add_consumer(stream.name, config)


async def ask(bus: Bus, query_id: str) -> None:
    """A query that has been accepted and waits to be written."""
    accepted = Accepted(tenant="acme", query=Query(id=query_id, question="Why?"), deadline=now_ms() + 60_000)
    await AnswerWriter(bus, "acme", query_id).append_once(accepted)
    envelope = Envelope(deadline=now_ms() + 60_000, trace_parent=TRACE_PARENT)
    headers = envelope.headers(message_id=f"acme:{query_id}:generate", schema="generate-job/1")
    job = encode(GenerateJob(query_id=query_id, first_sequence=1))
    await publish(bus, subjects.generate("default", "acme"), job, headers=headers)


async def die_over(bus: Bus, stream: Stream) -> None:
    """A worker that pulls one message and is killed: it neither acks nor naks."""
    async with connect(bus.settings, name="short-lived") as own:
        subscription = await own.js.pull_subscribe_bind(stream.consumers[0].durable, stream.name)
        (message,) = await subscription.fetch(1, timeout=5)
        assert not message.is_acked


async def die_over_and_over(bus: Bus, stream: Stream) -> None:
    """Until the server gives it up, which it does when the next worker asks for work."""
    for _ in range(DELIVERIES):
        await die_over(bus, stream)
    inbox = bus.nc.new_inbox()
    await bus.nc.subscribe(inbox)
    next_worker = f"$JS.API.CONSUMER.MSG.NEXT.{stream.name}.{stream.consumers[0].durable}"
    await bus.nc.publish(next_worker, b'{"batch": 1, "expires": 5000000000}', reply=inbox)


async def letters(bus: Bus) -> list[DeadLetter]:
    return [letter async for letter in read_letters(bus, LetterFilter())]


async def stored(bus: Bus, stream: Stream) -> int:
    return (await bus.js.stream_info(stream.name)).state.messages


@pytest.mark.usefixtures("generation")
async def test_a_message_over_which_each_worker_dies_fails_on_its_log_and_is_buried_once(bus: Bus) -> None:
    await ask(bus, "deadly")
    terms, give_up = Terms("generation"), fail_on_log(bus)
    async with (
        watch_given_up(bus, GENERATE.name, terms, give_up),
        connect(bus.settings, name="other") as other,
        watch_given_up(other, GENERATE.name, terms, fail_on_log(other)),
    ):
        await die_over_and_over(bus, GENERATE)
        await eventually(lambda: gone(bus))

    (letter,) = await letters(bus)
    assert (letter.stage, letter.tenant, letter.query_id) == ("generation", "acme", "deadly")
    assert (letter.code, letter.attempts) == ("permanent", DELIVERIES)
    assert letter.trace_id == TRACE_PARENT.split("-")[1]
    state = await read_log(bus, "acme", "deadly")
    assert isinstance(state.terminal, Failed)
    assert len(state.events) == 2
    info = await bus.js.consumer_info(GENERATE.name, "generation-default")
    assert (info.num_pending, info.num_ack_pending) == (0, 0)


async def gone(bus: Bus) -> bool:
    return await stored(bus, GENERATE) == 0


@pytest.mark.usefixtures("generation")
async def test_what_was_given_up_while_nobody_listened_is_found_later(bus: Bus) -> None:
    await ask(bus, "unheard")
    heard = await bus.nc.subscribe(subjects.given_up(GENERATE.name))
    await die_over_and_over(bus, GENERATE)
    await heard.next_msg(timeout=5)
    assert await stored(bus, GENERATE) == 1

    found = Backstop(bus, GENERATE.name, Terms("generation"), fail_on_log(bus))
    assert await found.sweep() == 1
    assert await found.sweep() == 0

    assert await stored(bus, GENERATE) == 0
    assert [letter.query_id for letter in await letters(bus)] == ["unheard"]


@pytest.mark.usefixtures("generation")
async def test_a_sweep_leaves_what_waits_and_what_is_in_work(bus: Bus) -> None:
    for number in range(4):
        await ask(bus, f"q{number}")
    subscription = await bus.js.pull_subscribe_bind("generation-default", GENERATE.name)
    first, _ = await subscription.fetch(2, timeout=5)
    await first.ack_sync()

    found = Backstop(bus, GENERATE.name, Terms("generation"), fail_on_log(bus))
    assert await found.sweep() == 0
    assert await stored(bus, GENERATE) == 3
    assert await letters(bus) == []


@pytest.mark.usefixtures("generation")
async def test_an_advisory_that_comes_twice_changes_nothing_more(bus: Bus) -> None:
    await ask(bus, "twice")
    heard = await bus.nc.subscribe(subjects.given_up(GENERATE.name))
    await die_over_and_over(bus, GENERATE)
    advisory = await heard.next_msg(timeout=5)
    found = Backstop(bus, GENERATE.name, Terms("generation"), fail_on_log(bus))
    await found.on_advisory(advisory)
    await found.on_advisory(advisory)
    assert len(await letters(bus)) == 1
    assert await read_one(bus, GENERATE.name, 1) is None


async def test_evidence_that_was_given_up_leaves_the_answer_to_the_other_kind(bus: Bus) -> None:
    await deliver_at_most(bus, SQL)
    writer = AnswerWriter(bus, "acme", "both")
    accepted = Accepted(tenant="acme", query=Query(id="both", question="Why?"), deadline=now_ms() + 60_000)
    await writer.append_once(accepted)
    job = EvidenceJob(query_id="both", question="Why?", joined=True, position=writer.position)
    await publish(bus, subjects.sql("acme"), encode(job), headers={"Nats-Msg-Id": "acme:both:sql"})
    async with watch_given_up(bus, SQL.name, Terms("sql"), give_up_evidence(bus, Rows)):
        await die_over_and_over(bus, SQL)
        await eventually(lambda: buried(bus))
    state = await read_log(bus, "acme", "both")
    assert state.terminal is None
    assert isinstance(state.events[-1], Rows)
    assert state.events[-1].problem is not None


async def buried(bus: Bus) -> bool:
    return len(await letters(bus)) == 1 and await stored(bus, SQL) == 0
