"""From settings to a vector store."""

import logging

from workers.vectors.milvus import MilvusStore
from workers.vectors.port import VectorStore
from workers.vectors.settings import VectorSettings


def open_store(settings: VectorSettings, *, dimension: int) -> VectorStore:
    """`dimension` is the embedder's. Connects at the first call."""
    # It logs each failed call with its traceback; ours is raised as a typed error, and logged by who handles it.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return MilvusStore(settings, dimension=dimension)
