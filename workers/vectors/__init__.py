"""The passages of all tenants: hybrid search, replacement of documents, and what the router samples."""

from workers.vectors.opening import open_store
from workers.vectors.port import Chunk, Content, IndexedDocument, Searcher, VectorStore
from workers.vectors.settings import VectorSettings

__all__ = ["Chunk", "Content", "IndexedDocument", "Searcher", "VectorSettings", "VectorStore", "open_store"]
