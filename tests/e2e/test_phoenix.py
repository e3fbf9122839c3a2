"""The real Phoenix beside the real stack: what it shows of a question is what happened to it."""

import asyncio
from typing import Any

import httpx
import pytest
from components import missing
from fleet import DEMO, SIMULATED, Fleet

from askfleet.embedded.phoenix import environment
from askfleet.local.supervisor import State
from askfleet.sse import AnswerStream
from bus.testing import eventually
from contracts import Done, Event, Evidence, Routed, Rows
from evals.phoenix import Case, upload

pytestmark = pytest.mark.asyncio(loop_scope="session")

STARTS_WITHIN_S = 200
ARRIVES_WITHIN_S = 60
STAGES = {
    "question",
    "router",
    "retrieval",
    "embedding",
    "milvus",
    "sql",
    "postgresql",
    "generation",
    SIMULATED,
}
QUESTION = "How many agents work in the Dublin office, and what does a red lamp after a reset mean?"


@pytest.fixture
async def phoenix(fleet: Fleet) -> httpx.AsyncClient:
    if environment() is None:
        missing("Phoenix is not installed (make phoenix)")

    def ready() -> bool:
        return any(s.name == "phoenix" and s.state is State.READY for s in fleet.stack.statuses)

    await eventually(ready, within_s=STARTS_WITHIN_S, every_s=0.2)
    return httpx.AsyncClient(base_url=fleet.stack.record.phoenix_url, timeout=30)


async def ask(fleet: Fleet) -> tuple[AnswerStream, list[Event]]:
    async with fleet.client() as client:
        stream = AnswerStream(client, key=fleet.keys[DEMO])
        body: dict[str, object] = {"question": QUESTION, "route": "both", "model": SIMULATED}
        return stream, [event async for event in stream.ask(body)]


async def spans_of(phoenix: httpx.AsyncClient, trace_id: str) -> list[dict[str, Any]]:
    """All spans of a finished question: each process exports its own, once a second."""
    found: list[dict[str, Any]] = []

    async def whole() -> bool:
        answer = await phoenix.get("/v1/projects/askfleet/spans", params={"trace_id": trace_id, "limit": 100})
        found[:] = answer.json()["data"] if answer.status_code == 200 else []
        return {span["name"] for span in found} >= STAGES

    await eventually(whole, within_s=ARRIVES_WITHIN_S, every_s=0.2)
    return sorted(found, key=lambda span: str(span["start_time"]))


def the(kind: type[Event], events: list[Event]):  # type: ignore[no-untyped-def]
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


async def test_phoenix_shows_the_tree_the_documents_the_rows_and_the_tokens_of_a_question(
    fleet: Fleet, phoenix: httpx.AsyncClient
) -> None:
    async with phoenix:
        stream, events = await ask(fleet)
        trace_id = stream.trace.rpartition("/")[2]
        spans = await spans_of(phoenix, trace_id)
        page = await phoenix.get(stream.trace, follow_redirects=True)

    assert page.status_code == 200
    by_name = {span["name"]: span for span in spans}
    parents = {span["context"]["span_id"]: span["name"] for span in spans}
    tree = {(span["name"], span["span_kind"], parents.get(span["parent_id"])) for span in spans}
    assert tree - {(f"wait for {stage}", "CHAIN", "question") for stage in by_name} == {
        ("question", "CHAIN", None),
        ("router", "CHAIN", "question"),
        ("retrieval", "RETRIEVER", "question"),
        ("embedding", "EMBEDDING", "retrieval"),
        ("milvus", "TOOL", "retrieval"),
        ("sql", "TOOL", "question"),
        ("postgresql", "TOOL", "sql"),
        ("generation", "CHAIN", "question"),
        (SIMULATED, "LLM", "generation"),
    }
    assert {span["context"]["trace_id"] for span in spans} == {trace_id}
    check_documents(by_name["retrieval"]["attributes"], the(Evidence, events))
    check_rows(by_name["sql"]["attributes"], the(Rows, events))
    check_tokens(by_name[SIMULATED]["attributes"], the(Done, events))
    assert by_name["router"]["attributes"]["askfleet.route"] == the(Routed, events).route.value
    assert by_name["question"]["attributes"]["output.value"] == the(Done, events).text


def check_documents(found: dict[str, Any], evidence: Evidence) -> None:
    shown = [
        tuple(found[f"retrieval.documents.{number}.document.{name}"] for name in ("id", "score", "content"))
        for number in range(len(evidence.passages))
    ]
    assert shown == [(passage.chunk_id, passage.score, passage.text) for passage in evidence.passages]
    assert f"retrieval.documents.{len(shown)}.document.id" not in found


def check_rows(found: dict[str, Any], rows: Rows) -> None:
    assert found["db.query.text"] == rows.statement
    assert found["db.response.returned_rows"] == len(rows.rows)


def check_tokens(found: dict[str, Any], done: Done) -> None:
    assert found["llm.token_count.prompt"] == done.usage.prompt_tokens > 0
    assert found["llm.token_count.completion"] == done.usage.completion_tokens > 0
    assert found["llm.model_name"] == done.model


async def test_feedback_lands_on_the_trace_of_its_answer(fleet: Fleet, phoenix: httpx.AsyncClient) -> None:
    async with phoenix, fleet.client() as client:
        stream, _ = await ask(fleet)
        trace_id = stream.trace.rpartition("/")[2]
        await spans_of(phoenix, trace_id)
        for rating, text in (("up", ""), ("down", "It is the green lamp.")):
            answer = await client.post(
                f"/v1/answers/{stream.answer_id}/feedback", json={"rating": rating, "text": text}
            )
            assert answer.is_success, answer.text
        shown: list[tuple[str, str, float, str]] = []

        async def landed() -> bool:
            found = await phoenix.get(
                "/v1/projects/askfleet/trace_annotations", params={"trace_ids": trace_id}
            )
            results = [(item["name"], item["result"]) for item in found.json()["data"]]
            shown[:] = [(name, r["label"], r["score"], r["explanation"]) for name, r in results]
            return any(label == "down" for _, label, _, _ in shown)

        await eventually(landed, within_s=ARRIVES_WITHIN_S, every_s=0.2)

    assert shown == [("feedback", "down", 0.0, "It is the green lamp.")]


async def test_an_evaluation_is_kept_as_an_experiment_over_its_questions(phoenix: httpx.AsyncClient) -> None:
    cases = [
        Case(
            {"question": "Which lamp?"}, {"answers": ["red"]}, {"text": "The red one."}, {"containment": 1.0}
        ),
        Case({"question": "Which door?"}, {"answers": ["left"]}, {"text": "No idea."}, {"containment": 0.0}),
    ]
    url = str(phoenix.base_url)
    async with phoenix:
        pages = [
            await asyncio.to_thread(upload, url, "answers", cases, settings={"engine": engine})
            for engine in ("quote", "llamacpp")
        ]
        datasets = (await phoenix.get("/v1/datasets")).json()["data"]
        kept = [
            (await phoenix.get(f"/v1/experiments/{page.partition('=')[2]}/json")).json() for page in pages
        ]

    assert len(datasets) == 1, "the same questions are one data set"
    for rows in kept:
        shown = {row["input"]["question"]: row for row in rows}
        assert shown["Which lamp?"]["output"] == {"text": "The red one."}
        assert shown["Which lamp?"]["reference_output"] == {"answers": ["red"]}
        scores = {name: row["annotations"][0]["score"] for name, row in shown.items()}
        assert scores == {"Which lamp?": 1.0, "Which door?": 0.0}
