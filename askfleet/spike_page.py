"""Writes what docs/scaling.md tells of recorded spikes: `python -m askfleet.spike_page`. A test compares."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from askfleet.scaling import ScaledObject, read_scaled_object
from askfleet.scaling.record import Look, Timeline, read_timeline
from askfleet.simulation.recorded import Comparison, Pair, compare, process_starts_s
from contracts.errors import AskfleetError

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/scaling.md"
SHIPPED = ROOT / "deploy/keda/base/scaledobjects/generation-default.yaml"
RECORDS = {
    "docs/images/scaling-spike.jsonl": "",
    "tests/simulation/recorded-spike.jsonl": ", on a busier machine",
}
"""Each with what is said of it; the decisions are those of the first."""

Cells = tuple[str, ...]
DECISION: Cells = ("t", "lag", "ready", "asked for", "why")
RUN: Cells = (
    "record",
    "asked",
    "answered",
    "lost",
    "broken promises",
    "most replicas",
    "start of a process",
    "wait, median",
    "95th percentile",
)
PREDICTION: Cells = (
    "record",
    "wait, 95th: measured, predicted",
    "replica path",
    "median: measured, predicted",
)


class Record(NamedTuple):
    """A recorded run, and how the simulator predicts it by what ships."""

    name: str
    timeline: Timeline
    found: Comparison
    starts_s: list[float]


def page(text: str) -> str:
    """The page with its generated tables written anew. Raises Misconfigured where a record can't be read."""
    shipped = read_scaled_object(SHIPPED)
    records = [_record(ROOT / path, remark, shipped) for path, remark in RECORDS.items()]
    tables = {
        "decisions": _table(DECISION, [_decision(look) for look in _decisions(records[0].timeline)]),
        "runs": _table(RUN, [_run(record) for record in records]),
        "predictions": _table(PREDICTION, [_prediction(record) for record in records]),
    }
    for name, table in tables.items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->\n")
        text = f"{before}<!-- {name} -->\n{table}{end}{after}"
    return text


def _record(path: Path, remark: str, shipped: ScaledObject) -> Record:
    timeline = read_timeline(path)
    return Record(
        f"`{path.relative_to(ROOT)}`{remark}",
        timeline,
        compare(timeline, shipped),
        process_starts_s(timeline, shipped.name),
    )


def _table(heads: Cells, rows: list[Cells]) -> str:
    head, *body = (f"| {' | '.join(cells)} |\n" for cells in (heads, *rows))
    return "".join([head, "|---" * len(heads), "|\n", *body])


def _decisions(timeline: Timeline) -> list[Look]:
    """Each look that changed what is asked for."""
    return [look for before, look in pairwise(timeline.looks) if look.desired != before.desired]


def _decision(look: Look) -> Cells:
    lag = "unreadable" if look.metric is None else f"{look.metric:g}"
    return f"{look.t:.0f}", lag, str(look.actual), str(look.desired), f"`{look.reason}`"


def _run(record: Record) -> Cells:
    judged, found = record.timeline.verdict, record.found
    asked, *outcome = (
        (f"{found.questions}", *["not kept"] * 3)
        if judged is None
        else (f"{judged.asked}", f"{judged.done}", f"{judged.lost}", f"{judged.broken_promises}")
    )
    return (
        record.name,
        asked,
        *outcome,
        f"{found.most_ready.measured:g}",
        f"{min(record.starts_s):.0f} to {max(record.starts_s):.0f} s",
        f"{found.wait_p50_s.measured:.0f} s",
        f"{found.wait_p95_s.measured:.0f} s",
    )


def _prediction(record: Record) -> Cells:
    found = record.found
    return record.name, _pair(found.wait_p95_s), f"{found.path_error:.1%} off", _pair(found.wait_p50_s)


def _pair(pair: Pair) -> str:
    return f"{pair.measured:.0f} s, {pair.predicted:.0f} s ({pair.error:.1%})"


def main() -> int:
    try:
        PAGE.write_text(page(PAGE.read_text()))
    except AskfleetError as error:
        print(error, file=sys.stderr)
        return 2
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
