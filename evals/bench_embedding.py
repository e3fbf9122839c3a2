"""Speed of the embedding model: `python -m evals.bench_embedding`.

Prints passages a second (of 105 tokens), milliseconds of CPU a question, and memory.
"""

import argparse
import asyncio
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from workers.embedding import Embedder, EmbedderSettings, open_embedder

_SENTENCE = (
    "The maintenance window of the second pump begins when pressure in the main line falls below limit "
)
_QUESTION = "What happens when the pressure of the main line falls?"
_PASSAGES = 96
_QUESTIONS = 50
_ROUNDS = 5


@dataclass(frozen=True)
class Speed:
    passages_per_s: float
    question_ms: float
    question_cpu_ms: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=["int8", "float32"], default="int8")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    settings = EmbedderSettings(precision=options.precision, threads=options.threads)
    began = time.perf_counter()
    embedder = open_embedder(settings)
    print(f"model             {embedder.name}, {options.threads} threads")
    print(f"opened in         {time.perf_counter() - began:.2f} s")
    speed = asyncio.run(_measure(embedder))
    print(f"passages a second {speed.passages_per_s:.1f} (105 tokens; median of {_ROUNDS} rounds)")
    print(f"a question        {speed.question_ms:.1f} ms, {speed.question_cpu_ms:.1f} ms of CPU")
    print(f"peak memory       {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


async def _measure(embedder: Embedder) -> Speed:
    # 17 tokens a sentence, six sentences, a number, and two marks: 105 tokens.
    passages = [f"{number} {_SENTENCE * 6}" for number in range(_PASSAGES)]
    await embedder.embed(passages[:16])
    rates = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await embedder.embed(passages)
        rates.append(_PASSAGES / (time.perf_counter() - began))
    waits = []
    cpu = time.process_time()
    for _ in range(_QUESTIONS):
        began = time.perf_counter()
        await embedder.embed([_QUESTION])
        waits.append(time.perf_counter() - began)
    cpu = (time.process_time() - cpu) / _QUESTIONS
    await embedder.close()
    return Speed(statistics.median(rates), statistics.median(waits) * 1e3, cpu * 1e3)


if __name__ == "__main__":
    main()
