"""Text to vectors: the port, the model that ships with the installation, and any OpenAI-compatible server."""

from workers.embedding.opening import open_embedder
from workers.embedding.port import Embedder, Vectors
from workers.embedding.settings import EmbedderSettings

__all__ = ["Embedder", "EmbedderSettings", "Vectors", "open_embedder"]
