"""The report of one run as a page."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from xml.etree.ElementTree import Element

from loadgen.pages.amounts import clock, count, duration, share
from loadgen.pages.frame import contents, page, plots, section
from loadgen.pages.markup import Node, element, table
from loadgen.pages.palette import FAULTS
from loadgen.pages.run_charts import MEASURES, charts_of, fault_kinds
from loadgen.pages.svg import StyleSheet
from loadgen.promises import Line
from loadgen.recording import BrokenPromise, Fault, Latency, Recording, Totals

MOST_VIOLATIONS = 200
PERCENTILES = ("median", "p90", "p99", "p99.9", "worst", "count")
ALWAYS_SHOWN = ("asked", "accepted", "done", "failed", "cancelled", "refused", "tokens")


def run_page(recording: Recording) -> str:
    sheet = StyleSheet()
    sections = [_latencies(recording)]
    if recording.faults:
        sections.append(_faults(recording))
    charts = charts_of(recording)
    if charts:
        sections.append(section("plots", "Over time", _legend(recording), plots(charts, sheet)))
    sections.append(_about(recording))
    header = [
        element("h1", "Load run"),
        element("p", element("code", recording.command)),
        element("p", f"Began {recording.started_at}, took {clock(recording.seconds)} min.", class_="quiet"),
    ]
    body = [verdict(recording), contents(sections), *sections]
    return page(f"Load run of {recording.started_at}", header, body, sheet)


def verdict(recording: Recording) -> Element:
    broken = recording.violations
    total = recording.totals
    bad = bool(broken or total.lost or total.stuck)
    words = (
        f"{count(len(broken))} broken promise{'s' if len(broken) > 1 else ''}"
        if broken
        else "No broken promise"
    )
    title = f"{total.lost} lost, {total.stuck} stuck" if bad and not broken else words
    return element(
        "section",
        element("h2", title),
        _zeros(recording),
        *_violations(broken),
        element("h3", "Queries", class_="spaced"),
        _totals(total),
        class_=f"verdict {'bad' if bad else 'good'}",
        aria_label="Verdict",
    )


def _zeros(recording: Recording) -> Element:
    lines = Counter(broken.line for broken in recording.violations)
    one_end, ids = lines.pop(Line.ONE_TERMINAL, 0), lines.pop(Line.IDS_RISE, 0)
    return _tiles(
        {
            "lost": recording.totals.lost,
            "stuck": recording.totals.stuck,
            "not one terminal": one_end,
            "gaps in ids": ids,
            "other promises": lines.total(),
        },
        lambda value: "broken" if value else "zero",
    )


def _totals(totals: Totals) -> Element:
    values = {
        name.replace("_", " "): value
        for name, value in totals.model_dump().items()
        if value or name in ALWAYS_SHOWN
    }
    return _tiles(values, lambda _: "plain")


def _tiles(values: Mapping[str, int], look: Callable[[int], str]) -> Element:
    tiles = [
        element("div", element("dt", name), element("dd", count(value)), class_=look(value))
        for name, value in values.items()
    ]
    return element("dl", *tiles, class_="tiles")


def _violations(broken: Sequence[BrokenPromise]) -> Iterable[Element]:
    for found in broken[:MOST_VIOLATIONS]:
        about = f" of query {found.query_id} of {found.tenant}: {found.detail}"
        log = "\n".join(found.log) or "No event is known."
        yield element(
            "details",
            element("summary", element("strong", found.line), about),
            element("pre", log),
            class_="violation",
        )
    if len(broken) > MOST_VIOLATIONS:
        yield element("p", f"{count(len(broken) - MOST_VIOLATIONS)} more are in the record.")


def _latencies(recording: Recording) -> Element:
    note = (
        "Accepted, first token and whole answer count from the time at which the question was due, also when "
        "it was sent late. Three significant figures."
    )
    late = recording.generator.late
    own = (
        f"The generator itself was late by {duration(late.p50)} at the median and {duration(late.worst)} at "
        f"worst, and took {recording.generator.cpu_ms_per_answer:.2f} ms of CPU an answer."
    )
    parts: list[Node] = [element("p", note, class_="quiet"), _latency_table("All", recording.latencies)]
    for title, groups in (("By route", recording.by_route), ("By tenant", recording.by_tenant)):
        if groups:
            parts.append(_group_table(title, groups))
    if late.count:
        parts.append(element("p", own, class_="quiet"))
    return section("latency", "Latency", element("div", *parts, class_="card"))


def _latency_table(title: str, latencies: Mapping[str, Latency]) -> Element:
    rows = [
        [name, *_percentiles(latencies[measure])]
        for measure, name in MEASURES.items()
        if measure in latencies and latencies[measure].count
    ]
    return table(("measure", *PERCENTILES), rows, title)


def _group_table(title: str, groups: Mapping[str, Mapping[str, Latency]]) -> Element:
    rows = [
        [f"{group}: {MEASURES[measure]}", *_percentiles(latencies[measure])]
        for group, latencies in groups.items()
        for measure in ("first_token", "whole")
        if measure in latencies and latencies[measure].count
    ]
    return table((title.split()[-1], *PERCENTILES), rows, title)


def _percentiles(found: Latency) -> list[str]:
    times = (found.p50, found.p90, found.p99, found.p999, found.worst)
    return [*map(duration, times), count(found.count)]


def _faults(recording: Recording) -> Element:
    ordered = sorted(recording.faults, key=attrgetter("kind", "target", "t"))
    rows = [_fault_row(list(found)) for _, found in groupby(ordered, attrgetter("kind", "target"))]
    every = [
        (clock(fault.t), fault.kind, fault.target, _lasted(fault), fault.note)
        for fault in sorted(recording.faults, key=attrgetter("t"))
    ]
    single = element(
        "details",
        element("summary", f"Each of the {len(every)} faults"),
        table(("at", "fault", "target", "lasted", "note"), every, "Faults in their order"),
        class_="words",
    )
    summed = table(("fault", "times", "lasted in all", "first at", "last at"), rows, "By kind and target")
    return section("faults", "Faults", element("div", summed, single, class_="card"))


def _fault_row(found: Sequence[Fault]) -> list[str]:
    lasted = sum(fault.until - fault.t for fault in found)
    return [
        f"{found[0].kind} {found[0].target}",
        count(len(found)),
        duration(lasted * 1000) if lasted else "-",
        clock(found[0].t),
        clock(found[-1].t),
    ]


def _lasted(fault: Fault) -> str:
    return duration((fault.until - fault.t) * 1000) if fault.until > fault.t else "-"


def _legend(recording: Recording) -> Element:
    counts = Counter(fault.kind for fault in recording.faults)
    items = [
        element(
            "li",
            element("span", class_=f"swatch {FAULTS[number % len(FAULTS)]}", aria_hidden="true"),
            f"{kind} ({counts[kind]})",
        )
        for number, kind in enumerate(fault_kinds(recording))
    ]
    if not items:
        return element("p", "No faults were made.", class_="quiet")
    return element("ul", *items, class_="legend", aria_label="Faults in the plots")


def _about(recording: Recording) -> Element:
    asked = recording.totals.asked
    failures = [[code, count(number), share(number, asked)] for code, number in recording.failures.items()]
    parts: list[Node] = []
    if failures:
        parts.append(table(("failed with", "answers", "of all asked"), failures, "Failed answers"))
    scenario = json.dumps(recording.scenario, indent=2, ensure_ascii=False)
    parts.append(element("details", element("summary", "The scenario as JSON"), element("pre", scenario)))
    return section("scenario", "Scenario and failures", element("div", *parts, class_="card"))
