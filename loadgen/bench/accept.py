"""Questions published on the public subject at a steady 500 a second: none refused, none lost."""

import asyncio

from bus.connection import Bus, connect
from bus.subjects import answer_key
from bus.topology import ANSWERS, ROUTE
from loadgen.bench.stacks import Bed
from loadgen.clients import publish_steadily
from loadgen.latency import Summary
from loadgen.local_stack import TENANT
from loadgen.processes import CpuMeter
from loadgen.report import Figure, Report

RATE_PER_S = 500.0
SECONDS = 60.0
DEADLINE_S = 600.0
DRAIN_S = 120.0
POLL_S = 1.0


async def measure(bed: Bed, *, seconds: float = SECONDS) -> Report:
    questions = [
        bed.corpus.questions[number % bed.corpus.passages] for number in range(int(seconds * RATE_PER_S))
    ]
    async with connect(bed.stack.operator, name="bench") as bus:
        meter = CpuMeter.start(bed.pids)
        found = await publish_steadily(bus, TENANT, questions, rate_per_s=RATE_PER_S, deadline_s=DEADLINE_S)
        cpu = meter.spent_s()
        waiting = await _waiting(bus)
        waits = Summary.of([wait * 1e3 for wait in found.waits_s])
        drained_s = await _drain(bus)
        left = await _waiting(bus)
        lost = len(set(found.stored) - await _accepted(bus)) - left
    figures = (
        Figure("stored", len(found.stored) / found.took_s, "/s", at_least=0.99 * RATE_PER_S),
        Figure("refused", len(found.refused), "", at_most=0),
        Figure("lost", max(0, lost), f"of {len(found.stored)}", at_most=0),
        Figure("publish to stored, median", waits.median, "ms"),
        Figure("publish to stored, 99 %", waits.p99, "ms"),
        Figure("furthest behind the plan", found.late_s * 1e3, "ms"),
        Figure("waiting for the router at the end", waiting),
        Figure("until the router had taken all", drained_s, "s"),
        Figure("CPU of nats-server for a question", cpu["nats-server"] * 1e6 / len(questions), "us"),
    )
    command = "python -m loadgen.bench accept" + (f" --seconds {seconds:g}" if seconds != SECONDS else "")
    return Report("accept", command, figures)


async def _waiting(bus: Bus) -> int:
    """Questions that the router has not settled: a work queue holds a message until it is acked."""
    return int((await bus.js.stream_info(ROUTE.name)).state.messages)


async def _drain(bus: Bus) -> float:
    """Seconds until the queue is empty; it is watched for so long and no longer."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < DRAIN_S and await _waiting(bus) > 0:  # noqa: ASYNC110 (another process works)
        await asyncio.sleep(POLL_S)
    return loop.time() - began


async def _accepted(bus: Bus) -> set[str]:
    """The ids of all answers that have an event."""
    info = await bus.js.stream_info(ANSWERS.name, subjects_filter=ANSWERS.subject)
    return {answer_key(subject).query_id for subject in info.state.subjects or {}}
