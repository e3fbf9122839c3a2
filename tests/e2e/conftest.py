"""One whole stack for all end-to-end tests: real servers, all workers as processes, a desk and its handbook.

Beside the stack's own workers runs one with the simulated engine and a queue of its own, for the tests that
need a known pace and a known text; its messages come again after three seconds of silence.
"""

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from fleet import DEMO, DOCS, HOSTILE, SIMULATED, Fleet
from rich.console import Console

from askfleet import content
from askfleet.commands.ingest import ingest_folder
from askfleet.embedded.phoenix import environment
from askfleet.folder import Folder, Selection
from askfleet.local.child import Child
from askfleet.local.ports import PortBook
from askfleet.local.stack import Stack, StackOptions
from askfleet.local.state import KeyRing, StateFolder, write_private
from askfleet.local.supervisor import Backoff, Supervisor
from askfleet.local.worker import worker_process
from askfleet.sample.loading import load
from bus.connection import connect
from bus.provision import consumer_config
from bus.settings import BusSettings
from bus.topology import GENERATE, generation_consumers
from workers.shell.tenants import key_digest

HANDBOOK = Path(__file__).parent / "handbook"
BASE_DATE = date(2026, 7, 1)
TICKETS = 2_000
ACK_WAIT_S = 3.0
START_WITHIN_S = 240
"""The first test waits for the whole stack, also where other work takes the processor."""
OPTIONS = StackOptions(
    replicas={"bridge": 2}, semantic_model=content.SEMANTIC_MODEL, phoenix=environment() is not None
)
PACE = {
    "AF_ENGINE_SIMULATED_FIRST_TOKEN_MS": "20",
    "AF_ENGINE_SIMULATED_INTERVAL_MS": "20",
    "AF_ENGINE_SIMULATED_TOKENS": "120",
    "AF_ENGINE_SIMULATED_PIECE_TOKENS": "1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last: cheaper tests fail sooner, and the stack does not stand beside them."""
    items.sort(key=lambda item: "e2e" in item.path.parts)
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.timeout(START_WITHIN_S))


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateFolder]:
    """Not below pytest's own folder, which each pytest that starts closes to PostgreSQL's user; logs are."""
    with tempfile.TemporaryDirectory(prefix="askfleet-", ignore_cleanup_errors=True) as folder:
        Path(folder, "logs").symlink_to(tmp_path_factory.mktemp("logs"))
        yield StateFolder(Path(folder))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(state: StateFolder) -> AsyncIterator[Fleet]:
    keys = write_tenants(state, DEMO, DOCS, HOSTILE)
    extra = Supervisor(backoff=Backoff(first_s=0.1))
    async with Stack(state, OPTIONS) as stack:
        await stack.start_servers()
        await load(stack.database.owner_dsn, base_date=BASE_DATE, tickets=TICKETS)
        await stack.database.prepare()
        operator = state.nats_keys.settings(stack.record.nats_url, "operator")
        async with connect(operator, name="e2e") as bus:
            settings = BusSettings(ack_wait_s=ACK_WAIT_S)
            for consumer in generation_consumers(SIMULATED):
                await bus.js.add_consumer(GENERATE.name, consumer_config(consumer, settings))
            await stack.start_workers()
            try:
                await extra.start(simulated_generation(stack))
                await ingest(stack, HANDBOOK, Selection(include=("*.md",)))
                await content.train(stack)
                yield Fleet(stack, extra, bus, keys)
            finally:
                await extra.stop()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _nothing_left(fleet: Fleet) -> AsyncIterator[None]:
    """The leak check of each test: no message waits or is unacknowledged, no worker was denied a subject."""
    yield
    await fleet.idle()
    assert fleet.denials() == []


def write_tenants(state: StateFolder, *names: str) -> dict[str, str]:
    keys = {name: secrets.token_urlsafe(16) for name in names}
    entries = {name: {"keys": [key_digest(key)]} for name, key in keys.items()}
    write_private(state.keys, KeyRing(keys=keys).model_dump_json())
    write_private(state.tenants, yaml.safe_dump({"tenants": entries}))
    return keys


def simulated_generation(stack: Stack) -> Child:
    name = "generation-simulated"
    environment = stack.environment("generation") | PACE
    environment |= {
        "AF_MODEL": SIMULATED,
        "AF_ENGINE_KIND": "simulated",
        "AF_ACK_WAIT_S": str(ACK_WAIT_S),
    }
    port = PortBook(stack.state.root / "extra-ports.json").port(name)
    return worker_process(
        "generation", name=name, log=stack.state.log(name), port=port, environment=environment
    )


async def ingest(stack: Stack, folder: Path, selection: Selection, *, tenant: str = DEMO) -> None:
    settings = stack.state.nats_keys.tenant_settings(stack.record.nats_url, tenant)
    documents = Folder(folder, selection, f"{folder.name}/")
    summary = await ingest_folder(documents, settings, tenant=tenant, console=Console(quiet=True))
    assert summary.failed == 0, summary.failures
