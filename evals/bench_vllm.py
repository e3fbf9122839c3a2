"""What the worker adds to vLLM: `python -m evals.bench_vllm` in the environment of `make vllm`.

`vllm serve` is asked over HTTP, and the generation worker over NATS, each with an engine of its own of the
same model and settings, with the same prompts. Both are up all the time and take turns round by round, since
an engine without requests uses no CPU: what else the machine does then falls on both alike. Each prompt is
new to both.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from evals.vllm_engines import MAX_TOKENS, Direct, Engines, Job, Timing, Worker, jobs
from loadgen.report import Figure, Report

PARALLEL = 16
_COMMAND = "python -m evals.bench_vllm"

Ask = Callable[[Job], Awaitable[Timing]]


@dataclass(frozen=True)
class Round:
    """Medians over the answers of one round; throughput over all of it."""

    first_token_ms: float
    token_ms: float
    tokens_per_s: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="of each kind, for each of the two")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        engines = stack.enter_context(Engines(Path(folder)))
        report = asyncio.run(_measure(engines, options.rounds))
    print(report.table())
    return 1 if report.missed else 0


async def _measure(engines: Engines, rounds: int) -> Report:
    async with Direct(engines) as direct, Worker(engines) as worker:
        await asyncio.gather(direct.ready(), worker.ready())
        alone = await _in_turn((direct.ask, worker.ask), rounds, parallel=1, answers=4, label="alone")
        together = await _in_turn(
            (direct.ask, worker.ask), rounds, parallel=PARALLEL, answers=2 * PARALLEL, label="together"
        )
    return Report("vllm", _COMMAND, tuple(_figures(alone, together)), _notes(rounds))


async def _in_turn(
    asks: tuple[Ask, Ask], rounds: int, *, parallel: int, answers: int, label: str
) -> tuple[list[Round], list[Round]]:
    """The first round of each is not counted; who goes first changes each time."""
    found: tuple[list[Round], list[Round]] = ([], [])
    for number in range(rounds + 1):
        made = jobs(f"{label}{number}", answers)
        for which in (0, 1) if number % 2 else (1, 0):
            done = await _round(asks[which], made, parallel)
            if number:
                found[which].append(done)
    return found


async def _round(ask: Ask, made: Sequence[Job], parallel: int) -> Round:
    free = asyncio.Semaphore(parallel)
    clock = asyncio.get_running_loop().time

    async def one(job: Job) -> Timing:
        async with free:
            return await ask(job)

    began = clock()
    timings = await asyncio.gather(*(one(job) for job in made))
    took_s = clock() - began
    return Round(
        statistics.median(timing.first_s for timing in timings) * 1000,
        statistics.median(timing.token_s for timing in timings) * 1000,
        sum(timing.tokens for timing in timings) / took_s,
    )


def _figures(
    alone: tuple[list[Round], list[Round]], together: tuple[list[Round], list[Round]]
) -> list[Figure]:
    first, token = _medians(alone, "first_token_ms"), _medians(alone, "token_ms")
    speed = _medians(together, "tokens_per_s")
    crowd = _medians(together, "token_ms")
    return [
        Figure("throughput at 16, vllm serve", speed[0], "tokens/s"),
        Figure("throughput at 16, worker", speed[1], "tokens/s"),
        Figure("throughput, worker to vllm serve", _ratio(together), "", at_least=0.98),
        Figure("first token, vllm serve", first[0], "ms"),
        Figure("first token, worker", first[1], "ms"),
        Figure("added time to first token", _added(alone, "first_token_ms"), "ms", at_most=15),
        Figure("token, vllm serve", token[0], "ms"),
        Figure("token, worker", token[1], "ms"),
        Figure("added time per token", _added(alone, "token_ms"), "ms", at_most=0.2),
        Figure("token at 16, vllm serve", crowd[0], "ms"),
        Figure("token at 16, worker", crowd[1], "ms"),
    ]


def _medians(rounds: tuple[list[Round], list[Round]], name: str) -> tuple[float, float]:
    direct, worker = (statistics.median(getattr(done, name) for done in side) for side in rounds)
    return direct, worker


def _added(rounds: tuple[list[Round], list[Round]], name: str) -> float:
    """Median over pairs of rounds that followed each other."""
    added: list[float] = [
        getattr(worker, name) - getattr(direct, name) for direct, worker in zip(*rounds, strict=True)
    ]
    return statistics.median(added)


def _ratio(rounds: tuple[list[Round], list[Round]]) -> float:
    return statistics.median(
        worker.tokens_per_s / direct.tokens_per_s for direct, worker in zip(*rounds, strict=True)
    )


def _notes(rounds: int) -> tuple[str, ...]:
    return (
        f"{rounds} rounds each in turn, medians of the differences between neighbours; answers of up to "
        f"{MAX_TOKENS} tokens, each prompt new to both",
        "both engines: SmolLM2-135M, float32, eager, on this machine's CPUs",
        "the worker's way is from the job on NATS to the delta at a subscriber",
    )


if __name__ == "__main__":
    sys.exit(main())
