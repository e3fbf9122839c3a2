"""A generation worker with vLLM on a real nats-server; run in the environment of `make vllm` only."""

import importlib.util
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from vllm_worker import VllmWorker, Workers

from bus.connection import Bus, connect
from bus.provision import provision
from bus.settings import BusSettings
from bus.testing import NatsServer

# This folder has vLLM's name, and passes for a package without a file of its own where vLLM is not installed.
_found = importlib.util.find_spec("vllm")
INSTALLED = _found is not None and _found.origin is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not INSTALLED:
        skip = pytest.mark.skip(reason="vLLM is not installed: `make test-vllm` runs this in its environment")
        for item in items:
            if item.path.parent == Path(__file__).parent:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def nats_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats")).start()
    yield server
    server.stop()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def fleet_bus(nats_of_session: NatsServer) -> AsyncIterator[Bus]:
    async with connect(BusSettings(nats_url=nats_of_session.url), name="test") as connected:
        await provision(connected.js, connected.settings)
        yield connected


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def workers(
    nats_of_session: NatsServer, fleet_bus: Bus, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Workers]:
    started = Workers(nats_of_session.url, tmp_path_factory.mktemp("logs"))
    yield started
    await started.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def worker(workers: Workers) -> VllmWorker:
    return await workers.running()
