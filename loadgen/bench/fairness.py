"""How long one tenant waits while another floods the queues, against its wait when it is alone."""

import asyncio

from bus.connection import connect
from contracts import Route
from loadgen.bench.stacks import SAMPLE, engine, in_loop
from loadgen.clients import Answer, Ask, Crowd, Run, closed_loop, publish_steadily
from loadgen.latency import Summary
from loadgen.local_stack import TENANT, LocalStack, local_stack
from loadgen.report import Figure, Report

QUIET, LOUD = TENANT, "loud"
SLOTS = 16
FIRST_TOKEN_MS, INTERVAL_MS, TOKENS = 50.0, 5.0, 64
"""So the engine answers some 43 questions a second at most."""
FLOOD_PER_S = 130.0
SECONDS = 20.0
PAUSE_S = 0.2
DEADLINE_S = 300.0
QUESTION = "How many tickets are there?"
AT_MOST_RATIO = 2.0


def run() -> Report:
    slots = {"AF_ENGINE_SLOTS": str(SLOTS)}
    settings = engine(FIRST_TOKEN_MS, INTERVAL_MS, TOKENS) | slots
    with local_stack(settings, arguments=SAMPLE, tenants=(QUIET, LOUD)) as stack:
        return in_loop(_measure(stack))


async def _measure(stack: LocalStack) -> Report:
    await _ask(stack, 3.0)
    alone = await _ask(stack, SECONDS / 2)
    flood = asyncio.create_task(_flood(stack))
    await asyncio.sleep(SECONDS / 4)
    beside = await _ask(stack, SECONDS / 2)
    published = await flood
    quiet, flooded = _waits(alone), _waits(beside)
    figures = (
        Figure("questions a second of the other tenant", published / SECONDS, "/s"),
        Figure("engine: answers a second at most", SLOTS / _answer_s(), "/s"),
        Figure("wait for the first words, alone, median", quiet.median, "ms"),
        Figure("the same beside the flood, median", flooded.median, "ms"),
        Figure("the same beside the flood, 99 %", flooded.p99, "ms"),
        Figure("ratio of the medians", flooded.median / quiet.median, "", at_most=AT_MOST_RATIO),
        Figure("answers with a fault", len(alone.violations() + beside.violations()), "", at_most=0),
    )
    return Report("fairness", "python -m loadgen.bench fairness", figures)


def _answer_s() -> float:
    return (FIRST_TOKEN_MS + TOKENS * INTERVAL_MS) / 1e3


async def _ask(stack: LocalStack, seconds: float) -> Run:
    """One client that asks, reads and pauses."""
    return await closed_loop(
        stack.door, lambda _: Ask(QUESTION, Route.SQL), Crowd(1, seconds, pause_s=PAUSE_S)
    )


async def _flood(stack: LocalStack) -> int:
    questions = [QUESTION] * int(FLOOD_PER_S * SECONDS)
    async with connect(stack.operator, name="flood") as bus:
        found = await publish_steadily(bus, LOUD, questions, rate_per_s=FLOOD_PER_S, deadline_s=DEADLINE_S)
    return len(found.stored)


def _waits(run: Run) -> Summary:
    return Summary.of([_wait_ms(answer) for answer in run.answers])


def _wait_ms(answer: Answer) -> float:
    first_s = answer.first_delta_s
    return float("inf") if first_s is None else first_s * 1e3
