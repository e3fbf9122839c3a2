import base64
import hashlib
import random
import re
from io import StringIO
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from rich.console import Console
from selectolax.lexbor import LexborHTMLParser, LexborNode

from askfleet.load_report import compare_records, write_pictures, write_report
from contracts.errors import Misconfigured
from loadgen.comparison import Verdict, compare
from loadgen.distribution import Distribution
from loadgen.pages import drawing
from loadgen.pages.chart import Chart, Line, Mark, Unit
from loadgen.pages.comparison_page import comparison_page
from loadgen.pages.run_charts import charts_of
from loadgen.pages.run_page import run_page
from loadgen.pages.svg import StyleSheet, inline
from loadgen.progress import Depth, Snapshot, Times, board, plain_line
from loadgen.promises import Line as Promise
from loadgen.recording import (
    BrokenPromise,
    Fault,
    Latency,
    ProcessSample,
    Recording,
    Second,
    StageSample,
    Totals,
    read_recording,
)
from loadgen.tally import Histogram

HOSTILE = '</pre><script>alert("x")</script><img src=https://evil.example/x onerror=alert(1)>'
SECONDS = 40
PLOTS = {
    "first-token", "whole", "rates", "in-flight", "tokens", "percentiles",
    "queue", "age", "in-work", "redelivered", "dead", "memory", "cpu",
}  # fmt: skip


def latency(*, seed: int, slower: float = 1.0, slowest: float = 1.0, count: int = 3_000) -> Latency:
    """Times about 100 ms; the slowest 3 % take `slowest` times as long as they would."""
    dice = random.Random(seed)
    histogram = Histogram()
    for _ in range(count):
        taken = dice.lognormvariate(0, 0.3) * 0.1 * slower
        histogram.add(taken * slowest if dice.random() < 0.03 else taken)
    return histogram.latency()


def recording(
    *, seed: int = 1, slowest: float = 2.0, cpu: float = 1.0, broken: tuple[BrokenPromise, ...] = ()
) -> Recording:
    measures = {
        name: latency(seed=seed + number, slowest=slowest)
        for number, name in enumerate(("accepted", "first_token", "whole", "token_interval"))
    }
    return Recording(
        command="askfleet load chaos --minutes 1",
        started_at="2026-01-01T00:00:00+00:00",
        seconds=SECONDS,
        scenario={"note": HOSTILE},
        totals=Totals(asked=3_000, accepted=3_000, done=2_990, failed=10, tokens=90_000),
        latencies=measures,
        by_route={"sql": measures},
        by_tenant={HOSTILE: measures},
        failures={HOSTILE: 10},
        timeline=tuple(second(t) for t in range(SECONDS)),
        stages=tuple(stage(t, name) for name in ("router", "generation") for t in range(SECONDS)),
        processes=tuple(process(t, name, cpu) for name in ("router", HOSTILE) for t in range(SECONDS)),
        faults=(
            *(Fault(t=t, until=t, kind="kill", target="sql-2") for t in range(2, 38, 2)),
            Fault(t=10, until=20, kind=HOSTILE, target="$\\frac"),
        ),
        violations=broken,
    )


def second(t: int) -> Second:
    if t == 5:
        return Second(t=t)
    return Second(
        t=t, started=50, ended=49, refused=t % 3, in_flight=t, tokens=1_500, first_token_p50_ms=100 + t,
        first_token_p90_ms=200 + t, first_token_p99_ms=4_000, whole_p50_ms=300, whole_p99_ms=9_000,
    )  # fmt: skip


def stage(t: int, name: str) -> StageSample:
    return StageSample(t=t, stage=name, waiting=t, in_work=2, oldest_age_s=t / 10, redelivered=1, dead=0)


def process(t: int, name: str, cpu: float) -> ProcessSample:
    life = t // 20
    return ProcessSample(
        t=t, name=name, pid=1 + life, rss_mib=200 + t / 10, cpu_s=cpu * (t - 20 * life) * 0.5
    )


BROKEN = BrokenPromise(
    query_id="q-1", tenant="acme", line=Promise.ONE_TERMINAL, detail=HOSTILE, log=('{"index":1}', HOSTILE)
)


@pytest.fixture(scope="module")
def html() -> str:
    return run_page(recording(broken=(BROKEN,)))


@pytest.fixture(scope="module")
def page(html: str) -> LexborHTMLParser:
    return LexborHTMLParser(html)


def words(node: LexborNode | None) -> str:
    assert node is not None
    return re.sub(r"\s+", " ", node.text(separator=" ")).strip()


def test_a_report_loads_and_runs_nothing_whatever_a_log_says(html: str, page: LexborHTMLParser):
    assert not page.css("script, img, link, iframe, object, base, [onerror], [onload]")
    assert "<img" not in html
    targets = [node.attributes[name] or "" for name in ("src", "href") for node in page.css(f"[{name}]")]
    assert targets
    assert all(target.startswith("#") for target in targets)
    assert all("url(" not in (node.text() or "") for node in page.css("style"))


def test_a_report_obeys_the_strict_policy_that_it_states(page: LexborHTMLParser):
    policy = page.css_first("meta[http-equiv]").attributes["content"] or ""
    (style,) = page.css("style")
    digest = base64.b64encode(hashlib.sha256((style.text() or "").encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in policy
    assert not page.css("[style]")


def test_ids_are_unique_and_every_reference_leads_somewhere(html: str, page: LexborHTMLParser):
    ids = [node.attributes["id"] for node in page.css("[id]")]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'(?:href="#|url\(#|labelledby=")([^")]+)', html))
    assert wanted <= set(ids)


def test_a_broken_promise_stands_on_top_with_its_whole_log_folded(page: LexborHTMLParser):
    verdict = page.css_first("section.verdict.bad")
    assert words(verdict.css_first("h2")) == "1 broken promise"
    folded = verdict.css_first("details.violation")
    assert "open" not in folded.attributes
    assert (folded.css_first("pre").text() or "") == f'{{"index":1}}\n{HOSTILE}'
    assert "not one terminal 1" in words(verdict)


def test_a_kept_run_says_so():
    kept = LexborHTMLParser(run_page(Recording(command="x", started_at="now", seconds=1)))
    assert words(kept.css_first("section.verdict.good h2")) == "No broken promise"


def test_every_plot_is_there_with_title_units_text_and_figures(page: LexborHTMLParser):
    figures = {node.attributes["id"]: node for node in page.css("figure")}
    assert set(figures) == PLOTS
    for figure in figures.values():
        assert words(figure.css_first("figcaption h3"))
        assert "highest" in words(figure.css_first("svg > title"))
        assert len(figure.css("tbody tr")) >= 1
    assert "memory (MiB)" in words(figures["memory"].css_first("svg"))
    assert "time since the start" in words(figures["first-token"].css_first("svg"))


def test_colours_follow_the_readers_choice_of_light_or_dark(page: LexborHTMLParser):
    style = page.css_first("style").text() or ""
    assert "prefers-color-scheme: dark" in style
    of_plots = "".join(re.findall(r"^\.p\d+\{.*\}$", style, re.MULTILINE))
    assert "var(--s1)" in of_plots
    assert not re.search(r"#[0-9a-f]{6}", of_plots)


def test_a_report_of_five_minutes_stays_small():
    long = recording().model_copy(
        update={
            "seconds": 300.0,
            "timeline": tuple(second(t) for t in range(300)),
            "processes": tuple(process(t, f"worker-{n}", 1) for n in range(14) for t in range(300)),
        }
    )
    assert len(run_page(long).encode()) < 1_500_000


def test_a_line_breaks_where_a_process_was_restarted_and_no_cpu_is_negative():
    charts = {chart.key: chart for chart in charts_of(recording())}
    memory = charts["memory"].lines[0]
    assert sum(y != y for y in memory.y) == 2
    assert charts["cpu"].lines[0].values == pytest.approx([0.5] * 38)


def test_charts_without_a_value_are_left_out():
    assert charts_of(Recording(command="x", started_at="now", seconds=1)) == []


def test_a_fault_is_shaded_and_marked_above_the_plot():
    chart = Chart("k", "t", Unit.COUNT, [Line("a", [0, 60], [1, 2])], 60.0)
    faulty = Chart(
        "k", "t", Unit.COUNT, chart.lines, 60.0, [Mark(10, 30, 0, "outage", ""), Mark(40, 40, 1, "kill", "")]
    )

    plain, marked = (colours(inline(drawing.svg_of(each), "k", "", sheet)) for each in (chart, faulty))

    assert marked - plain == {"fill:f1", "stroke:f1", "stroke:f2"}


sheet = StyleSheet()


def colours(root: Element) -> set[str]:
    rules = dict(re.findall(r"\.(p\d+)\{(.*)\}", sheet.css()))
    used = [rules[node.get("class", "")] for node in root.iter() if node.get("class", "") in rules]
    return {
        f"{what}:{name}" for rule in used for what, name in re.findall(r"(fill|stroke): var\(--(f\d)\)", rule)
    }


def test_a_record_is_rendered_again_from_its_file(tmp_path: Path):
    whole = recording(broken=(BROKEN,))
    whole.write(tmp_path / "run.json")
    assert read_recording(tmp_path / "run.json") == whole
    short = whole.model_copy(update={"timeline": (), "stages": (), "processes": (), "latencies": {}})
    short.write(tmp_path / "short.json")
    write_report(read_recording(tmp_path / "short.json"), tmp_path / "short.html")
    assert (tmp_path / "short.html").read_text() == run_page(short)


def test_plots_become_pictures(tmp_path: Path):
    short = Recording(
        command="x", started_at="now", seconds=40, processes=tuple(process(t, "sql", 1) for t in range(40)),
        faults=(Fault(t=1, until=9, kind="outage", target="postgres"),),
    )  # fmt: skip
    paths = write_pictures(short, tmp_path / "pictures")
    assert [path.name for path in paths] == ["memory.png", "cpu.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_a_distribution_tells_percentiles_and_how_sure_they_are():
    found = Distribution.of(latency(seed=3, slowest=1.0, count=5_000))
    assert found.at(0.5) == pytest.approx(100, rel=0.05)
    low, high = found.interval(0.99, deviations=3)
    wider = found.interval(0.99, deviations=3, counted_as_one=10)
    assert wider[0] < low < found.at(0.99) < high < wider[1]


def test_a_histogram_that_is_none_is_refused_with_a_remedy():
    with pytest.raises(Misconfigured, match="histogram"):
        Distribution.of(Latency(count=1, histogram="aGVsbG8="))


@pytest.mark.parametrize("seeds", [(1, 1), (1, 20), (30, 50)])
def test_runs_that_differ_by_chance_alone_are_not_called_different(seeds: tuple[int, int]):
    before, after = (recording(seed=seed) for seed in seeds)
    found = compare(before, after)
    assert found.changed == []
    assert found.headline == "No change beyond noise"


def test_a_doubled_p99_is_found_and_the_median_left_alone():
    verdicts = {
        change.name: change.verdict
        for change in compare(recording(seed=1, slowest=2), recording(seed=20, slowest=5)).changes
    }
    assert verdicts["first token p99"] is Verdict.WORSE
    assert verdicts["first token median"] is Verdict.SAME
    assert verdicts["first token p99.9"] is Verdict.TOO_FEW


def test_more_cpu_an_answer_and_broken_promises_are_worse_and_the_way_back_is_better():
    cheap, dear = recording(cpu=1), recording(cpu=2, broken=(BROKEN,))
    assert {change.name for change in compare(cheap, dear).worse} >= {"router CPU/answer", "broken promises"}
    assert compare(dear, cheap).worse == []
    assert {change.verdict for change in compare(dear, cheap).changed} == {Verdict.BETTER}


def test_another_scenario_is_said_to_be_no_like_for_like():
    other = recording().model_copy(update={"scenario": {"seconds": 5}})
    found = compare(recording(), other)
    assert list(found.scenario) == ["note", "seconds"]
    assert "not like for like" in comparison_page(recording(), other, found)


def test_a_comparison_is_printed_and_written_as_a_page(tmp_path: Path):
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    recording(slowest=2).write(before)
    recording(slowest=6).write(after)
    written = StringIO()
    console = Console(width=100, file=written)

    compare_records(before, after, page=tmp_path / "c.html", console=console)

    shown = written.getvalue()
    assert re.search(r"first token p99 .* worse", shown)
    assert "order statistics" in shown
    page = LexborHTMLParser((tmp_path / "c.html").read_text())
    assert {"percentiles-first_token", "first-token", "in-flight"} <= {
        n.attributes["id"] for n in page.css("figure")
    }
    assert not page.css("script, img, [style]")


NOW = Snapshot(
    73.0, 300.0, 50.0, 49.7, asked=3_650, in_flight=212, done=3_300, cancelled=140, resumed=34, violations=2,
    first_token=Times(3_000, 42.0, 1_520.0), first_token_recent=Times(500, 39.2, 310.0),
    stages=(Depth("generate [x]", 31, 8, 1.4),), faults=("postgres [away]",),
)  # fmt: skip


def test_the_board_shows_where_a_run_stands():
    console = Console(width=80)
    with console.capture() as captured:
        console.print(board(NOW))
    shown = captured.get()
    assert "1:13 of 5:00" in shown
    assert re.search(r"last 10 s +39\.2 ms +310 ms +500", shown)
    assert re.search(r"whole run +42\.0 ms +1\.52 s +3,000", shown)
    assert re.search(r"generate \[x\] +31 +8 +1\.40 s", shown)
    assert "faults now: postgres [away]" in shown


def test_a_line_of_a_log_says_the_same():
    line = plain_line(NOW)
    for part in (
        "asked 3650",
        "in flight 212",
        "violations 2",
        "p99 310 ms",
        "generate [x] 31",
        "postgres [away]",
    ):
        assert part in line
