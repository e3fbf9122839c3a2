"""From settings to an embedder."""

from workers.embedding.openai import OpenAiEmbedder
from workers.embedding.port import Embedder
from workers.embedding.settings import EmbedderSettings


def open_embedder(settings: EmbedderSettings) -> Embedder:
    """Load the model: 0.3 s, the first time on a machine about 1 s.

    Raises:
        Misconfigured: a model file that is missing or damaged, a cache folder that can't be written.
    """
    if settings.kind == "openai":
        return OpenAiEmbedder(settings)
    # Here and not above: ONNX Runtime starts a thread as it is imported, and such a process can't be forked.
    # A process that never embeds (the router) needs none of it.
    from workers.embedding.minilm import MiniLmEmbedder

    return MiniLmEmbedder(settings)
