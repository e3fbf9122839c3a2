"""The bridge over HTTP, on a real nats-server; a small stand-in for the workers writes the logs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import yaml

from bus import subjects
from bus.answer_log import AnswerWriter, DeltaWriter, read_log
from bus.connection import Bus, connect
from bus.settings import BusSettings
from bus.testing import NatsServer, eventually
from bus.topology import ROUTE
from contracts import Accepted, Citation, Delta, Done, Query, Usage, decode
from workers.bridge.app import serve_bridge
from workers.bridge.settings import BridgeSettings
from workers.shell.tenants import key_digest

ACME = {"authorization": "Bearer key-of-acme"}
OTHER = {"authorization": "Bearer key-of-other"}
EVENTS = {"accept": "text/event-stream"}


@dataclass
class Frames:
    """What an SSE reader saw."""

    ids: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    data: list[dict[str, object]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(str(d["text"]) for d in self.data if d["type"] == "delta")


async def read_frames(response: httpx.Response, *, until: int | None = None) -> Frames:
    frames = Frames()
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            frames.ids.append(int(value))
        elif name == "event":
            frames.types.append(value)
        elif name == "data":
            frames.data.append(json.loads(value))
            if until is not None and frames.ids[-1] >= until:
                return frames
    return frames


@asynccontextmanager
async def bridge(bus: Bus, tmp_path: Path, **options: float) -> AsyncIterator[httpx.AsyncClient]:
    tenants = tmp_path / "tenants.yaml"
    keys = {name: {"keys": [key_digest(f"key-of-{name}")]} for name in ("acme", "other")}
    tenants.write_text(yaml.safe_dump({"tenants": keys}))
    options = {"drain_grace_s": 0.0, **options}
    settings = BridgeSettings(nats_url=bus.settings.nats_url, tenants_file=tenants, **options)  # type: ignore[arg-type]
    async with (
        serve_bridge(bus, settings) as (port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=ACME, timeout=20) as client,
    ):
        yield client


@pytest.fixture
async def client(bus: Bus, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with bridge(bus, tmp_path) as opened:
        yield opened


async def next_query(bus: Bus) -> tuple[AnswerWriter, Query]:
    """Take the next query as a router would, and accept it."""
    subscription = await bus.js.pull_subscribe_bind("router", ROUTE.name)
    (message,) = await subscription.fetch(1, timeout=5)
    await message.ack()
    query = decode(Query, message.data)
    tenant = subjects.tenant_of(message.subject)
    writer = AnswerWriter(bus, tenant, query.id)
    await writer.append_once(Accepted(tenant=tenant, query=query, deadline=1))
    return writer, query


async def answer_with(bus: Bus, words: list[str]) -> Query:
    writer, query = await next_query(bus)
    text = DeltaWriter(writer)
    for word in words:
        text.write(word)
    await text.drain()
    citation = Citation(number=1, kind="passage", title="T", source="docs/t.md", chunk_id="c")
    usage = Usage(prompt_tokens=7, completion_tokens=len(words))
    await writer.append(Done(text="".join(words), citations=(citation,), usage=usage, model="m"))
    return query


async def test_a_question_is_answered_as_a_stream_with_rising_ids(
    client: httpx.AsyncClient, bus: Bus
) -> None:
    worker = asyncio.create_task(answer_with(bus, ["Hello", " world"]))

    async with client.stream("POST", "/v1/ask", json={"question": "Hi?"}, headers=EVENTS) as response:
        frames = await read_frames(response)

    await worker
    assert frames.types[0] == "accepted"
    assert frames.types[-1] == "done"
    assert frames.ids == list(range(1, len(frames.ids) + 1))
    assert frames.text == "Hello world"


async def test_without_a_stream_the_answer_comes_whole(client: httpx.AsyncClient, bus: Bus) -> None:
    worker = asyncio.create_task(answer_with(bus, ["Hello"]))

    response = await client.post("/v1/ask", json={"question": "Hi?", "id": "mine"})

    await worker
    body = response.json()
    assert (response.status_code, body["id"], body["status"], body["text"]) == (200, "mine", "done", "Hello")
    assert body["citations"][0]["source"] == "docs/t.md"


async def test_the_same_id_twice_is_asked_once(client: httpx.AsyncClient, bus: Bus) -> None:
    worker = asyncio.create_task(answer_with(bus, ["Once"]))

    first, second = await asyncio.gather(
        client.post("/v1/ask", json={"question": "Hi?", "id": "same"}),
        client.post("/v1/ask", json={"question": "Hi?", "id": "same"}),
    )

    await worker
    assert first.json()["text"] == second.json()["text"] == "Once"
    assert (await bus.js.stream_info(ROUTE.name)).state.messages == 0


async def test_another_replica_resumes_after_the_last_event_id(
    bus: Bus, bus_settings: BusSettings, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        second_bus = await stack.enter_async_context(connect(bus_settings, name="second"))
        one = await stack.enter_async_context(bridge(bus, tmp_path))
        two = await stack.enter_async_context(bridge(second_bus, tmp_path))
        working = asyncio.create_task(next_query(bus))
        async with one.stream("POST", "/v1/ask", json={"question": "Hi?"}, headers=EVENTS) as response:
            writer, query = await working
            for word in ("a", "b", "c"):
                await writer.append(Delta(text=word))
            before = await read_frames(response, until=3)

        resume = EVENTS | {"last-event-id": str(before.ids[-1])}
        async with two.stream("GET", f"/v1/answers/{query.id}", headers=resume) as response:
            await writer.append(Delta(text="d"))
            await writer.append(Done(text="abcd"))
            after = await read_frames(response)

    assert before.ids + after.ids == [1, 2, 3, 4, 5, 6]
    assert before.text + after.text == "abcd"


async def test_a_gap_in_the_live_events_is_healed_from_the_log(
    client: httpx.AsyncClient, bus: Bus, nats_server: NatsServer
) -> None:
    working = asyncio.create_task(next_query(bus))
    async with client.stream("POST", "/v1/ask", json={"question": "Hi?"}, headers=EVENTS) as response:
        writer, _ = await working
        reading = asyncio.create_task(read_frames(response))
        await writer.append(Delta(text="a"))
        nats_server.kill()
        nats_server.start()
        await writer.append(Delta(text="b"))
        await writer.append(Done(text="ab"))
        frames = await asyncio.wait_for(reading, 20)

    assert frames.ids == [1, 2, 3, 4]
    assert frames.text == "ab"


async def test_another_tenant_can_neither_read_nor_resume_nor_cancel(
    client: httpx.AsyncClient, bus: Bus
) -> None:
    worker = asyncio.create_task(answer_with(bus, ["secret"]))
    query_id = (await client.post("/v1/ask", json={"question": "Hi?"})).json()["id"]
    await worker
    path = f"/v1/answers/{query_id}"

    read = await client.get(path, headers=OTHER)
    resumed = await client.get(path, headers=OTHER | EVENTS)
    cancelled = await client.delete(path, headers=OTHER)

    assert [r.status_code for r in (read, resumed, cancelled)] == [404, 404, 404]
    assert "secret" not in read.text + resumed.text + cancelled.text
    assert (await client.get(path)).json()["status"] == "done"


async def test_delete_cancels_and_fences_the_worker(client: httpx.AsyncClient, bus: Bus) -> None:
    working = asyncio.create_task(next_query(bus))
    async with client.stream("POST", "/v1/ask", json={"question": "Hi?"}, headers=EVENTS) as response:
        writer, query = await working
        await writer.append(Delta(text="a"))
        reading = asyncio.create_task(read_frames(response))
        stopped = await client.delete(f"/v1/answers/{query.id}")
        frames = await asyncio.wait_for(reading, 5)

    assert stopped.json()["status"] == "cancelled"
    assert frames.types[-1] == "cancelled"
    with pytest.raises(Exception, match="ended as 'cancelled'"):
        await writer.append(Delta(text="late"))


async def test_cancelling_an_answer_that_has_ended_writes_nothing(
    client: httpx.AsyncClient, bus: Bus
) -> None:
    worker = asyncio.create_task(answer_with(bus, ["done"]))
    query_id = (await client.post("/v1/ask", json={"question": "Hi?"})).json()["id"]
    await worker
    before = await read_log(bus, "acme", query_id)

    answers = [await client.delete(f"/v1/answers/{query_id}") for _ in range(2)]

    assert [answer.json()["status"] for answer in answers] == ["done", "done"]
    assert await read_log(bus, "acme", query_id) == before


async def test_an_answer_that_nobody_reads_any_more_is_cancelled(bus: Bus, tmp_path: Path) -> None:
    async with bridge(bus, tmp_path, abandon_s=0.1) as client:
        working = asyncio.create_task(next_query(bus))
        async with client.stream("POST", "/v1/ask", json={"question": "Hi?"}, headers=EVENTS) as response:
            _, query = await working
            await read_frames(response, until=1)

        async def cancelled() -> bool:
            return (await read_log(bus, "acme", query.id)).terminal is not None

        await eventually(cancelled)
        assert (await read_log(bus, "acme", query.id)).events[-1].type == "cancelled"


async def test_without_any_worker_the_deadline_ends_the_answer(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/ask", json={"question": "Hi?", "deadline_s": 0.2})

    assert response.status_code == 504
    assert response.json()["code"] == "deadline-exceeded"
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status", "shown"),
    [
        (b"{broken", 400, "JSON"),
        (b'{"question": ""}', 400, "question"),
        (b'{"question": "   "}', 400, "question"),
        (b'{"question": "x", "top_k": 99}', 400, "99"),
        (b'{"question": "x", "questoin": 1}', 400, "questoin"),
        (b'{"question": "x", "id": "a.b"}', 400, "a.b"),
        (json.dumps({"question": "x" * 100_000}).encode(), 400, "8000"),
        (json.dumps({"question": "x" * 3_000_000}).encode(), 413, "2000000"),
    ],
)
async def test_bad_bodies_get_a_problem_that_names_the_value(
    client: httpx.AsyncClient, body: bytes, status: int, shown: str
) -> None:
    response = await client.post("/v1/ask", content=body, headers={"content-type": "application/json"})

    problem = response.json()
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert shown in problem["detail"]
    assert problem["remedy"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic x"}])
async def test_a_missing_or_wrong_key_is_refused(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    client.headers.pop("authorization")

    response = await client.post("/v1/ask", json={"question": "Hi?"}, headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


async def test_an_unknown_answer_and_a_bad_event_id_are_told_apart(
    client: httpx.AsyncClient, bus: Bus
) -> None:
    worker = asyncio.create_task(answer_with(bus, ["x"]))
    query_id = (await client.post("/v1/ask", json={"question": "Hi?"})).json()["id"]
    await worker

    missing = await client.get("/v1/answers/nothing-here")
    bad = await client.get(f"/v1/answers/{query_id}", headers=EVENTS | {"last-event-id": "-3"})

    assert (missing.status_code, missing.json()["code"]) == (404, "answer-not-found")
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid-query")


async def test_a_full_queue_answers_429_with_retry_after(client: httpx.AsyncClient, bus: Bus) -> None:
    config = (await bus.js.stream_info(ROUTE.name)).config
    config.max_msgs = 1
    await bus.js.update_stream(config)
    first = asyncio.create_task(client.post("/v1/ask", json={"question": "1", "deadline_s": 1}))

    async def queued() -> bool:
        return (await bus.js.stream_info(ROUTE.name)).state.messages == 1

    await eventually(queued)
    refused = await client.post("/v1/ask", json={"question": "2", "id": "second"})
    await first

    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert (await client.get("/v1/answers/second")).status_code == 404


async def test_openai_clients_get_chunks_usage_and_sources(client: httpx.AsyncClient, bus: Bus) -> None:
    worker = asyncio.create_task(answer_with(bus, ["Hello", " world [1]"]))
    body = {
        "model": "askfleet",
        "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "Hi?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    response = await client.post("/v1/chat/completions", json=body)

    await worker
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == "Hello world [1]"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-2]["sources"][0]["source"] == "docs/t.md"
    assert chunks[-1]["usage"]["total_tokens"] == 9


async def test_openai_errors_have_openais_shape(client: httpx.AsyncClient) -> None:
    wrong_model = await client.post(
        "/v1/chat/completions", json={"model": "gpt-x", "messages": [{"role": "user", "content": "x"}]}
    )
    no_question = await client.post("/v1/chat/completions", json={"messages": []})

    assert wrong_model.status_code == no_question.status_code == 400
    assert "gpt-x" in wrong_model.json()["error"]["message"]
    assert no_question.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look_up"}}])
async def test_an_openai_client_that_demands_a_tool_call_is_told_why_there_is_none(
    client: httpx.AsyncClient, choice: object
) -> None:
    body = {"messages": [{"role": "user", "content": "Look it up."}], "tools": [], "tool_choice": choice}
    reply = await client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 400
    assert "an answer from evidence has none" in reply.json()["error"]["message"]


async def test_a_client_of_the_openai_door_that_goes_away_cancels_its_answer(
    client: httpx.AsyncClient, bus: Bus
) -> None:
    working = asyncio.create_task(next_query(bus))
    body = {"messages": [{"role": "user", "content": "Hi?"}], "stream": True}
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        writer, query = await working
        await writer.append(Delta(text="a"))
        await anext(response.aiter_lines())

    async def cancelled() -> bool:
        return (await read_log(bus, "acme", query.id)).terminal is not None

    await eventually(cancelled)
    assert (await read_log(bus, "acme", query.id)).events[-1].type == "cancelled"
