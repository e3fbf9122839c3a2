"""What the path adds to the time to the first token, beside the engine's own.

Documents questions: embedding and search, which any system pays, are shown apart. Rows are worded by the
platform, so that all of the time to their first words is added.
"""

from collections.abc import Callable
from dataclasses import replace

from contracts import Route, Rows
from loadgen.bench.stacks import FIRST_TOKEN_MS, INTERVAL_MS, Bed, engine_ms, faults
from loadgen.clients import Answer, Ask, Crowd, Run, closed_loop
from loadgen.latency import Summary
from loadgen.report import Figure, Report

TOKENS = (32, 96)
"""Shortest and longest answer. Were all of one length, clients would bunch: those that once waited for each
other end together and ask together from then on."""
WRITTEN_S = (FIRST_TOKEN_MS + sum(TOKENS) / 2 * INTERVAL_MS) / 1e3
"""What an engine would take for an answer: who asks for rows pauses so long before the next question."""
WARM_UP = 16
ANSWERS = {1: 40, 16: 320, 64: 640}
AT_MOST_MS: dict[int, float | None] = {1: 18.0, 16: 24.0, 64: None}
"""10 ms more than an app without a bus that keeps nothing; with 64 clients there is no target."""
LONGEST_S = 60.0
SQL_QUESTION = "How many tickets are there?"

Choice = Callable[[int], Ask]


async def measure(bed: Bed) -> Report:
    def documents(number: int) -> Ask:
        return Ask(
            bed.corpus.questions[number % bed.corpus.passages], Route.DOCUMENTS, max_tokens=_length(number)
        )

    def sql(number: int) -> Ask:
        return Ask(SQL_QUESTION, Route.SQL, max_tokens=_length(number))

    figures: list[Figure] = []
    notes: tuple[str, ...] = ()
    for clients in ANSWERS:
        for name, choice in (("SQL", sql), ("documents", documents)):
            found = await _run(bed, choice, clients, pause_s=WRITTEN_S if name == "SQL" else 0.0)
            case = f"{name}, {clients} client{'s' * (clients > 1)}"
            figures += FIGURES[name](case, found, AT_MOST_MS[clients])
            fault, said = faults(found)
            figures += [fault] if fault.value else []
            notes += said
    return Report("overhead", "python -m loadgen.bench overhead", tuple(figures), notes)


async def _run(bed: Bed, choice: Choice, clients: int, *, pause_s: float) -> Run:
    ramp_s = (FIRST_TOKEN_MS + max(TOKENS) * INTERVAL_MS) / 1e3
    crowd = Crowd(clients, LONGEST_S, ANSWERS[clients], ramp_s, pause_s)
    await closed_loop(bed.stack.door, choice, replace(crowd, at_most=WARM_UP))
    return await closed_loop(bed.stack.door, choice, crowd)


def _length(number: int) -> int:
    """Spread evenly over the range, in an order without a pattern that clients could follow."""
    shortest, longest = TOKENS
    return shortest + number * 37 % (longest - shortest + 1)


def _sql_figures(case: str, found: Run, at_most_ms: float | None) -> list[Figure]:
    added = Summary.of([_added_ms(answer) for answer in found.answers])
    database = Summary.of([_evidence_ms(answer) for answer in found.answers])
    return [
        Figure(f"{case}: added, median", added.median, "ms", at_most=at_most_ms),
        Figure(f"{case}: added, 99 %", added.p99, "ms"),
        Figure(f"{case}: of it planning and database", database.median, "ms"),
    ]


def _documents_figures(case: str, found: Run, at_most_ms: float | None) -> list[Figure]:
    added = [_added_ms(answer) for answer in found.answers]
    search = [_evidence_ms(answer) for answer in found.answers]
    rest = Summary.of([all_ms - search_ms for all_ms, search_ms in zip(added, search, strict=True)])
    return [
        Figure(
            f"{case}: added without embedding and search, median",
            rest.median,
            "ms",
            at_most=at_most_ms,
        ),
        Figure(f"{case}: added without embedding and search, 99 %", rest.p99, "ms"),
        Figure(f"{case}: embedding and search, median", Summary.of(search).median, "ms"),
        Figure(f"{case}: added in all, median", Summary.of(added).median, "ms"),
    ]


FIGURES = {"SQL": _sql_figures, "documents": _documents_figures}


def _added_ms(answer: Answer) -> float:
    """From the client's request to the first words, less what the engine takes for them."""
    first_s = answer.first_delta_s
    return float("inf") if first_s is None else first_s * 1e3 - engine_ms(answer)


def _evidence_ms(answer: Answer) -> float:
    evidence = answer.evidence()
    if evidence is not None:
        return evidence.took_ms
    rows = next((event for event in answer.events() if isinstance(event, Rows)), None)
    return rows.took_ms if rows else 0.0
