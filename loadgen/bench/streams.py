"""64 answers that stream at once, 200 tokens a second each: every token arrives, none twice."""

from contracts import Route
from loadgen.bench.stacks import LONGEST_ANSWER as TOKENS
from loadgen.bench.stacks import Bed, cpu_figures, faults
from loadgen.clients import Answer, Ask, Crowd, closed_loop
from loadgen.latency import Summary
from loadgen.processes import CpuMeter
from loadgen.report import Figure, Report

STREAMS = 64
LONGEST_S = 60.0


async def measure(bed: Bed) -> Report:
    def ask(number: int) -> Ask:
        return Ask(bed.corpus.questions[number], Route.DOCUMENTS, max_tokens=TOKENS)

    meter = CpuMeter.start(bed.pids)
    run = await closed_loop(bed.stack.door, ask, Crowd(STREAMS, LONGEST_S, at_most=STREAMS))
    spent = meter.spent_s()
    cpu = cpu_figures(meter, run)
    tokens = [answer.tokens() for answer in run.answers]
    events = sum(len(answer.frames()) for answer in run.answers)
    fault, said = faults(run)
    figures = [
        Figure("answers that streamed at once", len(run.answers)),
        Figure("tokens missing or twice", sum(abs(TOKENS - count) for count in tokens), at_most=0),
        Figure("tokens", sum(tokens) / run.took_s, "/s"),
        Figure(
            "tokens of one answer, median", Summary.of([_rate(each) for each in run.answers]).median, "/s"
        ),
        Figure("tokens in one event, mean", sum(tokens) / max(1, events)),
        Figure("CPU of the bridge for a token", spent["bridge"] * 1e6 / max(1, sum(tokens)), "us"),
        Figure("CPU of the bridge for an event", spent["bridge"] * 1e6 / max(1, events), "us"),
        *cpu,
        fault,
    ]
    return Report("streams", "python -m loadgen.bench streams", tuple(figures), said)


def _rate(answer: Answer) -> float:
    """Tokens a second from the first words to the end."""
    first_s = answer.first_delta_s
    return answer.tokens() / (answer.took_s - first_s) if first_s is not None else 0.0
