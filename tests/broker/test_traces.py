"""One trace for each question, over every stage and every attempt; a collector that is away costs nobody."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from collector import Collector
from mini_fleet import PASSAGE, QUESTION, TENANT, MiniFleet, Pace, mini_fleet, settings_for

from askfleet.embedded.phoenix import interpreter
from bus.answer_log import read_log
from bus.asking import publish_query
from bus.connection import Bus, connect
from bus.consume import Source
from bus.delivery import Delivery
from bus.envelope import now_ms
from bus.provision import provision
from bus.spans import NoSpans
from bus.stage import run_stage
from bus.testing import eventually
from bus.topology import ROUTE
from contracts import Done, Query, Route
from contracts.errors import Misconfigured
from loadgen.hearing import Sources, open_hearing
from workers.shell.settings import WorkerSettings
from workers.tracing.opening import open_spans

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector().start()
    yield started
    started.stop()


@pytest.fixture
async def quick_bus(nats_url: str) -> AsyncIterator[Bus]:
    async with connect(settings_for(nats_url), name="test") as bus:
        await provision(bus.js, bus.settings)
        yield bus


@pytest.fixture
async def fleet(quick_bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MiniFleet]:
    monkeypatch.setenv("AF_MILVUS_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("AF_MILVUS_TIMEOUT_S", "0.2")
    journal = tmp_path / "journal"
    async with (
        open_hearing(quick_bus, Sources(journal=journal)) as hearing,
        mini_fleet(quick_bus, hearing, journal) as opened,
    ):
        yield opened


def settings(endpoint: str, **more: object) -> WorkerSettings:
    return WorkerSettings(trace_endpoint=endpoint, **more)  # type: ignore[arg-type]


async def ask(fleet: MiniFleet, route: Route = Route.BOTH, question: str = QUESTION) -> Query:
    """By the HTTP door, to the end of the answer."""
    query = fleet.query(route, question)
    await fleet.ask(query)
    return query


async def done(fleet: MiniFleet, query: Query) -> Done:
    last = (await read_log(fleet.bus, TENANT, query.id)).terminal
    assert isinstance(last, Done)
    return last


async def test_a_question_is_one_trace_from_its_door_over_every_stage_to_the_last_token(
    fleet: MiniFleet, collector: Collector
) -> None:
    async with open_spans(settings(collector.url), worker="fleet") as fleet.spans:
        await fleet.start_all()
        query = await ask(fleet)
        answer = await done(fleet, query)
        await fleet.close()

    (root,) = collector.named("question")
    stages = {name: collector.named(name)[0] for name in ("router", "retrieval", "sql", "generation")}
    (llm,) = collector.named("simulated")
    assert {span.trace_id for span in collector.spans} == {root.trace_id}
    assert root.parent_id == ""
    assert {stage.parent_id for stage in stages.values()} == {root.span_id}
    assert llm.parent_id == stages["generation"].span_id
    assert {name: span.attributes["openinference.span.kind"] for name, span in stages.items()} == {
        "router": "CHAIN",
        "retrieval": "RETRIEVER",
        "sql": "TOOL",
        "generation": "CHAIN",
    }
    assert {span.attributes["askfleet.query_id"] for span in [root, *stages.values()]} == {query.id}
    assert all(span.status == 1 for span in [root, *stages.values()])
    assert root.end_ms >= stages["generation"].end_ms - 50
    assert (root.attributes["input.value"], root.attributes["output.value"]) == (QUESTION, answer.text)
    assert "first text" in root.events


async def test_spans_say_what_the_stages_found(fleet: MiniFleet, collector: Collector) -> None:
    async with open_spans(settings(collector.url), worker="fleet") as fleet.spans:
        await fleet.start_all()
        query = await ask(fleet)
        usage = (await done(fleet, query)).usage
        await fleet.close()

    found = collector.named("retrieval")[0].attributes
    assert found["retrieval.documents.0.document.id"] == PASSAGE.chunk_id
    assert found["retrieval.documents.0.document.score"] == PASSAGE.score
    assert found["retrieval.documents.0.document.content"] == PASSAGE.text
    rows = collector.named("sql")[0].attributes
    assert (rows["db.query.text"], rows["db.response.returned_rows"]) == ("select 1", 1)
    assert json.loads(rows["output.value"]) == {"columns": ["ships"], "rows": [[12]]}
    (llm,) = collector.named("simulated")
    assert llm.attributes["llm.token_count.prompt"] == usage.prompt_tokens
    assert llm.attributes["llm.token_count.completion"] == usage.completion_tokens > 0
    assert "harbour office opens at seven" in llm.attributes["input.value"]
    assert llm.attributes["llm.input_messages.0.message.role"] == "system"
    assert llm.attributes["askfleet.first_token_ms"] >= fleet.pace.first_token_ms
    assert llm.events == ["First Token Stream Event"]


async def test_the_router_says_its_features_and_how_probable_each_route_was(
    fleet: MiniFleet, collector: Collector
) -> None:
    async with open_spans(settings(collector.url), worker="fleet") as fleet.spans:
        await fleet.start_all()
        query = Query(id="free", question=QUESTION)
        await fleet.publish(query)
        await fleet.ended(query)
        await fleet.close()

    found = collector.named("router")[0].attributes
    shares = [found[f"askfleet.probability.{route}"] for route in ("documents", "sql", "direct")]
    assert sum(shares) == pytest.approx(1.0)
    assert json.loads(found["output.value"])["route"] == found["askfleet.route"]
    assert "askfleet.feature.schema_coverage" in found


async def test_a_takeover_is_a_second_attempt_in_the_same_trace_that_names_the_first(
    fleet: MiniFleet, collector: Collector
) -> None:
    fleet.pace = Pace(first_token_ms=20, interval_ms=50, tokens=40)
    async with open_spans(settings(collector.url), worker="fleet") as fleet.spans:
        await fleet.start_router()
        await fleet.start_evidence()
        tie = await fleet.start_generation_behind_relay()
        query = fleet.query(Route.DOCUMENTS)
        await fleet.publish(query)
        await fleet.events(query, 6)
        await tie.cut()
        await fleet.start_generation()
        await fleet.ended(query)
        await fleet.close()

    first, second = sorted(
        collector.named("generation"), key=lambda span: span.attributes["askfleet.attempt"]
    )
    assert (first.trace_id, first.parent_id) == (second.trace_id, second.parent_id)
    assert [span.attributes["askfleet.attempt"] for span in (first, second)] == [1, 2]
    assert (first.links, second.links) == ([], [first.span_id])
    assert second.attributes["askfleet.outcome"] == "done"
    begun, continued = collector.named("simulated")
    assert (begun.parent_id, continued.parent_id) == (first.span_id, second.span_id)
    assert continued.attributes["askfleet.continued_characters"] > 0


async def test_a_publisher_with_a_trace_of_its_own_gets_all_stages_below_its_span(
    fleet: MiniFleet, collector: Collector
) -> None:
    async with open_spans(settings(collector.url, trace_ratio=0.0), worker="fleet") as fleet.spans:
        await fleet.start_router()
        await fleet.start_evidence()
        await fleet.start_generation()
        deadline = now_ms() + 20_000
        for query_id, parent in (("traced", CALLER), ("not", CALLER[:-1] + "0"), ("none", "")):
            query = fleet.query().model_copy(update={"id": query_id})
            await publish_query(fleet.bus, TENANT, query, deadline=deadline, trace_parent=parent)
            await fleet.ended(query)
        await fleet.close()

    assert {span.trace_id for span in collector.spans} == {CALLER.split("-")[1]}
    tops = [span for span in collector.spans if span.name in ("router", "retrieval", "generation")]
    assert {span.parent_id for span in tops} == {CALLER.split("-")[2]}
    assert {span.attributes["askfleet.query_id"] for span in tops} == {"traced"}


async def test_a_query_without_a_trace_begins_one_at_the_router(
    fleet: MiniFleet, collector: Collector
) -> None:
    async with open_spans(settings(collector.url), worker="fleet") as fleet.spans:
        await fleet.start_router()
        await fleet.start_evidence()
        await fleet.start_generation()
        query = fleet.query()
        await fleet.publish(query)
        await fleet.ended(query)
        await fleet.close()

    (root,) = collector.named("router")
    assert root.parent_id == ""
    others = [span for span in collector.spans if span.name in ("retrieval", "generation")]
    assert {(span.trace_id, span.parent_id) for span in others} == {(root.trace_id, root.span_id)}


@pytest.mark.parametrize(("policy", "seen"), [("off", None), ("masked", "Is [email] in the harbour office?")])
async def test_contents_can_be_masked_or_left_out(
    fleet: MiniFleet, collector: Collector, policy: str, seen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AF_TRACE_CONTENT", policy)
    question = "Is jo.doe@example.com in the harbour office?"
    async with open_spans(settings(collector.url), worker="fleet") as fleet.spans:
        await fleet.start_all()
        await ask(fleet, question=question)
        await fleet.close()

    told = [str(value) for span in collector.spans for value in span.attributes.values()]
    assert not any("jo.doe" in value for value in told)
    assert collector.named("question")[0].attributes.get("input.value") == seen
    assert any("opens at seven" in value for value in told) is (seen is not None)
    assert collector.named("retrieval")[0].attributes["retrieval.documents.0.document.id"] == "c1"


async def test_a_client_is_told_its_trace_and_where_to_look_at_it(
    fleet: MiniFleet, collector: Collector
) -> None:
    fleet.trace_link = "http://phoenix.example/{trace_id}"
    async with open_spans(settings(collector.url), worker="fleet") as fleet.spans:
        await fleet.start_all()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{fleet.port}") as client:
            answer = await client.post(
                "/v1/ask", json={"question": QUESTION}, headers={"traceparent": CALLER}
            )
        await fleet.close()

    (root,) = collector.named("question")
    assert (root.trace_id, root.parent_id) == tuple(CALLER.split("-")[1:3])
    assert answer.headers["af-trace-id"] == root.trace_id
    assert answer.headers["af-trace-link"] == f"http://phoenix.example/{root.trace_id}"


async def test_without_an_endpoint_nothing_is_traced_and_the_caller_is_passed_on(
    fleet: MiniFleet,
) -> None:
    async with open_spans(settings(""), worker="fleet") as fleet.spans:
        assert isinstance(fleet.spans, NoSpans)
        await fleet.start_all()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{fleet.port}") as client:
            answer = await client.post(
                "/v1/ask", json={"question": QUESTION}, headers={"traceparent": CALLER}
            )

    assert answer.status_code == 200
    assert "af-trace-id" not in answer.headers


async def test_log_lines_of_the_work_on_a_message_carry_its_query_and_its_trace(bus: Bus) -> None:
    seen: list[dict[str, object]] = []

    async def work(delivery: Delivery[Query]) -> None:
        seen.append(dict(structlog.contextvars.get_contextvars()))

    async with run_stage(bus, Source.of(ROUTE, 2), Query, work, drain_grace_s=1):
        for query_id, parent in (("with", CALLER), ("without", "")):
            query = Query(id=query_id, question=QUESTION)
            await publish_query(bus, TENANT, query, deadline=now_ms() + 20_000, trace_parent=parent)
        await eventually(lambda: len(seen) == 2)

    found = {line["query_id"]: line.get("trace_id") for line in seen}
    assert found == {"with": CALLER.split("-")[1], "without": None}
    assert structlog.contextvars.get_contextvars().get("query_id") is None


def test_without_phoenix_the_error_names_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        interpreter((tmp_path / ".venv-phoenix",))

    assert "make phoenix" in caught.value.remedy


async def test_a_collector_that_takes_everything_and_answers_nothing_slows_no_answer_and_no_end(
    fleet: MiniFleet,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        address = f"http://127.0.0.1:{hole.getsockname()[1]}"
        async with open_spans(settings(address), worker="fleet") as fleet.spans:
            await fleet.start_all()
            await ask(fleet)
            began = time.monotonic()
            for _ in range(4):
                await asyncio.gather(*(ask(fleet) for _ in range(8)))
            took_s = time.monotonic() - began
            await fleet.close()
            left = time.monotonic()
        left_s = time.monotonic() - left

    assert await fleet.lines() == set()
    assert took_s < 4 * 2.5, "four rounds of about 0.4 s each"
    assert left_s < 3
