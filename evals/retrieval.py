"""Quality of retrieval on labelled questions: `askfleet eval retrieval`.

All corpora under `--data` (folders with corpus.jsonl and questions.jsonl) are cut as ingestion cuts them, and
indexed together for one tenant. Each question is asked of that tenant; and, to see whether the score tells
what is not in the documents, of a tenant that holds only another corpus.
"""

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.ablation import table
from evals.corpora import Corpus, Labelled, read_corpora
from evals.phoenix import upload
from evals.retrieval_figures import Asked, as_text, cases, summary
from workers.embedding import Embedder, EmbedderSettings, open_embedder
from workers.ingest.chunking import ChunkSizes, chunk
from workers.ingest.parsing import Limits, parse
from workers.vectors import Chunk, VectorSettings, VectorStore, open_store
from workers.vectors.testing import milvus_lite

DEFAULT_DATA = Path("../shared/data/dev/retrieval")
_TOGETHER = "together"
_AT_ONCE = 32
_CHUNKS_AT_ONCE = 128
_TIMEOUT_S = 60.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="a folder with one for each corpus")
    parser.add_argument("--precision", choices=["int8", "float32"], default="int8")
    parser.add_argument("--ablation", action="store_true", help="also rank in other ways, and compare")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--phoenix", default="", help="address of a Phoenix that keeps this as an experiment")
    options = parser.parse_args(arguments)
    asked = asyncio.run(_evaluate(read_corpora(options.data), options.precision))
    _progress("")
    if options.json:
        print(json.dumps(summary(asked)))
    else:
        for line in (*as_text(asked), *(table(asked) if options.ablation else ())):
            print(line)
    if options.phoenix:
        about = {"precision": options.precision}
        print(upload(options.phoenix, "retrieval", cases(asked), settings=about), file=sys.stderr)


async def _evaluate(corpora: Sequence[Corpus], precision: str) -> list[Asked]:
    embedder = open_embedder(EmbedderSettings.model_validate({"precision": precision}))
    with tempfile.TemporaryDirectory() as folder, milvus_lite(Path(folder)) as server:
        settings = VectorSettings(uri=server.uri, timeout_s=_TIMEOUT_S)
        store = open_store(settings, dimension=embedder.dimension)
        await store.ensure_collection()
        owners: dict[str, str] = {}
        for corpus in corpora:
            owners |= await _index(corpus, embedder, store)
        await store.flush()
        asked = [
            found for corpus in corpora for found in await _ask(corpus, corpora, owners, embedder, store)
        ]
        await store.close()
    await embedder.close()
    return asked


async def _index(corpus: Corpus, embedder: Embedder, store: VectorStore) -> dict[str, str]:
    """For the tenant of all corpora and for one that holds only this; the passage of each chunk's id."""
    owners: dict[str, str] = {}
    chunks: list[Chunk] = []
    for passage in corpus.passages:
        pieces = chunk(passage.id, passage.id, parse(passage, Limits()), ChunkSizes())
        owners |= {piece.chunk_id: passage.id for piece in pieces}
        chunks += pieces
    for start in range(0, len(chunks), _CHUNKS_AT_ONCE):
        part = chunks[start : start + _CHUNKS_AT_ONCE]
        vectors = await embedder.embed([piece.search_text for piece in part])
        for tenant in (_TOGETHER, _only(corpus)):
            name = f"{corpus.name} {start}"
            await store.replace_document(tenant, name, content_hash="1", chunks=part, vectors=vectors)
        _progress(f"{corpus.name}: {start + len(part)} of {len(chunks)} chunks indexed")
    return owners


async def _ask(
    corpus: Corpus,
    corpora: Sequence[Corpus],
    owners: Mapping[str, str],
    embedder: Embedder,
    store: VectorStore,
) -> list[Asked]:
    free = asyncio.Semaphore(_AT_ONCE)
    other = corpora[(corpora.index(corpus) + 1) % len(corpora)]
    tenants = [_TOGETHER] if other is corpus else [_TOGETHER, _only(other)]
    depth = VectorSettings().depth

    async def one(labelled: Labelled) -> Asked:
        async with free:
            vector = (await embedder.embed([labelled.question]))[0]
            own, *foreign = [
                tuple(await store.candidates(tenant, labelled.question, vector, depth=depth))
                for tenant in tenants
            ]
            return Asked(corpus.name, labelled, own, foreign[0] if foreign else (), owners)

    tasks = [asyncio.create_task(one(labelled)) for labelled in corpus.questions]
    for done, task in enumerate(tasks, 1):
        await task
        _progress(f"{corpus.name}: {done} of {len(tasks)} questions asked")
    return [task.result() for task in tasks]


def _only(corpus: Corpus) -> str:
    """A tenant; the name of a folder may hold signs that a tenant can't have."""
    return f"only-{hashlib.sha256(corpus.name.encode()).hexdigest()[:16]}"


def _progress(line: str) -> None:
    """One line that is written anew, where a person looks on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
