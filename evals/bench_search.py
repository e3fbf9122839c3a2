"""Cost of a hybrid search on Milvus Lite: `python -m evals.bench_search`.

For each number of clients: searches a second, median latency, and milliseconds of CPU a search in the server
and in this process. The vectors are random, the texts are the Markdown files of `--data`, cut into passages
of 110 words; the questions are runs of eight words out of them.
"""

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from contracts.errors import Misconfigured
from workers.embedding.port import Vectors
from workers.vectors import Chunk, VectorSettings, VectorStore, open_store
from workers.vectors.testing import RunningServer, milvus_lite

_DIMENSION = 384
_WORDS = 110
_QUESTION_WORDS = 8
_TENANT = "bench"
_PASSAGES_A_DOCUMENT = 250


@dataclass(frozen=True)
class Question:
    text: str
    vector: Vectors


@dataclass(frozen=True)
class Cost:
    searches_per_s: float
    latency_ms: float
    server_cpu_ms: float
    client_cpu_ms: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--passages", type=int, default=1_000)
    parser.add_argument("--tenants", type=int, default=1, help="the passages are spread over so many")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--searches", type=int, default=400, help="in all, for each number of clients")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dev/docs_markdown"))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, milvus_lite(Path(folder)) as server:
        asyncio.run(_bench(server, options))


async def _bench(server: RunningServer, options: argparse.Namespace) -> None:
    store = open_store(VectorSettings(uri=server.uri), dimension=_DIMENSION)
    await store.ensure_collection()
    texts = list(itertools.islice(itertools.cycle(_texts(options.data)), options.passages))
    began = time.perf_counter()
    await _fill(store, texts, options.tenants)
    print(f"{len(texts)} passages, {options.tenants} tenants, written in {time.perf_counter() - began:.1f} s")
    questions = _questions(texts, options.searches)
    await _measure(server, store, questions[:20], clients=1)
    for clients in options.clients:
        cost = await _measure(server, store, questions, clients=clients)
        print(
            f"{clients:3d} clients  {cost.searches_per_s:6.1f} searches/s  median {cost.latency_ms:6.1f} ms  "
            f"CPU a search: server {cost.server_cpu_ms:5.2f} ms, client {cost.client_cpu_ms:5.2f} ms"
        )
    await store.close()


def _texts(folder: Path) -> list[str]:
    words = [word for path in sorted(folder.rglob("*.md")) for word in path.read_text().split()]
    if len(words) < _WORDS:
        raise Misconfigured(f"There is no Markdown in {folder}.", remedy="Name a folder with --data.")
    pieces = [" ".join(words[i : i + _WORDS]) for i in range(0, len(words) - _WORDS, _WORDS)]
    random.Random(1).shuffle(pieces)  # noqa: S311 (the same order each time is wanted)
    return pieces


async def _fill(store: VectorStore, texts: Sequence[str], tenants: int) -> None:
    share = len(texts) // tenants
    for tenant in range(tenants):
        own = texts[tenant * share : (tenant + 1) * share]
        for start in range(0, len(own), _PASSAGES_A_DOCUMENT):
            page = own[start : start + _PASSAGES_A_DOCUMENT]
            await store.replace_document(
                _TENANT if tenant == 0 else f"{_TENANT}{tenant}",
                f"document {start}",
                content_hash="1",
                chunks=[
                    Chunk(f"{start + i}", "A title", ("Part",), "a.md", text) for i, text in enumerate(page)
                ],
                vectors=_random_vectors(len(page), seed=tenant * len(texts) + start),
            )
    await store.flush()


def _random_vectors(count: int, *, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(count, _DIMENSION)).astype(np.float32)
    normalised: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normalised


def _questions(texts: Sequence[str], count: int) -> list[Question]:
    vectors = _random_vectors(count, seed=0)
    chosen = itertools.islice(itertools.cycle(texts), count)
    return [
        Question(" ".join(text.split()[:_QUESTION_WORDS]), vector)
        for text, vector in zip(chosen, vectors, strict=True)
    ]


async def _measure(
    server: RunningServer, store: VectorStore, questions: Sequence[Question], *, clients: int
) -> Cost:
    theirs, ours = psutil.Process(server.pid), psutil.Process()
    latencies: list[float] = []
    before = _cpu_s(theirs), _cpu_s(ours)
    began = time.perf_counter()
    waiting = iter(questions)
    await asyncio.gather(*(_client(store, waiting, latencies) for _ in range(clients)))
    took = time.perf_counter() - began
    count = len(questions)
    return Cost(
        searches_per_s=count / took,
        latency_ms=statistics.median(latencies) * 1e3,
        server_cpu_ms=(_cpu_s(theirs) - before[0]) / count * 1e3,
        client_cpu_ms=(_cpu_s(ours) - before[1]) / count * 1e3,
    )


async def _client(store: VectorStore, waiting: Iterator[Question], latencies: list[float]) -> None:
    for question in waiting:
        began = time.perf_counter()
        await store.search(_TENANT, question.text, question.vector, top_k=5)
        latencies.append(time.perf_counter() - began)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
