"""From a question to the passages that may answer it."""

from contracts import Passage
from workers.embedding.port import Embedder
from workers.vectors.port import Searcher


async def retrieve(
    question: str, *, tenant: str, top_k: int, embedder: Embedder, store: Searcher
) -> list[Passage]:
    """The `top_k` best passages of the tenant, best first; none when nothing is indexed.

    It may run twice: it only reads.
    """
    vectors = await embedder.embed([question])
    return await store.search(tenant, question, vectors[0], top_k=top_k)
