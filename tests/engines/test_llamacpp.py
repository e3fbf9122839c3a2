"""What llama.cpp promises beside the suite of all engines."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from engine_trials import ask, opened, pieces_of, text_of, until, until_idle
from lora_file import write_adapter

from contracts import Usage
from contracts.errors import Misconfigured
from workers.engines import Engine, EngineSettings, GenerationRequest, open_engine
from workers.engines.vocabulary import read_vocabulary
from workers.generation.prompt import Material, build
from workers.generation.support import Source

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def llamacpp() -> AsyncIterator[Engine]:
    async with opened(EngineSettings(kind="llamacpp", slots=1, context_tokens=2_048)) as engine:
        yield engine


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


async def test_an_adapter_changes_the_answers_that_ask_for_it_and_no_others(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "legal.gguf")
    plain = ask("List the days of the week.", max_tokens=12)
    adapted = replace(plain, adapter="legal")
    settings = EngineSettings(kind="llamacpp", slots=2, context_tokens=512, adapters=f"legal={adapter}")
    async with opened(settings) as engine:
        before = await text_of(engine, plain)
        other = await text_of(engine, adapted)
        assert other != before
        assert await text_of(engine, plain) == before
        together = await asyncio.gather(text_of(engine, adapted), text_of(engine, plain))
    assert together == [other, before]


async def test_a_prompt_that_an_adapter_read_is_not_taken_for_the_models_own(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "legal.gguf")
    settings = EngineSettings(kind="llamacpp", slots=1, context_tokens=512, adapters=f"legal={adapter}")
    plain = ask("List the days of the week.", max_tokens=12)
    adapted = replace(plain, adapter="legal")
    async with opened(settings) as engine:
        alone = await text_of(engine, adapted)
    async with opened(settings) as engine:
        await text_of(engine, plain)
        await text_of(engine, replace(ask("Why is the sky blue? " * 20, max_tokens=4), adapter="legal"))
        assert await text_of(engine, adapted) == alone


async def test_passages_that_another_question_ranks_otherwise_are_read_once(llamacpp: Engine) -> None:
    """Also when the slot had other prompts meanwhile."""
    lamps, doors = [
        [
            f"The {thing} of hall {n} was renewed by a mechanic, who wrote number {n} on it."
            for n in range(100, 108)
        ]
        for thing in ("lamp", "door")
    ]
    first = await _usage(llamacpp, "Who renewed the lamp of hall 103?", lamps)
    other = await _usage(llamacpp, "Who renewed the door of hall 105?", doors)
    again = await _usage(llamacpp, "Which number is written on the lamp of hall 107?", lamps[::-1])
    assert first.prompt_tokens > 200
    assert other.cached_prompt_tokens < other.prompt_tokens / 2
    assert again.cached_prompt_tokens > again.prompt_tokens * 0.8


async def _usage(engine: Engine, question: str, texts: Sequence[str]) -> Usage:
    sources = [Source(number, "", text, place=("d", text)) for number, text in enumerate(texts, 1)]
    material = Material(question, tuple(sources))
    prompt = build(material, limit=1_024, count=engine.count_tokens, order="document")
    usage = (await pieces_of(engine, GenerationRequest(prompt.messages, max_tokens=4)))[-1].usage
    assert usage is not None
    return usage


async def test_a_missing_adapter_names_the_path_and_the_setting(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"none\.gguf.*AF_ENGINE_ADAPTERS"):
        await open_engine(EngineSettings(kind="llamacpp", adapters=f"legal={tmp_path / 'none.gguf'}"))


async def test_tokens_are_counted_as_llama_cpp_counts_them(llamacpp: Engine) -> None:
    texts = [
        "The consumer acknowledges 12 messages.",
        "naïve café: 3.14 ✓",
        "def f(x):\n    return x_1 + 2\n" * 9,
    ]
    for text in texts:
        alone, doubled = [
            (await pieces_of(llamacpp, ask(f"{text}{more}", max_tokens=1)))[-1].usage
            for more in ("", f"\n{text}")
        ]
        assert alone is not None
        assert doubled is not None
        added = doubled.prompt_tokens - alone.prompt_tokens
        assert abs(llamacpp.count_tokens(f"\n{text}") - added) <= 2


async def test_of_a_file_with_another_vocabulary_tokens_are_estimated(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "no-vocabulary.gguf")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(adapter.read_bytes()[:40])
    for path in (adapter, broken):
        assert read_vocabulary(path).count("four words of English") == 8
