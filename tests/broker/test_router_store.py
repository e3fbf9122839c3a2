import asyncio
from contextlib import aclosing

import pytest

from bus.connection import Bus
from bus.topology import ARTEFACTS_BUCKET
from workers.router import store, training
from workers.router.model import RouterModel

WAIT_S = 10


@pytest.fixture(scope="module")
def models() -> tuple[RouterModel, RouterModel]:
    first, second = (training.train(scale=0.03, trees=10, seed=seed).model for seed in (1, 2))
    return first, second


async def test_an_empty_store_has_no_model(bus: Bus) -> None:
    assert await store.latest(bus.js, bucket=ARTEFACTS_BUCKET) is None


async def test_a_router_follows_the_model_that_is_put(
    bus: Bus, models: tuple[RouterModel, RouterModel]
) -> None:
    first, second = models
    await store.put(bus.js, first, bucket=ARTEFACTS_BUCKET)
    async with aclosing(store.watch(bus.js, bucket=ARTEFACTS_BUCKET)) as followed:
        assert (await asyncio.wait_for(anext(followed), WAIT_S)).version == first.version
        await store.put(bus.js, second, bucket=ARTEFACTS_BUCKET)
        assert (await asyncio.wait_for(anext(followed), WAIT_S)).version == second.version
    found = await store.latest(bus.js, bucket=ARTEFACTS_BUCKET)
    assert found is not None
    assert found.version == second.version != first.version


async def test_a_broken_artefact_is_passed_over(bus: Bus, models: tuple[RouterModel, RouterModel]) -> None:
    bucket = await bus.js.object_store(ARTEFACTS_BUCKET)
    await bucket.put(store.NAME, b"not a model")
    async with aclosing(store.watch(bus.js, bucket=ARTEFACTS_BUCKET)) as followed:
        upcoming = asyncio.ensure_future(anext(followed))
        await store.put(bus.js, models[0], bucket=ARTEFACTS_BUCKET)
        assert (await asyncio.wait_for(upcoming, WAIT_S)).version == models[0].version
