"""What every engine promises, on each of them; then what each promises alone."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import uvicorn
from pydantic import SecretStr

from contracts.errors import ContextOverflow, DependencyUnavailable, Misconfigured, PermanentError
from loadgen.engine_journal import EngineJournal, EngineNotes
from loadgen.openai_process import openai_process
from loadgen.openai_server import OpenAIServer, ServerOptions
from workers.engines import Engine, EngineSettings, GenerationRequest, Message, Piece, open_engine

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEYOND_THE_CONTEXT = "word " * 3_000


def ask(question: str, *, max_tokens: int = 24, prefix: str = "") -> GenerationRequest:
    messages = (Message("system", "You are a helpful assistant."), Message("user", question))
    return GenerationRequest(messages, max_tokens=max_tokens, prefix=prefix)


async def text_of(engine: Engine, request: GenerationRequest) -> str:
    return "".join([piece.text async for piece in engine.stream(request)])


async def until(condition: Callable[[], bool], *, within_s: float) -> None:
    give_up = time.perf_counter() + within_s
    while not condition():
        if time.perf_counter() > give_up:
            pytest.fail(f"still not so after {within_s} s")
        await asyncio.sleep(0.002)


async def until_idle(engine: Engine, *, within_s: float) -> None:
    await until(lambda: engine.in_flight() == 0, within_s=within_s)


@asynccontextmanager
async def serving(
    options: ServerOptions, *, journal: Path | None = None
) -> AsyncIterator[tuple[OpenAIServer, str]]:
    app = OpenAIServer(options, notes=EngineNotes(journal) if journal is not None else None)
    config = uvicorn.Config(app, port=0, lifespan="off", ws="none", log_level="warning")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started, within_s=5)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield app, f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        await task


def openai_settings(url: str, **more: object) -> EngineSettings:
    values: dict[str, object] = {"kind": "openai", "url": url, "start_timeout_s": 0, **more}
    return EngineSettings.model_validate(values)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["simulated", "openai", "llamacpp"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    if request.param == "openai":
        options = ServerOptions(interval_s=0.005, context_tokens=2_048)
        async with serving(options) as (_, url):
            opened = await open_engine(openai_settings(url, slots=4))
            yield opened
            await opened.close()
        return
    settings = EngineSettings(kind=request.param, slots=4, context_tokens=2_048)
    opened = await open_engine(settings)
    yield opened
    await opened.close()


async def test_streams_pieces_and_ends_with_reason_and_usage(engine: Engine) -> None:
    pieces = [piece async for piece in engine.stream(ask("What is the capital of France?", max_tokens=12))]
    *_, last = pieces
    assert "".join(piece.text for piece in pieces).strip()
    assert [piece for piece in pieces[:-1] if piece.finish_reason or piece.usage] == []
    assert last.finish_reason in ("stop", "length")
    assert last.usage is not None
    assert last.usage.prompt_tokens > 5
    assert 0 < last.usage.completion_tokens <= 12
    assert engine.in_flight() == 0


async def test_an_answer_cut_at_max_tokens_says_length(engine: Engine) -> None:
    pieces: list[Piece] = [piece async for piece in engine.stream(ask("Tell me a long story.", max_tokens=4))]
    assert pieces[-1].finish_reason == "length"


async def test_a_prefix_is_continued_and_not_repeated(engine: Engine) -> None:
    question = "Count from one to twenty in words."
    whole = await text_of(engine, ask(question))
    prefix = whole[: whole.rindex(" ")]
    rest = await text_of(engine, ask(question, prefix=prefix, max_tokens=8))
    assert rest.startswith(whole[len(prefix) :])
    assert not rest.startswith(whole[:20])


async def test_four_answers_run_at_once_and_do_not_mix(engine: Engine) -> None:
    questions = [f"Say the word {word}." for word in ("apple", "river", "stone", "cloud")]
    alone = [await text_of(engine, ask(question, max_tokens=8)) for question in questions]
    together = await asyncio.gather(*(text_of(engine, ask(question, max_tokens=8)) for question in questions))
    # Floating-point sums differ between batch sizes, so a model may choose another word late in the text.
    assert [text.split()[:2] for text in together] == [text.split()[:2] for text in alone]


async def test_closing_a_stream_frees_the_engine(engine: Engine) -> None:
    async with aclosing(engine.stream(ask("Tell me a very long story.", max_tokens=400))) as stream:
        await anext(stream)
        assert engine.in_flight() == 1
    await until_idle(engine, within_s=2.0)


async def test_cancelling_the_reader_frees_the_engine(engine: Engine) -> None:
    reading = asyncio.create_task(text_of(engine, ask("Tell me a very long story.", max_tokens=400)))
    await until(lambda: engine.in_flight() == 1, within_s=5)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until_idle(engine, within_s=5.0)


async def test_requests_beyond_the_slots_wait_and_are_answered(engine: Engine) -> None:
    texts = await asyncio.gather(*(text_of(engine, ask(f"Say {n}.", max_tokens=4)) for n in range(9)))
    assert all(texts)
    assert engine.in_flight() == 0


async def test_a_prompt_that_does_not_fit_is_a_context_overflow(engine: Engine) -> None:
    with pytest.raises(ContextOverflow):
        await text_of(engine, ask(BEYOND_THE_CONTEXT))
    await until_idle(engine, within_s=2.0)


async def test_a_longer_text_has_more_tokens(engine: Engine) -> None:
    assert 0 < engine.count_tokens("one two three") < engine.count_tokens("one two three " * 20)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def llamacpp() -> AsyncIterator[Engine]:
    opened = await open_engine(EngineSettings(kind="llamacpp", slots=1, context_tokens=2_048))
    yield opened
    await opened.close()


async def test_llamacpp_keeps_the_common_start_of_a_prompt_in_its_cache(llamacpp: Engine) -> None:
    for _ in range(2):
        last = [piece async for piece in llamacpp.stream(ask("What is a river? " * 10, max_tokens=2))][-1]
    assert last.usage is not None
    assert last.usage.cached_prompt_tokens > 20


async def test_llamacpp_follows_a_json_schema_and_a_grammar(llamacpp: Engine) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    messages = (Message("user", "Name a colour."),)
    text = await text_of(llamacpp, GenerationRequest(messages, max_tokens=24, json_schema=json.dumps(schema)))
    assert json.loads(text)["colour"] in ("red", "blue")
    grammar = 'root ::= "yes" | "no"'
    assert await text_of(llamacpp, GenerationRequest(messages, max_tokens=8, grammar=grammar)) in (
        "yes",
        "no",
    )


async def test_llamacpp_refuses_a_broken_grammar_and_goes_on(llamacpp: Engine) -> None:
    broken = GenerationRequest((Message("user", "Name a colour."),), max_tokens=8, grammar="root ::= %%%")
    with pytest.raises(PermanentError, match="grammar"):
        await text_of(llamacpp, broken)
    assert await text_of(llamacpp, ask("Say hello.", max_tokens=4))


async def test_llamacpp_stops_within_one_batch_while_it_still_reads_the_prompt(llamacpp: Engine) -> None:
    reading = asyncio.create_task(text_of(llamacpp, ask("tree house " * 900, max_tokens=4)))
    await until(lambda: llamacpp.in_flight() == 1, within_s=5)
    reading.cancel()
    await asyncio.wait((reading,))
    await until_idle(llamacpp, within_s=5.0)
    assert await text_of(llamacpp, ask("Say hello.", max_tokens=4))


async def test_a_missing_or_broken_model_file_names_the_path_and_the_remedy(tmp_path: Path) -> None:
    missing = tmp_path / "none.gguf"
    with pytest.raises(Misconfigured, match=r"none\.gguf.*AF_ENGINE_MODEL_PATH"):
        await open_engine(EngineSettings(kind="llamacpp", model_path=missing))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model" * 100)
    with pytest.raises(Misconfigured, match=r"broken\.gguf.*AF_ENGINE_MODEL_PATH"):
        await open_engine(EngineSettings(kind="llamacpp", model_path=broken))


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
