"""What was given up: what is kept of it, and how it is worked again, on a real nats-server."""

import asyncio
import json

import pytest

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.connection import Bus, connect
from bus.consume import Source
from bus.dead_letter import DeadLetter, LetterFilter, bury, forget_letter, read_letters
from bus.delivery import Delivery
from bus.envelope import DEADLINE, MESSAGE_ID, Envelope, now_ms
from bus.publish import publish
from bus.resubmission import next_id, plan, replay
from bus.stage import run_stage
from bus.stored import Stored, read_one
from bus.testing import eventually
from bus.topology import DLQ, GENERATE, INGEST, ROUTE, Stream
from contracts import Accepted, Document, Failed, GenerateJob, Query, Turn, decode, encode
from contracts.errors import AskfleetError, DecodeError, DependencyUnavailable, InvalidQuery

TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def give_up(
    bus: Bus, stage: str, subject: str, body: bytes, *, identity: str = "", error: AskfleetError | None = None
) -> DeadLetter:
    """Bury a message as a stage does."""
    envelope = Envelope(deadline=now_ms() + 45_000, trace_parent=TRACE_PARENT)
    headers = envelope.headers(message_id=identity, schema="query/1")
    stored = Stored("TEST", now_ms() * 1000 + len(body), subject, headers, body, now_ms())
    before = (await bus.js.stream_info(DLQ.name)).state.last_seq
    await bury(bus, stage, stored, error or DependencyUnavailable("PostgreSQL is away."), 9)
    found = await read_one(bus, DLQ.name, before + 1)
    assert found is not None
    return DeadLetter.of(found)


async def give_up_query(bus: Bus, query_id: str, *, tenant: str = "acme") -> DeadLetter:
    query = Query(id=query_id, question="Why?", top_k=7)
    return await give_up(bus, "router", subjects.query(tenant), encode(query))


async def give_up_generation(bus: Bus, query: Query) -> DeadLetter:
    await AnswerWriter(bus, "acme", query.id).append_once(Accepted(tenant="acme", query=query, deadline=1))
    job = encode(GenerateJob(query_id=query.id, first_sequence=1))
    return await give_up(bus, "generation", subjects.generate("default", "acme"), job)


async def messages(bus: Bus, stream: Stream) -> int:
    return (await bus.js.stream_info(stream.name)).state.messages


async def chosen(bus: Bus, **fields: object) -> list[str]:
    found = read_letters(bus, LetterFilter(**fields))  # type: ignore[arg-type]
    return [letter.query_id async for letter in found]


async def test_a_letter_says_why_when_how_often_and_under_which_trace(bus: Bus) -> None:
    began = now_ms()

    async def fail(_: Delivery[GenerateJob]) -> None:
        raise InvalidQuery("The question is 'nonsense'.")

    headers = Envelope(deadline=now_ms() + 60_000, trace_parent=TRACE_PARENT).headers(
        message_id="acme:q1:generate", schema="generate-job/1"
    )
    job = encode(GenerateJob(query_id="q1", first_sequence=0))
    async with run_stage(bus, Source.of(GENERATE, 2), GenerateJob, fail, drain_grace_s=1):
        await publish(bus, subjects.generate("default", "acme"), job, headers=headers)
        await eventually(lambda: _any(bus))

    (letter,) = [letter async for letter in read_letters(bus, LetterFilter())]
    assert (letter.stage, letter.tenant, letter.query_id) == ("generation", "acme", "q1")
    assert (letter.code, letter.attempts) == ("invalid-query", 1)
    assert "nonsense" in letter.reason
    assert letter.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert letter.subject == "af.work.generate.default.acme"
    assert began <= letter.sent_at <= letter.buried_at <= now_ms()
    assert decode(GenerateJob, letter.body).query_id == "q1"


async def _any(bus: Bus) -> bool:
    return await messages(bus, DLQ) == 1


async def test_letters_are_chosen_by_stage_tenant_code_query_time_and_number(bus: Bus) -> None:
    first = await give_up_query(bus, "q1")
    await give_up_query(bus, "q2", tenant="globex")
    unreadable = DecodeError("Not JSON.", raw=b"")
    await give_up(bus, "sql", subjects.sql("acme"), b'{"query_id": "q3"}', error=unreadable)
    await asyncio.sleep(0.01)
    later = now_ms()
    await give_up_query(bus, "q4")

    assert await chosen(bus) == ["q1", "q2", "q3", "q4"]
    assert await chosen(bus, stage="router", tenant="acme") == ["q1", "q4"]
    assert await chosen(bus, tenant="globex") == ["q2"]
    assert await chosen(bus, code="undecodable") == ["q3"]
    assert await chosen(bus, query_id="q2") == ["q2"]
    assert await chosen(bus, since_ms=later) == ["q4"]
    assert await chosen(bus, limit=2) == ["q1", "q2"]
    assert await chosen(bus, sequences=(first.sequence, 99)) == ["q1"]
    assert await chosen(bus, sequences=(first.sequence,), tenant="globex") == []


async def test_more_letters_than_one_read_holds_are_all_listed(bus: Bus) -> None:
    for number in range(600):
        headers = {MESSAGE_ID: str(number), "Af-Dead-Query-Id": f"q{number}"}
        await publish(bus, subjects.dead("sql", "acme"), b"{}", headers=headers)
    assert len(await chosen(bus)) == 600


async def test_a_query_is_asked_anew_under_its_next_id_with_the_time_it_had(bus: Bus) -> None:
    letter = await give_up_query(bus, "q1")

    done = await replay(bus, letter.sequence)

    assert (done.outcome, done.query_id) == ("replayed", "q1-r1")
    stored = await read_one(bus, ROUTE.name, 1)
    assert stored is not None
    query = decode(Query, stored.body, schema=stored.headers["Af-Schema"])
    assert (query.id, query.question, query.top_k) == ("q1-r1", "Why?", 7)
    assert stored.headers["Af-Replay-Of"] == "q1"
    assert stored.headers["traceparent"] == TRACE_PARENT
    assert 40_000 < int(stored.headers[DEADLINE]) - now_ms() <= 45_000
    assert not [name for name in stored.headers if name.startswith("Af-Dead-")]
    assert await messages(bus, DLQ) == 0


async def test_a_replay_that_is_repeated_or_asked_for_twice_at_once_works_once(bus: Bus) -> None:
    letters = [await give_up_query(bus, f"q{number}") for number in range(5)]
    async with connect(bus.settings, name="second") as other:
        both = [replay(where, letter.sequence) for letter in letters for where in (bus, other, bus)]
        done = await asyncio.gather(*both)
    again = [await replay(bus, letter.sequence) for letter in letters]

    assert sorted(found.outcome for found in done) == ["already"] * 10 + ["replayed"] * 5
    assert {found.outcome for found in again} == {"already"}
    assert await messages(bus, ROUTE) == 5
    assert await messages(bus, DLQ) == 0


async def test_a_letter_that_outlived_its_replay_asks_nothing_twice(bus: Bus) -> None:
    """The replay was killed between the publish and the deletion, and the dedup window is over."""
    letter = await give_up_query(bus, "q1")
    query = Query(id="q1-r1", question="Why?")
    accepted = Accepted(tenant="acme", query=query, deadline=now_ms() + 60_000)
    await AnswerWriter(bus, "acme", "q1-r1").append_once(accepted)

    done = await replay(bus, letter.sequence)

    assert (done.outcome, done.query_id) == ("already", "q1-r1")
    assert await messages(bus, ROUTE) == 0
    assert await messages(bus, DLQ) == 0


async def test_what_a_later_stage_gave_up_is_asked_anew_from_the_query_that_the_letter_keeps(
    bus: Bus,
) -> None:
    history = (
        Turn(role="user", content='Größe "x"\nund\tmehr 東京'),
        Turn(role="assistant", content="y" * 9000),
    )
    query = Query(id="q1", question="Wie groß?", history=history, max_tokens=99)
    letter = await give_up_generation(bus, query)
    await bus.js.purge_stream("ANSWERS")

    done = await replay(bus, letter.sequence)

    assert (done.outcome, done.query_id) == ("replayed", "q1-r1")
    stored = await read_one(bus, ROUTE.name, 1)
    assert stored is not None
    assert decode(Query, stored.body) == query.model_copy(update={"id": "q1-r1"})


async def test_two_stages_that_gave_up_the_same_query_ask_it_once(bus: Bus) -> None:
    query = Query(id="q1", question="Why?")
    first = await give_up_generation(bus, query)
    second = await give_up(bus, "sql", subjects.sql("acme"), b'{"query_id": "q1"}')

    done = [await replay(bus, first.sequence), await replay(bus, second.sequence)]

    assert [found.outcome for found in done] == ["replayed", "already"]
    assert await messages(bus, ROUTE) == 1
    assert await messages(bus, DLQ) == 0


async def test_a_query_that_is_kept_nowhere_is_told_and_its_letter_stays(bus: Bus) -> None:
    letter = await give_up(bus, "sql", subjects.sql("acme"), b'{"query_id": "lost"}')

    done = await replay(bus, letter.sequence)

    assert done.outcome == "impossible"
    assert "'lost'" in done.note
    assert await messages(bus, DLQ) == 1


async def test_a_document_is_published_again_as_it_was_and_once(bus: Bus) -> None:
    document = Document(id="a/b.md", content=b"SGVsbG8=")
    letter = await give_up(bus, "ingest", subjects.ingest("acme"), encode(document))
    assert letter.query_id == ""

    done = await asyncio.gather(replay(bus, letter.sequence), replay(bus, letter.sequence))

    assert sorted(found.outcome for found in done) == ["already", "replayed"]
    assert await messages(bus, INGEST) == 1
    stored = await read_one(bus, INGEST.name, 1)
    assert stored is not None
    assert decode(Document, stored.body) == document


@pytest.mark.parametrize("body", [b"{broken", b"\xff\x00", b"[1]", b'{"id": 7}'])
async def test_a_body_that_can_not_be_read_is_published_as_it_was(bus: Bus, body: bytes) -> None:
    letter = await give_up(bus, "router", subjects.query("acme"), body)
    done = [await replay(bus, letter.sequence), await replay(bus, letter.sequence)]
    assert [found.outcome for found in done] == ["replayed", "already"]
    stored = await read_one(bus, ROUTE.name, 1)
    assert stored is not None
    assert stored.body == body


async def test_a_plan_changes_nothing(bus: Bus) -> None:
    letter = await give_up_query(bus, "q1")
    planned = await plan(bus, letter)
    assert planned.query_id == "q1-r1"
    assert json.loads(planned.body)["id"] == "q1-r1"
    assert (await messages(bus, DLQ), await messages(bus, ROUTE)) == (1, 0)


async def test_a_letter_is_forgotten_once(bus: Bus) -> None:
    letter = await give_up_query(bus, "q1")
    assert await forget_letter(bus, letter.sequence)
    assert not await forget_letter(bus, letter.sequence)


async def test_burying_is_repeatable(bus: Bus) -> None:
    stored = Stored("SQL", 7, subjects.sql("acme"), {}, b"{}", now_ms())
    await bury(bus, "sql", stored, InvalidQuery("No."), 1)
    await bury(bus, "sql", stored, InvalidQuery("No."), 1)
    assert await messages(bus, DLQ) == 1


async def test_the_answer_of_a_replayed_query_is_a_log_of_its_own(bus: Bus) -> None:
    letter = await give_up_query(bus, "q1")
    await AnswerWriter(bus, "acme", "q1").append_once(Failed(problem=InvalidQuery("No.").problem()))
    await replay(bus, letter.sequence)
    assert len((await read_log(bus, "acme", "q1")).events) == 1


def test_ids_count_on_and_stay_valid() -> None:
    assert next_id("q") == "q-r1"
    assert next_id("q-r1") == "q-r2"
    assert next_id("q-r9") == "q-r10"
    long, other = "x" * 64, "x" * 63 + "y"
    assert subjects.is_token(next_id(long))
    assert next_id(long) != next_id(other)
    assert next_id(next_id(long)) == next_id(long).removesuffix("1") + "2"
