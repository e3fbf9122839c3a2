"""Real PostgreSQL and Milvus Lite servers, one of each for the whole run."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from askfleet.embedded.postgres import PostgresServer
from askfleet.local.state import StateFolder
from workers.vectors.testing import milvus_lite


@pytest.fixture(scope="session")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give each test a collection of its own: the server is shared."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as server:
        yield server.uri


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the run; make a database of your own with `create_database`."""
    # Not below pytest's folders: as root the server runs as another account, which can't enter them.
    with tempfile.TemporaryDirectory(prefix="askfleet-test-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "postgres", options={"fsync": "off"})
        asyncio.run(server.start())
        yield server
        asyncio.run(server.stop())


@pytest.fixture
def state() -> Iterator[StateFolder]:
    """The folder of a stack of the test's own; not below pytest's folders, for the same reason."""
    with tempfile.TemporaryDirectory(prefix="askfleet-test-", ignore_cleanup_errors=True) as folder:
        yield StateFolder(Path(folder))


@pytest.fixture
async def postgres_dsn(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """The owner's address of a new, empty database."""
    return await postgres_server.create_database(f"test_{abs(hash(request.node.nodeid))}", replace=True)
