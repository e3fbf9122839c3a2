"""Quality of answers from documents: search over Milvus Lite, then what the generation worker makes of it.

    python -m evals.answers [--data FOLDER] [--engine llamacpp|quote|openai] [--limit N] [--json]

Each corpus is ingested as documents are, beside all the others, and asked its own questions; its questions
are also asked of a tenant that holds only the other corpora, and with a name exchanged for one that their
passages do not know. Those, and the questions that are marked as not answerable, must be refused.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from evals.answer_figures import as_text, cases, failures, summary
from evals.answering import ENGINES, Answered, Answering, Ask, indexed, open_answering
from evals.corpora import Corpus, Labelled, read_corpora
from evals.perturbation import perturbed
from evals.phoenix import upload

DEFAULT_DATA = Path("../shared/data/dev/retrieval")
TOGETHER = "together"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="a folder with one for each corpus")
    parser.add_argument("--engine", choices=ENGINES, default="llamacpp", help="quote: no model at all")
    parser.add_argument("--limit", type=int, help="ask so many questions of each corpus, evenly spread")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--phoenix", default="", help="address of a Phoenix that keeps this as an experiment")
    options = parser.parse_args(arguments)
    corpora = read_corpora(options.data)
    answered = asyncio.run(_evaluate(corpora, options.engine, options.limit))
    if options.json:
        print(json.dumps(summary(answered)))
    else:
        for line in (*failures(answered), *as_text(answered)):
            print(line)
    if options.phoenix:
        about = {"engine": options.engine}
        print(upload(options.phoenix, "answers", cases(answered), settings=about), file=sys.stderr)


async def _evaluate(corpora: Sequence[Corpus], engine: str, limit: int | None) -> list[Answered]:
    asks = [ask for corpus in corpora for ask in _asks(corpus, corpora, limit)]
    with tempfile.TemporaryDirectory() as folder:
        async with open_answering(Path(folder), engine) as answering:
            tenants = {TOGETHER: list(corpora)} | {
                _without(corpus): [other for other in corpora if other is not corpus] for corpus in corpora
            }
            await indexed(answering, {tenant: held for tenant, held in tenants.items() if held})
            return await _answered(answering, asks)


async def _answered(answering: Answering, asks: Sequence[Ask]) -> list[Answered]:
    """Shows how far it is where a person looks on."""
    done: list[Answered] = []
    async for answered in answering.all(asks):
        done.append(answered)
        if sys.stderr.isatty():
            print(f"\r{len(done)} of {len(asks)} questions", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return done


def _asks(corpus: Corpus, corpora: Sequence[Corpus], limit: int | None) -> Iterator[Ask]:
    others = [other for other in corpora if other is not corpus]
    for asked in _spread(corpus.questions, limit):
        yield Ask(corpus.name, "own" if asked.answerable else "unanswerable", TOGETHER, asked)
        if others:
            yield Ask(corpus.name, "foreign", _without(corpus), asked)
    for asked in _spread(list(perturbed(corpus)), limit):
        yield Ask(corpus.name, "perturbed", TOGETHER, asked)


def _spread(items: Sequence[Labelled], limit: int | None) -> Sequence[Labelled]:
    return items if limit is None else items[:: max(1, -(-len(items) // limit))]


def _without(corpus: Corpus) -> str:
    return f"without-{corpus.name}"


if __name__ == "__main__":
    main()
