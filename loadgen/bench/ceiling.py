"""Answers a second where no model takes time: 64 clients, 5 of 1,000 passages, 64 tokens an answer."""

from contracts import Route
from loadgen.bench.stacks import Bed, cpu_figures, faults
from loadgen.clients import Ask, Crowd, closed_loop
from loadgen.latency import Summary
from loadgen.processes import CpuMeter
from loadgen.report import Figure, Report

CLIENTS = 64
TOKENS = 64
WARM_UP_S = 3.0
SECONDS = 15.0
AT_LEAST_A_SECOND = 150.0


async def measure(bed: Bed) -> Report:
    figures: list[Figure] = []
    notes: tuple[str, ...] = ()
    for name, route in (("route given", Route.DOCUMENTS), ("routed", None)):
        found, said = await _measure(bed, name, route)
        figures += found
        notes += said
    return Report("ceiling", "python -m loadgen.bench ceiling", tuple(figures), notes)


async def _measure(bed: Bed, name: str, route: Route | None) -> tuple[list[Figure], tuple[str, ...]]:
    def ask(number: int) -> Ask:
        return Ask(bed.corpus.questions[number % bed.corpus.passages], route, max_tokens=TOKENS)

    await closed_loop(bed.stack.door, ask, Crowd(CLIENTS, WARM_UP_S))
    meter = CpuMeter.start(bed.pids)
    run = await closed_loop(bed.stack.door, ask, Crowd(CLIENTS, SECONDS))
    cpu = cpu_figures(meter, run)
    took = Summary.of([answer.took_s * 1e3 for answer in run.answers])
    tokens = Summary.of([answer.tokens() for answer in run.answers])
    fault, said = faults(run)
    figures = [
        Figure("answers", len(run.answers) / run.took_s, "/s", at_least=AT_LEAST_A_SECOND),
        Figure("tokens", sum(answer.tokens() for answer in run.answers) / run.took_s, "/s"),
        Figure("an answer, median", took.median, "ms"),
        Figure("an answer, 99 %", took.p99, "ms"),
        Figure("tokens of an answer, median", tokens.median),
        *cpu,
        fault,
    ]
    return [_named(name, figure) for figure in figures], said


def _named(name: str, figure: Figure) -> Figure:
    return Figure(f"{name}: {figure.name}", figure.value, figure.unit, figure.at_most, figure.at_least)
