"""The stacks that benches run on, and how a run is watched."""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import uvloop

from contracts import Rows
from loadgen import corpus
from loadgen.clients import Answer, Run
from loadgen.corpus import Corpus
from loadgen.local_stack import TENANT, LocalStack, local_stack
from loadgen.openai_process import OpenAIProcess, openai_process
from loadgen.processes import CpuMeter, cpu_seconds
from loadgen.report import Figure

T = TypeVar("T")
SAMPLE = ("--demo",)
"""With the sample database, the documentation and a trained router."""
PASSAGES = 1_000
FIRST_TOKEN_MS = 50.0
INTERVAL_MS = 5.0
SHORT_ANSWER = 64
LONGEST_ANSWER = 1_600
"""Tokens; a question asks for fewer by its own limit."""
EMBEDDING = "simulated embeddings"
SETTLE_WITHIN_S = 30.0
SETTLED_FOR_S = 2.0
SETTLED_SHARE = 0.1
"""Of one core, for all processes together."""


@dataclass(frozen=True)
class Bed:
    """A stack with documents in it. `pids` has the processes beside the stack as well."""

    stack: LocalStack
    corpus: Corpus
    pids: Mapping[str, int]


@contextmanager
def timed() -> Iterator[Bed]:
    """The default stack, but for an engine with stated timings: rows are worded without it, as by default."""
    timings = engine(FIRST_TOKEN_MS, INTERVAL_MS, LONGEST_ANSWER) | {"AF_ROWS_ANSWER": "template"}
    with local_stack(timings, arguments=SAMPLE) as stack:
        yield _filled(stack, {})


@contextmanager
def weightless() -> Iterator[Bed]:
    """No model at all: an engine that takes no time and a server of simulated embeddings."""
    with openai_process() as embeddings, _without_models(embeddings) as stack:
        yield _filled(stack, {EMBEDDING: embeddings.pid})


def _without_models(embeddings: OpenAIProcess) -> AbstractContextManager[LocalStack]:
    return local_stack(engine(0, 0, SHORT_ANSWER) | _embedder(embeddings), arguments=SAMPLE)


def engine(first_token_ms: float, interval_ms: float, tokens: int) -> dict[str, str]:
    return {
        "AF_ENGINE_KIND": "simulated",
        # Else rows are worded without the engine, and there would be no tokens to count.
        "AF_ROWS_ANSWER": "engine",
        "AF_ENGINE_SIMULATED_FIRST_TOKEN_MS": str(first_token_ms),
        "AF_ENGINE_SIMULATED_INTERVAL_MS": str(interval_ms),
        "AF_ENGINE_SIMULATED_TOKENS": str(tokens),
    }


def _embedder(server: OpenAIProcess) -> dict[str, str]:
    return {"AF_EMBEDDER_KIND": "openai", "AF_EMBEDDER_URL": server.url, "AF_EMBEDDER_MODEL": "simulated"}


def _filled(stack: LocalStack, beside: Mapping[str, int]) -> Bed:
    made = corpus.make(PASSAGES)
    in_loop(corpus.ingest(made, stack.operator, tenant=TENANT))
    _settle(stack.pids)
    return Bed(stack, made, {**stack.pids, **beside})


def _settle(pids: Mapping[str, int]) -> None:
    """Wait for what follows an ingest: the store flushes, the router reads the documents again."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while time.monotonic() < deadline:
        before = sum(cpu_seconds(pids).values())
        time.sleep(SETTLED_FOR_S)
        if sum(cpu_seconds(pids).values()) - before < SETTLED_SHARE * SETTLED_FOR_S:
            return


def engine_ms(answer: Answer) -> float:
    """What the engine of `timed` takes of the time to the first words."""
    return 0.0 if any(isinstance(event, Rows) for event in answer.events()) else FIRST_TOKEN_MS


def in_loop(work: Coroutine[object, object, T]) -> T:
    """Run on the event loop that workers run on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def cpu_figures(meter: CpuMeter, run: Run) -> list[Figure]:
    """CPU time by process, the dearest first, and in all."""
    spent = meter.spent_s()
    count = max(1, len(run.answers))
    figures = [
        Figure(f"CPU, {name}", seconds * 1e3 / count, "ms/answer")
        for name, seconds in sorted(spent.items(), key=lambda item: -item[1])
    ]
    return [*figures, Figure("CPU in all", sum(spent.values()) * 1e3 / count, "ms/answer")]


def faults(run: Run) -> tuple[Figure, tuple[str, ...]]:
    """How many answers break a rule of the oracle, and what the first few say."""
    found = run.violations()
    return Figure("answers with a fault", len(found), "", at_most=0), tuple(found[:3])
