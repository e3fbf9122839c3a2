"""What llama.cpp promises beside the suite of all engines."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from engine_trials import ask, opened, text_of, until, until_idle

from contracts.errors import Misconfigured
from workers.engines import Engine, EngineSettings, open_engine

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
