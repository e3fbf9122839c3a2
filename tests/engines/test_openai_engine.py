"""The engine that speaks to a server, beside the suite of all engines; and the simulated server."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_trials import ask, listening, openai_settings, opened, pieces_of, serving, text_of, until
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

from contracts.errors import DependencyUnavailable, Misconfigured, PermanentError
from loadgen.engine_journal import EngineJournal
from loadgen.openai_process import openai_process
from loadgen.openai_server import ServerOptions
from workers.engines import ToolCall, open_engine


@pytest.mark.parametrize("prefix", [" [1] Ships land [1]", "Ships land", "Ships la", "[1] Ships [2] land"])
async def test_the_simulated_server_continues_a_prefix_whose_citations_were_moved(prefix: str) -> None:
    question = "[1] Ships land at the quay."
    async with serving(ServerOptions(answer_tokens=6)) as (_, url):
        engine = await open_engine(openai_settings(url))
        rest = await text_of(engine, ask(question, prefix=prefix))
        await engine.close()

    assert rest in (" at the quay.", "nd at the quay.")


async def test_openai_takes_model_name_and_context_length_from_the_server() -> None:
    async with serving(ServerOptions(model="granite", context_tokens=1_234)) as (_, url):
        opened = await open_engine(openai_settings(url))
        assert (opened.name, opened.context_tokens) == ("granite", 1_234)
        await opened.close()


async def test_openai_a_closed_stream_aborts_the_request_on_the_server() -> None:
    async with serving(ServerOptions(interval_s=0.05, answer_tokens=500)) as (server, url):
        opened = await open_engine(openai_settings(url))
        async with aclosing(opened.stream(ask("Tell me a story.", max_tokens=500))) as stream:
            await anext(stream)
        await until(lambda: server.tally.in_flight == 0, within_s=2)
        assert server.tally.aborted == 1
        await opened.close()


class Scripted:
    """Streams the chunks that it is given, and keeps what it was asked; notices when its client leaves."""

    def __init__(self, *deltas: object, endless: bool = False, last: object = None) -> None:
        self.deltas, self.endless, self.last = deltas, endless, last
        self.asked: list[dict[str, object]] = []
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        if request.url.path == "/v1/models":
            models = [{"id": "base", "max_model_len": 4_096}, {"id": "base-legal"}]
            await JSONResponse({"data": models})(scope, receive, send)
            return
        self.asked.append(await request.json())
        await StreamingResponse(self._events(), media_type="text/event-stream")(scope, receive, send)

    async def _events(self) -> AsyncIterator[str]:
        try:
            for delta in self.deltas:
                yield _event(delta, None)
            if self.endless:
                await asyncio.Event().wait()
            yield f"data: {json.dumps(self.last)}\n\n" if self.last else _event({}, "tool_calls")
            yield "data: [DONE]\n\n"
        finally:
            self.left.set()


def _event(delta: object, reason: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


async def test_openai_a_server_between_two_tokens_learns_at_once_that_the_client_left() -> None:
    server = Scripted({"content": "Once"}, endless=True)
    async with listening(server) as url, opened(openai_settings(url)) as engine:
        async with aclosing(engine.stream(ask("Tell me a story."))) as stream:
            assert (await anext(stream)).text == "Once"
        await asyncio.wait_for(server.left.wait(), timeout=1)
        assert engine.in_flight() == 0


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, PermanentError), (503, DependencyUnavailable), (None, DependencyUnavailable)],
)
async def test_openai_an_error_within_a_stream_counts_as_its_code_says(
    code: int | None, error: type[Exception]
) -> None:
    told = {"error": {"message": "Invalid grammar specification", "code": code}}
    async with (
        listening(Scripted({"content": "a"}, last=told)) as url,
        opened(openai_settings(url)) as engine,
    ):
        with pytest.raises(error, match="Invalid grammar"):
            await text_of(engine, ask("a?"))
        assert engine.in_flight() == 0


async def test_openai_tool_calls_that_come_in_parts_are_whole_in_the_last_piece() -> None:
    server = Scripted(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look_up", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"word": '}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "sum", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"river"}'}}]},
    )
    tools = json.dumps([{"type": "function", "function": {"name": "look_up"}}])
    async with listening(server) as url, opened(openai_settings(url, tools=True)) as engine:
        last = (await pieces_of(engine, replace(ask("River?"), tools=tools, must_call=True)))[-1]
    assert last.tool_calls == (ToolCall("a", "look_up", '{"word": "river"}'), ToolCall("b", "sum", "{}"))
    assert (server.asked[0]["tools"], server.asked[0]["tool_choice"]) == (json.loads(tools), "required")


async def test_openai_an_adapter_is_a_model_of_the_server_by_another_name() -> None:
    server = Scripted({"content": "Hello."})
    async with listening(server) as url:
        async with opened(openai_settings(url, model="base", adapters="legal=base-legal")) as engine:
            await text_of(engine, ask("Hello?"))
            await text_of(engine, replace(ask("Hello?"), adapter="legal"))
        with pytest.raises(Misconfigured, match=r"'base-tax'.*AF_ENGINE_ADAPTERS"):
            await open_engine(openai_settings(url, model="base", adapters="tax=base-tax"))
    assert [asked["model"] for asked in server.asked] == ["base", "base-legal"]


@pytest.mark.parametrize(
    ("structured", "field", "holds"),
    [
        ("vllm", "structured_outputs", {"grammar": 'root ::= "a"'}),
        ("llama-server", "grammar", 'root ::= "a"'),
    ],
)
async def test_openai_a_grammar_is_sent_as_the_server_knows_it(
    structured: str, field: str, holds: object
) -> None:
    server = Scripted({"content": "a"})
    async with listening(server) as url, opened(openai_settings(url, structured=structured)) as engine:
        assert await text_of(engine, replace(ask("a?"), grammar='root ::= "a"')) == "a"
    assert server.asked[0][field] == holds


async def test_openai_a_server_without_grammars_is_not_asked_for_one() -> None:
    server = Scripted({"content": "{}"})
    async with listening(server) as url, opened(openai_settings(url, structured="openai")) as engine:
        with pytest.raises(PermanentError, match="grammar"):
            await text_of(engine, replace(ask("a?"), grammar='root ::= "a"'))
        await text_of(engine, replace(ask("a?"), json_schema='{"type": "object"}'))
    (asked,) = server.asked
    assert asked["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    }


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("status-503", DependencyUnavailable),
        ("status-429", DependencyUnavailable),
        ("status-404", Misconfigured),
        ("status-422", PermanentError),
        ("broken", DependencyUnavailable),
    ],
)
async def test_openai_maps_what_the_server_says(model: str, error: type[Exception]) -> None:
    async with serving(ServerOptions(model=model)) as (_, url):
        opened = await open_engine(openai_settings(url))
        with pytest.raises(error):
            await text_of(opened, ask("Hello?"))
        assert opened.in_flight() == 0
        await opened.close()


async def test_openai_a_refused_key_or_an_unknown_model_stops_the_start() -> None:
    async with serving(ServerOptions(api_key="right")) as (_, url):
        with pytest.raises(Misconfigured, match="AF_ENGINE_API_KEY"):
            await open_engine(openai_settings(url, api_key=SecretStr("wrong")))
        with pytest.raises(Misconfigured, match=r"'nosuch'.*simulated"):
            await open_engine(openai_settings(url, api_key=SecretStr("right"), model="nosuch"))


@pytest.mark.parametrize(("unreachable_s", "answered"), [(20.0, True), (0.0, False)])
async def test_openai_a_request_waits_for_a_server_that_is_away(unreachable_s: float, answered: bool) -> None:
    with openai_process(["--tokens", "4"]) as server:
        opened = await open_engine(openai_settings(server.url, unreachable_s=unreachable_s))
        with server.held():
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: server.find() is None, within_s=5)
            reading = asyncio.create_task(text_of(opened, ask("Say hello.")))
            await asyncio.wait((reading,), timeout=0.3)
        if answered:
            assert await reading
        else:
            with pytest.raises(DependencyUnavailable, match="ConnectError"):
                await reading
        await opened.close()


async def test_openai_a_server_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    with pytest.raises(DependencyUnavailable, match="ConnectError"):
        await open_engine(openai_settings(f"http://127.0.0.1:{unused_tcp_port}/v1"))


async def test_the_simulated_server_embeds_texts_that_share_words_near_each_other() -> None:
    async with serving(ServerOptions(dimensions=64)) as (_, url), httpx.AsyncClient() as client:
        texts = ["how to reset a password", "reset your password here", "the moon is far"]
        answer = await client.post(f"{url}/embeddings", json={"input": texts, "model": "any"})
        first, near, far = [item["embedding"] for item in answer.json()["data"]]
        assert len(first) == 64
        assert sum(map(float.__mul__, first, near)) > sum(map(float.__mul__, first, far)) + 0.2


async def test_the_simulated_server_notes_each_request_by_its_id(tmp_path: Path) -> None:
    journal = EngineJournal(tmp_path)
    async with serving(ServerOptions(interval_s=0.01, answer_tokens=8), journal=tmp_path) as (server, url):
        opened = await open_engine(openai_settings(url))
        request = replace(ask("Tell me a story."), request_id="whole")
        assert [piece async for piece in opened.stream(request)]
        async with aclosing(opened.stream(replace(request, request_id="left"))) as stream:
            await anext(stream)
        await until(lambda: server.tally.in_flight == 0, within_s=5)
        await opened.close()
    journal.read()

    (whole,), (left,) = journal.uses["whole"], journal.uses["left"]
    assert (whole.tokens, whole.aborted) == (8, False)
    assert (left.tokens, left.aborted) == (0, True)
    assert left.ended >= left.began > 0
