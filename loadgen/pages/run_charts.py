"""The plots of one run."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from operator import attrgetter

from loadgen.distribution import Distribution
from loadgen.pages.amounts import printable
from loadgen.pages.chart import Chart, Line, Mark, Unit
from loadgen.recording import Latency, ProcessSample, Recording, Second, StageSample

COLOURS = 8
MEASURES = {
    "accepted": "accepted",
    "first_token": "first token",
    "whole": "whole answer",
    "token_interval": "between tokens",
    "resume": "resume",
}


def charts_of(recording: Recording) -> list[Chart]:
    """Those without a value are left out."""
    charts = [
        *_of_answers(recording),
        percentile_chart(recording.latencies),
        *_of_stages(recording),
        *_of_processes(recording),
    ]
    return [chart for chart in charts if not chart.empty]


def fault_kinds(recording: Recording) -> list[str]:
    """In the order of their colours."""
    return sorted({fault.kind for fault in recording.faults})


def _of_answers(recording: Recording) -> Iterable[Chart]:
    def lines(columns: Mapping[str, Callable[[Second], float | None]], *colours: int) -> Sequence[Line]:
        return [
            Line(name, *moments(recording, read), colour)
            for (name, read), colour in zip(columns.items(), colours or range(COLOURS), strict=False)
        ]

    first = {
        "p50": attrgetter("first_token_p50_ms"),
        "p90": attrgetter("first_token_p90_ms"),
        "p99": attrgetter("first_token_p99_ms"),
    }
    whole = {"p50": attrgetter("whole_p50_ms"), "p99": attrgetter("whole_p99_ms")}
    rates = {"asked": attrgetter("started"), "ended": attrgetter("ended"), "refused": attrgetter("refused")}
    due = "From the time at which the question was due; by the second in which it came."
    timed = _over_time(recording)
    yield timed("first-token", "First token", Unit.MILLISECONDS, lines(first, 0, 2, 1), due)
    yield timed("whole", "Whole answer", Unit.MILLISECONDS, lines(whole, 0, 1), due)
    yield timed("rates", "Questions and answers", Unit.PER_SECOND, lines(rates, 0, 2, 1))
    yield timed("in-flight", "Answers in flight", Unit.COUNT, lines({"in flight": attrgetter("in_flight")}))
    yield timed("tokens", "Tokens", Unit.PER_SECOND, lines({"tokens": attrgetter("tokens")}, 4))


def moments(recording: Recording, read: Callable[[Second], float | None]) -> tuple[list[float], list[float]]:
    """A column of the time line and its times; NaN where nothing was measured."""
    values = (read(second) for second in recording.timeline)
    return [second.t for second in recording.timeline], [
        math.nan if value is None else value for value in values
    ]


def percentile_chart(latencies: dict[str, Latency]) -> Chart:
    lines = []
    for colour, (measure, name) in enumerate(MEASURES.items()):
        x, y = Distribution.of(latencies.get(measure, Latency())).curve()
        lines.append(Line(name, x, y, colour))
    return Chart(
        "percentiles", "Latency by percentile", Unit.MILLISECONDS, [line for line in lines if line.x],
        over_time=False, note="All times of the run; each further nine is as wide as the one before.",
    )  # fmt: skip


def _of_stages(recording: Recording) -> Iterable[Chart]:
    def lines(read: Callable[[StageSample], float]) -> Sequence[Line]:
        samples = sorted(recording.stages, key=attrgetter("stage", "t"))
        return [
            Line(printable(stage), *_points(list(found), read), colour)
            for colour, (stage, found) in enumerate(groupby(samples, attrgetter("stage")))
        ]

    timed = _over_time(recording)
    again = "Of the messages in work, those that were delivered before."
    yield timed("queue", "Waiting by stage", Unit.COUNT, lines(attrgetter("waiting")))
    yield timed("age", "Oldest message by stage", Unit.SECONDS, lines(attrgetter("oldest_age_s")))
    yield timed("in-work", "In work by stage", Unit.COUNT, lines(attrgetter("in_work")))
    yield timed("redelivered", "Redelivered by stage", Unit.COUNT, lines(attrgetter("redelivered")), again)
    yield timed("dead", "Dead letters by stage", Unit.COUNT, lines(attrgetter("dead")))


def _points(
    samples: Sequence[StageSample], read: Callable[[StageSample], float]
) -> tuple[list[float], list[float]]:
    return [sample.t for sample in samples], [read(sample) for sample in samples]


def _of_processes(recording: Recording) -> Iterable[Chart]:
    """The largest first, and in both plots in the same colour."""
    by_name = _by_name(recording.processes)
    memory, cpu = [], []
    for number, (name, samples) in enumerate(by_name):
        look = (number % COLOURS, number // COLOURS)
        memory.append(Line(printable(name), *_broken_at_restarts(samples, _memory), *look))
        cpu.append(Line(printable(name), *_broken_at_restarts(samples, _cores), *look))
    timed = _over_time(recording)
    restarts = "A line breaks where the process was started again."
    yield timed("memory", "Memory by process", Unit.MEBIBYTES, memory, restarts)
    yield timed("cpu", "CPU by process", Unit.CORES, cpu, restarts)


def _by_name(samples: Iterable[ProcessSample]) -> list[tuple[str, list[ProcessSample]]]:
    ordered = sorted(samples, key=attrgetter("name", "t"))
    named = [(name, list(found)) for name, found in groupby(ordered, attrgetter("name"))]
    return sorted(named, key=lambda pair: -max(sample.rss_mib for sample in pair[1]))


def _broken_at_restarts(
    samples: Sequence[ProcessSample], read: Callable[[ProcessSample, ProcessSample | None], float]
) -> tuple[list[float], list[float]]:
    x: list[float] = []
    y: list[float] = []
    for _, life in groupby(samples, attrgetter("pid")):
        ordered = list(life)
        for before, sample in pairwise([None, *ordered]):
            assert sample is not None
            x.append(sample.t)
            y.append(read(sample, before))
        x.append(ordered[-1].t)
        y.append(math.nan)
    return x, y


def _memory(sample: ProcessSample, _: ProcessSample | None) -> float:
    return sample.rss_mib


def _cores(sample: ProcessSample, before: ProcessSample | None) -> float:
    if before is None or sample.t <= before.t:
        return math.nan
    return max(0.0, sample.cpu_s - before.cpu_s) / (sample.t - before.t)


def _over_time(recording: Recording) -> Callable[..., Chart]:
    kinds = fault_kinds(recording)
    marks = [
        Mark(fault.t, fault.until, kinds.index(fault.kind), fault.kind, fault.target)
        for fault in recording.faults
    ]

    def chart(key: str, title: str, unit: Unit, lines: Sequence[Line], note: str = "") -> Chart:
        return Chart(key, title, unit, lines, recording.seconds, marks, note=note)

    return chart
