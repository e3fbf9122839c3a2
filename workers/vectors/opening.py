"""From settings to a vector store."""

import logging

from workers.vectors.port import VectorStore
from workers.vectors.settings import VectorSettings


def open_store(settings: VectorSettings, *, dimension: int) -> VectorStore:
    """`dimension` is the embedder's. Connects at the first call."""
    # Here and not above: a process that only names the port (the generation worker) has no client of Milvus.
    from workers.vectors.milvus import MilvusStore

    # It logs a traceback for each failed call; the typed error that we raise is logged by who handles it.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return MilvusStore(settings, dimension=dimension)
