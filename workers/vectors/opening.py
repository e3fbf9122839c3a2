"""From settings to a vector store."""

from workers.vectors.milvus import MilvusStore
from workers.vectors.port import VectorStore
from workers.vectors.settings import VectorSettings


def open_store(settings: VectorSettings, *, dimension: int) -> VectorStore:
    """`dimension` is the embedder's. Connects at the first call."""
    return MilvusStore(settings, dimension=dimension)
