"""Figures as tables and as JSON."""

import json
from collections.abc import Collection, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from askfleet.simulation.outcome import Figures
from askfleet.simulation.recorded import LIMIT, Comparison, Pair


def show(
    rows: Sequence[Figures], console: Console, *, first: str, marks: dict[str, str] | None = None
) -> None:
    """Args:
    first: what the rows are.
    marks: a word behind some of them, by name.
    """
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column(first, no_wrap=True)
    heads = ("questions", "GPU-hours", "wait p50", "p95", "p99", "longest", "over deadline")
    for head in (*heads, "an answer", "cold starts", "most"):
        table.add_column(head, justify="right", no_wrap=True)
    spills = any(row.spilled for row in rows)
    if spills:
        table.add_column("spilled", justify="right")
    if marks is not None:
        table.add_column("")
    for row in rows:
        cells = [escape(row.name), f"{row.questions:,}", f"{row.gpu_hours:,.1f}"]
        cells += [
            seconds(value) for value in (row.wait_p50_s, row.wait_p95_s, row.wait_p99_s, row.longest_wait_s)
        ]
        cells += [
            f"{row.over_deadline:.2%}",
            seconds(row.answer_s),
            f"{row.cold_starts:,}",
            f"{row.most_ready:,}",
        ]
        cells += [f"{row.spilled:,}"] if spills else []
        cells += [marks.get(row.name, "")] if marks is not None else []
        table.add_row(*cells)
    console.print(table)


def seconds(value: float) -> str:
    if value >= 120:
        return f"{value / 60:,.1f} min"
    return f"{value:.1f} s" if value else "0 s"


def as_json(
    rows: Sequence[Figures], *, front: Collection[str] = (), chosen: str = "", **facts: object
) -> str:
    listed = [row.as_dict() | {"on_front": row.name in front, "chosen": row.name == chosen} for row in rows]
    return json.dumps({**facts, "rows": listed}, indent=2)


def show_comparison(found: Comparison, console: Console) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for head in ("", "measured", "predicted", "difference"):
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)
    pairs: tuple[tuple[str, Pair, str], ...] = (
        ("wait p50", found.wait_p50_s, " s"),
        ("wait p95", found.wait_p95_s, " s"),
        ("most ready replicas", found.most_ready, ""),
        ("replicas x time", found.replica_s, " s"),
    )
    for name, pair, unit in pairs:
        table.add_row(name, f"{pair.measured:.4g}{unit}", f"{pair.predicted:.4g}{unit}", f"{pair.error:.1%}")
    table.add_row("replica path", "", "", f"{found.path_error:.1%}")
    console.print(table)
    word = "within" if found.keeps() else "beyond"
    console.print(
        f"{found.questions} questions, cold start {found.cold_start_s:.0f} s: "
        f"p95 and path {word} {LIMIT:.0%} (the path: area between both, as a share of the measured one)",
        highlight=False,
    )
