"""Where the time to the first words goes: one row for each hop, by the times that the events carry."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from contracts import Accepted, Delta, Event, Evidence, Route, Routed, Rows
from loadgen.bench.overhead import WRITTEN_S
from loadgen.bench.stacks import Bed, engine_ms, faults
from loadgen.clients import Answer, Ask, Crowd, closed_loop
from loadgen.latency import Summary
from loadgen.report import Figure, Report

SQL_QUESTION = "How many tickets are there?"
TOKENS = (32, 96)
WARM_UP = 16
ANSWERS = {1: 40, 16: 240}
LONGEST_S = 60.0
RAMP_S = 0.5
HOPS = (
    "client to `accepted`: bridge, ROUTE, router",
    "`accepted` to `routed`: the decision",
    "`routed` to evidence: queue and log",
    "of the evidence: search, or planning and database",
    "evidence to the first words: GENERATE, log, prompt, flush",
    "first words to the client: live subject, bridge",
)


async def measure(bed: Bed) -> Report:
    figures: list[Figure] = []
    notes: tuple[str, ...] = ()
    for clients, answers in ANSWERS.items():
        for name, ask in _questions(bed).items():
            crowd = Crowd(clients, LONGEST_S, answers, RAMP_S, WRITTEN_S if name == "SQL" else 0.0)
            await closed_loop(bed.stack.door, ask, replace(crowd, at_most=WARM_UP))
            run = await closed_loop(bed.stack.door, ask, crowd)
            figures += _figures(f"{name}, {clients} client{'s' * (clients > 1)}", run.answers)
            fault, said = faults(run)
            figures += [fault] if fault.value else []
            notes += said
    return Report("hops", "python -m loadgen.bench hops", tuple(figures), notes)


def _questions(bed: Bed) -> dict[str, Callable[[int], Ask]]:
    def documents(number: int) -> Ask:
        question = bed.corpus.questions[number % bed.corpus.passages]
        return Ask(question, Route.DOCUMENTS, max_tokens=_length(number))

    def sql(number: int) -> Ask:
        return Ask(SQL_QUESTION, Route.SQL, max_tokens=_length(number))

    return {"documents": documents, "SQL": sql}


def _length(number: int) -> int:
    """Of different lengths, so that clients do not fall into step."""
    shortest, longest = TOKENS
    return shortest + number * 37 % (longest - shortest + 1)


def _figures(case: str, answers: list[Answer]) -> Iterator[Figure]:
    for hop, times in zip(HOPS, zip(*map(_hops, answers), strict=True), strict=True):
        yield Figure(f"{case}: {hop}", Summary.of(times).median, "ms")


def _hops(answer: Answer) -> tuple[float, ...]:
    """Milliseconds of each of `HOPS`. Client and workers share one clock here."""
    epoch = time.time() - time.perf_counter()
    sent, first_words = answer.reply.sent_at + epoch, (answer.first_delta_s or 0.0)
    events = answer.events()
    accepted, routed, delta = (_at(events, kind) for kind in (Accepted, Routed, Delta))
    evidence = next(event for event in events if isinstance(event, Evidence | Rows))
    return (
        accepted - sent * 1e3,
        routed - accepted,
        evidence.at - routed - evidence.took_ms,
        evidence.took_ms,
        delta - evidence.at - engine_ms(answer),
        (sent + first_words) * 1e3 - delta,
    )


def _at(events: list[Event], kind: type[Event]) -> float:
    return float(next(event.at for event in events if isinstance(event, kind)))
