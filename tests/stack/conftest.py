"""Real PostgreSQL and Milvus Lite servers, one of each for the whole run."""

from collections.abc import Iterator

import pytest

from workers.vectors.testing import milvus_lite


@pytest.fixture(scope="session")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give each test a collection of its own: the server is shared."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as server:
        yield server.uri
