"""How much of a prompt an engine finds in its prefix cache: `python -m evals.bench_prefix_cache`.

The prompts are those of the generation worker. Each load runs on an engine of its own, one question after
the other, so that what is found was left by questions before. The share is cached prompt tokens over prompt
tokens, as the engine tells them. Settings of the engine are taken from AF_ENGINE_*.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import get_args

import psutil

from contracts import Turn, Usage
from loadgen.report import Figure, Report
from workers.engines import Engine, EngineSettings, GenerationRequest, open_engine
from workers.generation.prompt import Material, Order, build
from workers.generation.support import Source

_SLOTS = 4
_CONTEXT_TOKENS = 1_024
_ANSWER_TOKENS = 8
_ROUNDS = 3
_DOCUMENTS = 3
_PASSAGES = 3
_TURNS = 4
_LONG_TURNS = 16
_ASKED = (
    "What does the lamp of {it} show after a reset?",
    "Who renews the certificate of {it}?",
    "How long does {it} wait for a server?",
    "Where is {it} mounted?",
)
_TEXT = (
    "Unit {n} of {it} shows a red lamp after a reset until its certificate has been renewed by a server. "
    "It waits {n} minutes for an answer and is mounted in hall {n}, behind the second door. "
)


@dataclass(frozen=True)
class Layout:
    """Of which engine, and how its prompts are laid out."""

    engine: str
    order: Order

    @property
    def command(self) -> str:
        return f"python -m evals.bench_prefix_cache --engine {self.engine} --order {self.order}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("llamacpp", "vllm", "openai"), default="llamacpp")
    parser.add_argument("--order", choices=get_args(Order), default="document", help="AF_PROMPT_ORDER")
    options = parser.parse_args(arguments)
    layout = Layout(options.engine, options.order)
    loads = {
        "same passages in the same order, other questions": _same_documents(turned=False),
        "same passages in another order, other questions": _same_documents(turned=True),
        "follow-ups of conversations, other passages each turn": _conversations(_TURNS),
        "conversations longer than their share of the prompt": _conversations(_LONG_TURNS),
        "unrelated questions": _unrelated(),
    }
    for name, load in loads.items():
        figures = asyncio.run(_figures(layout, load))
        print(Report(f"prefix cache, {layout.engine}: {name}", layout.command, figures).table(), flush=True)
    return 0


async def _figures(layout: Layout, load: Iterator[Material]) -> list[Figure]:
    engine = await open_engine(
        EngineSettings.model_validate(
            {"kind": layout.engine, "slots": _SLOTS, "context_tokens": _CONTEXT_TOKENS}
        )
    )
    before = _memory_mib()
    try:
        usages = [await _asked(engine, material, layout.order) for material in load]
        grown = _memory_mib() - before
    finally:
        await engine.close()
    prompt = sum(usage.prompt_tokens for usage in usages)
    cached = sum(usage.cached_prompt_tokens for usage in usages)
    return [
        Figure("found in the cache", 100 * cached / prompt, "% of the prompt"),
        Figure("prompt", prompt / len(usages), "tokens a question"),
        Figure("memory of this process since the engine was ready", grown, "MiB"),
    ]


def _memory_mib() -> float:
    return psutil.Process().memory_info().rss / 2**20


async def _asked(engine: Engine, material: Material, order: Order) -> Usage:
    limit = _CONTEXT_TOKENS - _ANSWER_TOKENS
    prompt = build(material, limit=limit, count=engine.count_tokens, order=order)
    request = GenerationRequest(prompt.messages, max_tokens=_ANSWER_TOKENS)
    usage = Usage()
    async with aclosing(engine.stream(request)) as pieces:
        async for piece in pieces:
            usage = piece.usage or usage
    return usage


def _same_documents(*, turned: bool) -> Iterator[Material]:
    """Each question finds the passages of one document; another question may rank them otherwise."""
    for round_, question in enumerate(_ASKED[:_ROUNDS]):
        for document in range(_DOCUMENTS):
            texts = _passages(document)
            first = round_ % _PASSAGES if turned else 0
            yield _material(question, document, texts[first:] + texts[:first])


def _conversations(turns: int) -> Iterator[Material]:
    histories: list[tuple[Turn, ...]] = [()] * _DOCUMENTS
    for turn in range(turns):
        for document, history in enumerate(histories):
            question = _ASKED[turn % len(_ASKED)]
            material = _material(question, document, _passages(10 * turn + document), history)
            yield material
            reply = Turn(role="assistant", content=f"It is said of unit {turn} in the second hall.")
            histories[document] = (*history, Turn(role="user", content=material.question), reply)


def _unrelated() -> Iterator[Material]:
    for number in range(_ROUNDS * _DOCUMENTS):
        yield _material(_ASKED[number % len(_ASKED)], 50 + number, _passages(50 + number))


def _material(question: str, document: int, texts: list[str], history: tuple[Turn, ...] = ()) -> Material:
    it = f"gateway {document}"
    sources = tuple(
        Source(number, f"Guide to {it}", text, place=(it, text)) for number, text in enumerate(texts, 1)
    )
    return Material(question.format(it=it), sources, history=history)


def _passages(document: int) -> list[str]:
    places = range(document * 10 + 1, document * 10 + 1 + _PASSAGES)
    return [_TEXT.format(n=place, it=f"gateway {document}") for place in places]


if __name__ == "__main__":
    sys.exit(main())
