"""The engine that speaks to a server, beside the suite of all engines; and the simulated server."""

import asyncio
import os
import signal
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from engine_trials import ask, openai_settings, serving, text_of, until
from pydantic import SecretStr

from contracts.errors import DependencyUnavailable, Misconfigured, PermanentError
from loadgen.engine_journal import EngineJournal
from loadgen.openai_process import openai_process
from loadgen.openai_server import ServerOptions
from workers.engines import open_engine


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
