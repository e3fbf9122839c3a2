"""Quality of retrieval on labelled questions: `python -m evals.retrieval`.

All corpora under `--data` (folders with corpus.jsonl and questions.jsonl) are indexed together for one
tenant: each passage as one chunk, or with `--chunked` as ingestion cuts it. Prints hit@1, hit@5 and the mean
reciprocal rank of the first right passage by corpus, over the passages that the ten best chunks belong to.
"""

import argparse
import asyncio
import base64
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.document import Document
from contracts.errors import Misconfigured
from workers.embedding import Embedder, EmbedderSettings, open_embedder
from workers.ingest.chunking import ChunkSizes, chunk
from workers.ingest.parsing import Limits, parse
from workers.retrieval.search import retrieve
from workers.router.measures import wilson
from workers.vectors import Chunk, VectorSettings, VectorStore, open_store
from workers.vectors.testing import milvus_lite

_TENANT = "evals"
_TOP_K = 10
_FAR = 5
_AT_ONCE = 32
_LONGEST_CHARS = 16_000


@dataclass(frozen=True)
class Labelled:
    question: str
    gold: frozenset[str]


@dataclass(frozen=True)
class Corpus:
    name: str
    passages: list[Document]
    questions: list[Labelled]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dev/retrieval"))
    parser.add_argument("--precision", choices=["int8", "float32"], default="int8")
    parser.add_argument("--chunked", action="store_true")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    corpora = [_read(path.parent) for path in sorted(options.data.glob("*/corpus.jsonl"))]
    if not corpora:
        raise Misconfigured(f"There is no corpus in {options.data}.", remedy="Name a folder with --data.")
    embedder = open_embedder(EmbedderSettings(precision=options.precision))
    with tempfile.TemporaryDirectory() as folder, milvus_lite(Path(folder)) as server:
        store = open_store(VectorSettings(uri=server.uri), dimension=embedder.dimension)
        cut = _as_ingested if options.chunked else _whole
        ranks = asyncio.run(_evaluate(corpora, embedder, store, cut))
    if options.json:
        print(json.dumps({name: _measures(found) for name, (found, _) in ranks.items()}))
    else:
        _show(ranks, embedder.name)


async def _evaluate(
    corpora: Sequence[Corpus], embedder: Embedder, store: VectorStore, cut: Callable[[Document], list[Chunk]]
) -> dict[str, tuple[list[int], Corpus]]:
    await store.ensure_collection()
    for passage in (passage for corpus in corpora for passage in corpus.passages):
        chunks = cut(passage)
        vectors = await embedder.embed([chunk.search_text for chunk in chunks])
        await store.replace_document(_TENANT, passage.id, content_hash="1", chunks=chunks, vectors=vectors)
    await store.flush()
    found = {corpus.name: (await _ranks(corpus, embedder, store), corpus) for corpus in corpora}
    await store.close()
    await embedder.close()
    return found


def _measures(ranks: Sequence[int]) -> dict[str, float]:
    return {
        "hit@1": round(_hits(ranks, 1) / len(ranks), 4),
        "hit@5": round(_hits(ranks, 5) / len(ranks), 4),
        "mrr": round(statistics.fmean(1 / rank if rank else 0.0 for rank in ranks), 4),
        "n": len(ranks),
    }


def _show(ranks: dict[str, tuple[list[int], Corpus]], embedder: str) -> None:
    """The figures with Wilson's intervals at 95 %, and the questions without a right passage among five."""
    print(f"embedder {embedder}")
    for name, (found, corpus) in ranks.items():
        for rank, asked in zip(found, corpus.questions, strict=True):
            if not 1 <= rank <= _FAR:
                print(f"{name}: rank {rank or '-'}: {asked.question}")
        shares = [f"hit@{limit} {_interval(_hits(found, limit), len(found))}" for limit in (1, _FAR)]
        print(f"{name:20s} {len(found):4d} questions  {'  '.join(shares)}  MRR {_measures(found)['mrr']:.4f}")


def _interval(hits: int, total: int) -> str:
    low, high = wilson(hits, total)
    return f"{hits / total:.3f} ({low:.3f} to {high:.3f})"


async def _ranks(corpus: Corpus, embedder: Embedder, store: VectorStore) -> list[int]:
    """Rank of the first right passage for each question, from 1; 0: not among those found."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def rank(labelled: Labelled) -> int:
        async with free:
            found = await retrieve(
                labelled.question, tenant=_TENANT, top_k=_TOP_K, embedder=embedder, store=store
            )
        distinct = dict.fromkeys(passage.document_id for passage in found)
        return next((i for i, document_id in enumerate(distinct, 1) if document_id in labelled.gold), 0)

    return list(await asyncio.gather(*(rank(labelled) for labelled in corpus.questions)))


def _whole(passage: Document) -> list[Chunk]:
    text = passage.content.decode()
    starts = range(0, len(text), _LONGEST_CHARS)
    return [
        Chunk(f"{passage.id}#{i}", passage.title, (), passage.id, text[i : i + _LONGEST_CHARS])
        for i in starts
    ]


def _as_ingested(passage: Document) -> list[Chunk]:
    return chunk(passage.id, passage.id, parse(passage, Limits()), ChunkSizes())


def _hits(ranks: Sequence[int], limit: int) -> int:
    return sum(1 <= rank <= limit for rank in ranks)


def _read(folder: Path) -> Corpus:
    passages = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    questions = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    return Corpus(
        name=folder.name,
        passages=[
            Document(
                id=p["id"],
                title=p["title"],
                media_type="text/plain",
                content=base64.b64encode(p["text"].encode()),
            )
            for p in passages
        ],
        questions=[Labelled(q["question"], frozenset(q["gold_ids"])) for q in questions],
    )


if __name__ == "__main__":
    main()
