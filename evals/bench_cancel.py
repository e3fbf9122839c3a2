"""How soon a cancelled answer has left the engine: `python -m evals.bench_cancel --engine vllm`.

In the environment of `make vllm` for vLLM, whose core is asked itself; elsewhere the engine's own count
tells. A step of the model that was begun is ended, so the figure includes what is left of one.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from evals.small_model import make_small_model
from loadgen.report import Figure, Report
from workers.engines import Engine, EngineSettings, GenerationRequest, Message, open_engine

MOST_MS = 100.0
ANSWERS = 31
TOKENS_BEFORE = 5
LONGEST_S = 5.0
_STORY = GenerationRequest((Message("user", "Tell a very long story about a ship."),), max_tokens=400)

HasRequests = Callable[[], Awaitable[bool]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("vllm", "llamacpp", "simulated"), default="llamacpp")
    parser.add_argument("--answers", type=int, default=ANSWERS, help="how many are cancelled, one by one")
    options = parser.parse_args()
    free_ms, step_ms = asyncio.run(_measure(options.engine, options.answers))
    report = Report(
        f"cancel, {options.engine}",
        f"python -m evals.bench_cancel --engine {options.engine}",
        (
            Figure("engine without the request, median", statistics.median(free_ms), "ms", at_most=MOST_MS),
            Figure("  longest", max(free_ms), "ms"),
            Figure("from one token to the next, median", statistics.median(step_ms), "ms"),
        ),
        (f"{len(free_ms)} answers, closed after {TOKENS_BEFORE} tokens each",),
    )
    print(report.table())
    return 1 if report.missed else 0


async def _measure(kind: str, answers: int) -> tuple[list[float], list[float]]:
    """Milliseconds from the close to the engine without the request, and between two tokens before it."""
    engine = await open_engine(EngineSettings.model_validate(_settings(kind)))
    free_ms, step_ms = [], []
    try:
        for _ in range(answers):
            came: list[float] = []
            async with aclosing(engine.stream(_STORY)) as stream:
                async for _ in stream:
                    came.append(time.perf_counter())
                    if len(came) == TOKENS_BEFORE:
                        break
                begin = time.perf_counter()
            free_ms.append(1000 * await _free_s(_has_requests(engine), begin))
            step_ms.append(1000 * (came[-1] - came[0]) / (len(came) - 1))
    finally:
        await engine.close()
    return free_ms, step_ms


async def _free_s(has_requests: HasRequests, begin: float) -> float:
    while await has_requests():
        if time.perf_counter() > begin + LONGEST_S:
            sys.exit(f"error: the engine still has the request {LONGEST_S:g} s after it was cancelled")
        await asyncio.sleep(0)
    return time.perf_counter() - begin


def _has_requests(engine: Engine) -> HasRequests:
    from workers.engines.vllm.engine import VllmEngine

    if isinstance(engine, VllmEngine):
        return engine.core_has_requests

    async def own_count() -> bool:
        return engine.in_flight() > 0

    return own_count


def _settings(kind: str) -> Mapping[str, object]:
    if kind != "vllm":
        return {"kind": kind, "slots": 4, "simulated_tokens": 400}
    vllm = {"dtype": "float32", "enforce_eager": True, "kv_cache_gib": 1, "block_tokens": 32}
    return {"kind": kind, "model_path": make_small_model(), "slots": 4, "context_tokens": 1_024, "vllm": vllm}


if __name__ == "__main__":
    sys.exit(main())
