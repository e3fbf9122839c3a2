"""Two runs, one page."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from xml.etree.ElementTree import Element

from loadgen.comparison import METHOD, Change, Comparison
from loadgen.distribution import Distribution
from loadgen.pages.amounts import clock, count
from loadgen.pages.change_row import COLUMNS, NAMES, cells
from loadgen.pages.chart import Chart, Line, Unit
from loadgen.pages.frame import page, plots, section
from loadgen.pages.markup import element, table
from loadgen.pages.run_charts import MEASURES, moments
from loadgen.pages.svg import StyleSheet
from loadgen.recording import Latency, Recording, Second


def comparison_page(before: Recording, after: Recording, comparison: Comparison) -> str:
    sheet = StyleSheet()
    header = [element("h1", "Two load runs compared")]
    for name, run in zip(NAMES, (before, after), strict=True):
        about = f" {run.started_at}, {clock(run.seconds)} min, {count(run.totals.asked)} asked"
        header.append(element("p", element("strong", f"{name}: "), element("code", run.command), about))
    charts = [*_percentiles(before, after), *_over_time(before, after)]
    body = [
        _verdict(comparison),
        section("values", "All values", element("div", _table(comparison.changes), class_="card")),
        section("plots", "Overlaid", plots(charts, sheet)),
        section("method", "Method", element("p", METHOD)),
    ]
    return page("Two load runs compared", header, body, sheet)


def _verdict(comparison: Comparison) -> Element:
    parts = [element("h2", comparison.headline)]
    if comparison.scenario:
        different = ", ".join(comparison.scenario)
        parts.append(element("p", f"The scenarios differ in {different}: this is not like for like."))
    if comparison.changed:
        parts.append(_table(comparison.changed))
    look = "bad" if comparison.worse else "good"
    return element("section", *parts, class_=f"verdict {look}", aria_label="Verdict")


def _table(changes: Sequence[Change]) -> Element:
    return table(COLUMNS, ([*row[:-1], _coloured(row[-1])] for row in map(cells, changes)))


def _coloured(verdict: str) -> Element:
    return element("span", verdict, class_=verdict.replace(" ", "-"))


def _percentiles(before: Recording, after: Recording) -> Iterator[Chart]:
    for measure in ("first_token", "whole", "accepted", "token_interval"):
        lines = [
            Line(name, *Distribution.of(run.latencies.get(measure, Latency())).curve(), colour)
            for colour, (name, run) in enumerate(zip(NAMES, (before, after), strict=True))
        ]
        title = f"{MEASURES[measure].capitalize()} by percentile"
        yield Chart(f"percentiles-{measure}", title, Unit.MILLISECONDS, lines, over_time=False)


def _over_time(before: Recording, after: Recording) -> Iterator[Chart]:
    wanted: tuple[tuple[str, str, Unit, dict[str, Callable[[Second], float | None]]], ...] = (
        ("first-token", "First token", Unit.MILLISECONDS,
         {"p50": attrgetter("first_token_p50_ms"), "p99": attrgetter("first_token_p99_ms")}),
        ("whole", "Whole answer", Unit.MILLISECONDS,
         {"p50": attrgetter("whole_p50_ms"), "p99": attrgetter("whole_p99_ms")}),
        ("ended", "Answers ended", Unit.PER_SECOND, {"ended": attrgetter("ended")}),
        ("in-flight", "Answers in flight", Unit.COUNT, {"in flight": attrgetter("in_flight")}),
        ("tokens", "Tokens", Unit.PER_SECOND, {"tokens": attrgetter("tokens")}),
    )  # fmt: skip
    seconds = max(before.seconds, after.seconds)
    for key, title, unit, columns in wanted:
        lines = [
            Line(f"{name}: {column}", *moments(run, read), colour, style)
            for colour, (name, run) in enumerate(zip(NAMES, (before, after), strict=True))
            for style, (column, read) in enumerate(columns.items())
        ]
        yield Chart(key, title, unit, lines, seconds)
