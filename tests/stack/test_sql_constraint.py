"""A language model that writes SQL is held to one statement, by what its engine can."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from scripted_engine import scripted

from workers.engines import GenerationRequest, Message
from workers.sql.candidates import extract_sql
from workers.sql.completion import Completion, open_completion
from workers.sql.settings import SqlSettings

PROMPT = (
    "Write one PostgreSQL SELECT statement that answers the question. Answer with the statement alone.\n"
    "staff(name text; salary integer; office text)\nQuestion: Who earns more than 100?\nSQL:"
)
ONE = "SELECT name FROM staff WHERE salary > 100"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def llamacpp() -> AsyncIterator[Completion]:
    completion = await open_completion(SqlSettings(sql_engine="llamacpp", sql_engine_timeout_s=100))
    assert completion is not None
    yield completion
    await completion.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("temperature", [0.0, 0.9])
async def test_llamacpp_writes_one_statement_in_one_line_and_nothing_else(
    llamacpp: Completion, temperature: float
) -> None:
    text = await llamacpp.statement(PROMPT, max_tokens=40, temperature=temperature)
    assert text.upper().startswith(("SELECT ", "WITH "))
    assert "\n" not in text
    assert "--" not in text
    assert ";" not in text[:-1]
    assert extract_sql(text)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_same_model_without_a_grammar_writes_something_else(llamacpp: Completion) -> None:
    engine = await llamacpp.start()
    messages = (Message("user", "Tell me about the staff. Do not write SQL."),)
    free = "".join([piece.text async for piece in engine.stream(GenerationRequest(messages, max_tokens=12))])
    held = await llamacpp.statement(messages[0].content, max_tokens=12)
    assert not free.upper().startswith("SELECT")
    assert held.upper().startswith(("SELECT ", "WITH "))


@pytest.mark.parametrize(
    ("structured", "field"),
    [
        ("vllm", "structured_outputs"),
        ("llama-server", "grammar"),
        ("openai", "response_format"),
        ("none", ""),
    ],
)
async def test_a_server_is_asked_in_its_own_words(
    structured: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AF_ENGINE_STRUCTURED", structured)
    answered = json.dumps({"sql": ONE}) if structured == "openai" else ONE
    with scripted(answered) as script:
        assert await stated(script.url) == [ONE]
    asked = script.asked[0].keys() & {"structured_outputs", "grammar", "response_format"}
    assert asked == ({field} if field else set())


async def test_a_server_that_refuses_the_constraint_is_asked_without_it_from_then_on() -> None:
    with scripted(f"Here it is: {ONE}", unknown=("structured_outputs",)) as script:
        assert await stated(script.url, times=2) == [f"Here it is: {ONE}"] * 2
    assert ["structured_outputs" in request for request in script.asked] == [True, False, False]


async def stated(url: str, *, times: int = 1) -> list[str]:
    completion = await open_completion(
        SqlSettings(sql_engine="openai", sql_engine_url=url, sql_engine_timeout_s=5)
    )
    assert completion is not None
    try:
        return [await completion.statement(PROMPT, max_tokens=40) for _ in range(times)]
    finally:
        await completion.close()
