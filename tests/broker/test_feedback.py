"""What readers think of answers: kept once an answer, with what the log knew, read back as labels."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from bridges import bridge

from bus.answer_log import AnswerWriter
from bus.connection import Bus
from bus.feedback import LabelledQuestion, give_feedback, read_feedback, read_labels
from bus.topology import FEEDBACK
from contracts import Accepted, Delta, Done, Feedback, Query, Route, Routed
from contracts.errors import AnswerNotFound


async def answered(
    bus: Bus,
    query_id: str,
    question: str,
    *,
    route: Route = Route.SQL,
    stand_alone: str = "",
    tenant: str = "acme",
) -> None:
    query = Query(id=query_id, question=question)
    writer = AnswerWriter(bus, tenant, query_id)
    await writer.append(Accepted(tenant=tenant, query=query, deadline=1))
    await writer.append(Routed(route=route, confidence=0.9, question=stand_alone))
    await writer.append(Delta(text="x"))
    await writer.append(Done(text="x"))


async def given(bus: Bus, tenant: str = "") -> list[Feedback]:
    return [found.feedback async for found in read_feedback(bus, tenant=tenant)]


async def labels(bus: Bus) -> list[LabelledQuestion]:
    return [label async for label in read_labels(bus)]


async def test_feedback_keeps_the_question_as_it_was_routed_and_the_route_it_took(bus: Bus) -> None:
    await answered(bus, "q1", "And in May?", stand_alone="How many orders came in May?")

    await give_feedback(bus, "acme", Feedback(query_id="q1", rating="down", text="Wrong month."))

    (kept,) = await given(bus)
    assert (kept.rating, kept.text) == ("down", "Wrong month.")
    assert (kept.question, kept.routed) == ("How many orders came in May?", Route.SQL)
    assert kept.at > 0


async def test_the_last_word_on_an_answer_stands_even_when_it_returns_to_the_first(bus: Bus) -> None:
    await answered(bus, "q1", "How many?")
    for rating in ("up", "down", "up"):
        await give_feedback(bus, "acme", Feedback(query_id="q1", rating=rating))

    assert [kept.rating for kept in await given(bus)] == ["up"]
    assert (await bus.js.stream_info(FEEDBACK.name)).state.messages == 1


async def test_feedback_on_an_answer_of_another_tenant_is_not_kept(bus: Bus) -> None:
    await answered(bus, "q1", "How many?")

    with pytest.raises(AnswerNotFound):
        await give_feedback(bus, "other", Feedback(query_id="q1", rating="up"))
    assert await given(bus) == []


async def test_feedback_of_one_tenant_is_read_alone(bus: Bus) -> None:
    for tenant in ("acme", "other"):
        await answered(bus, "q1", f"How many at {tenant}?", tenant=tenant)
        await give_feedback(bus, tenant, Feedback(query_id="q1", rating="up"))

    assert [kept.question for kept in await given(bus, "other")] == ["How many at other?"]
    assert len(await given(bus)) == 2


async def test_a_named_route_and_an_approved_one_are_labels_and_a_complaint_alone_is_none(bus: Bus) -> None:
    await answered(bus, "approved", "How many orders?")
    await answered(bus, "corrected", "What is the fee?", route=Route.SQL)
    await answered(bus, "complaint", "Who pays?")
    await answered(bus, "undecided", "How many come back?", route=Route.BOTH)
    opinions = (
        Feedback(query_id="approved", rating="up"),
        Feedback(query_id="corrected", rating="down", route=Route.DOCUMENTS),
        Feedback(query_id="complaint", rating="down"),
        Feedback(query_id="undecided", rating="up"),
    )
    for opinion in opinions:
        await give_feedback(bus, "acme", opinion)

    assert await labels(bus) == [
        LabelledQuestion("acme", "How many orders?", "sql", certain=False),
        LabelledQuestion("acme", "What is the fee?", "documents", certain=True),
    ]


@pytest.fixture
async def client(bus: Bus, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with bridge(bus, tmp_path, limits={"requests_per_s": 0.01, "burst": 5}) as opened:
        yield opened


async def test_feedback_over_http_is_kept_and_said_back(client: httpx.AsyncClient, bus: Bus) -> None:
    await answered(bus, "q1", "How many?")

    body = {"rating": "down", "text": "Not what I meant.", "route": "documents"}
    replies = [await client.post("/v1/answers/q1/feedback", json=body) for _ in range(2)]

    (kept,) = await given(bus, "acme")
    assert [reply.status_code for reply in replies] == [200, 200]
    assert replies[-1].json() == kept.model_dump(mode="json")
    assert (kept.text, kept.route, kept.routed) == ("Not what I meant.", Route.DOCUMENTS, Route.SQL)


@pytest.mark.parametrize(
    ("query_id", "body", "status", "code"),
    [
        ("unknown", {"rating": "up"}, 404, "answer-not-found"),
        ("theirs", {"rating": "up"}, 404, "answer-not-found"),
        ("a.b", {"rating": "up"}, 400, "invalid-name"),
        ("q1", {"rating": "meh"}, 400, "invalid-query"),
        ("q1", {}, 400, "invalid-query"),
        ("q1", {"rating": "up", "text": "x" * 2001}, 400, "invalid-query"),
        ("q1", {"rating": "up", "tenant": "other"}, 400, "invalid-query"),
    ],
)
async def test_feedback_that_can_not_be_kept_is_a_typed_error(
    client: httpx.AsyncClient, bus: Bus, query_id: str, body: dict[str, str], status: int, code: str
) -> None:
    await answered(bus, "q1", "How many?")
    await answered(bus, "theirs", "How many?", tenant="other")

    reply = await client.post(f"/v1/answers/{query_id}/feedback", json=body)

    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert await given(bus) == []


async def test_feedback_needs_the_key_and_counts_against_its_rate(
    client: httpx.AsyncClient, bus: Bus
) -> None:
    await answered(bus, "q1", "How many?")
    path, body = "/v1/answers/q1/feedback", {"rating": "up"}

    stranger = await client.post(path, json=body, headers={"authorization": "Bearer nobody"})
    statuses = [(await client.post(path, json=body)).status_code for _ in range(6)]
    refused = await client.post(path, json=body)

    assert stranger.status_code == 401
    assert statuses == [200] * 5 + [429]
    assert refused.json()["code"] == "rate-limited"
    assert int(refused.headers["retry-after"]) > 0
