"""A load run while it runs: a board that redraws itself on a terminal, a line every few seconds elsewhere."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

REDRAW_EVERY_S = 1.0
"""Drawing takes milliseconds of the event loop that also takes the times: seldom is better than smooth."""
LINE_EVERY_S = 5.0


@dataclass(frozen=True)
class Times:
    """Two percentiles in milliseconds; a count of 0 means that nothing came yet."""

    count: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


@dataclass(frozen=True)
class Depth:
    """One stage's queue as last sampled. `oldest_age_s`: how long the oldest message has waited."""

    stage: str
    waiting: int = 0
    in_work: int = 0
    oldest_age_s: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """Where a run stands. `first_token` covers the whole run, `first_token_recent` its last ten seconds;
    `ended` is the sum of done, failed and cancelled; `faults` are the ones active now, in words."""

    elapsed_s: float
    seconds: float
    target_rate: float
    real_rate: float
    asked: int = 0
    in_flight: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    resumed: int = 0
    violations: int = 0
    first_token: Times = Times()
    first_token_recent: Times = Times()
    stages: Sequence[Depth] = ()
    faults: Sequence[str] = ()

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.cancelled

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.seconds - self.elapsed_s)


async def follow(console: Console, read: Callable[[], Snapshot]) -> None:
    """Shows the run until it is cancelled; `read` is called on the event loop."""
    if console.is_terminal:
        await _redraw(console, read)
    else:
        await _print_lines(console, read)


async def _redraw(console: Console, read: Callable[[], Snapshot]) -> None:
    with Live(board(read()), console=console, auto_refresh=False) as live:
        try:
            while True:
                await asyncio.sleep(REDRAW_EVERY_S)
                live.update(board(read()), refresh=True)
        finally:
            live.update(board(read()), refresh=True)


async def _print_lines(console: Console, read: Callable[[], Snapshot]) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY_S)
        console.print(plain_line(read()), soft_wrap=True, markup=False, highlight=False)


def plain_line(now: Snapshot) -> str:
    parts = [
        f"{clock(now.elapsed_s)} of {clock(now.seconds)}",
        f"{now.real_rate:.1f}/s (target {now.target_rate:.1f})",
        f"asked {now.asked}",
        f"in flight {now.in_flight}",
        f"done {now.done}",
        f"failed {now.failed}",
        f"cancelled {now.cancelled}",
        f"refused {now.refused}",
        f"resumed {now.resumed}",
        f"first token {_times(now.first_token_recent)}",
        f"violations {now.violations}",
    ]
    queues = [f"{depth.stage} {depth.waiting}" for depth in now.stages if depth.waiting]
    if queues:
        parts.append("waiting " + ", ".join(queues))
    if now.faults:
        parts.append("faults: " + ", ".join(now.faults))
    return " | ".join(parts)


def board(now: Snapshot) -> Group:
    rate = Text(f"{now.real_rate:.1f} questions/s of {now.target_rate:.1f} wanted")
    parts: list[RenderableType] = [_clock_row(now), rate, Text(""), _counts(now), Text(""), _latency(now)]
    if now.stages:
        parts += [Text(""), _queues(now.stages)]
    parts += [Text(""), _faults(now.faults)]
    return Group(*parts)


def _clock_row(now: Snapshot) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        Text(f"{clock(now.elapsed_s)} of {clock(now.seconds)}", style="bold"),
        ProgressBar(total=max(now.seconds, 1.0), completed=min(now.elapsed_s, now.seconds), width=30),
        f"{clock(now.remaining_s)} left",
    )
    return grid


def _counts(now: Snapshot) -> Table:
    names = ("asked", "in flight", "done", "failed", "cancelled", "refused", "resumed", "violations")
    values = (
        now.asked, now.in_flight, now.done, now.failed, now.cancelled, now.refused, now.resumed,
        now.violations,
    )  # fmt: skip
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    verdict = "bold red" if now.violations else "green"
    table.add_row(*(f"{value:,}" for value in values[:-1]), Text(f"{now.violations:,}", style=verdict))
    return table


def _latency(now: Snapshot) -> Table:
    table = Table("first token", box=None, header_style="dim", pad_edge=False)
    for name in ("p50", "p99", "answers"):
        table.add_column(name, justify="right", min_width=8)
    for label, times in (("last 10 s", now.first_token_recent), ("whole run", now.first_token)):
        shown = (duration(times.p50_ms), duration(times.p99_ms)) if times.count else ("-", "-")
        table.add_row(label, *shown, f"{times.count:,}")
    return table


def _queues(stages: Sequence[Depth]) -> Table:
    table = Table("stage", box=None, header_style="dim", pad_edge=False)
    for name in ("waiting", "in work", "oldest"):
        table.add_column(name, justify="right", min_width=8)
    for depth in stages:
        age = duration(depth.oldest_age_s * 1000) if depth.waiting else "-"
        table.add_row(escape(depth.stage), f"{depth.waiting:,}", f"{depth.in_work:,}", age)
    return table


def _faults(faults: Sequence[str]) -> Text:
    if not faults:
        return Text("no fault active", style="dim")
    return Text("faults now: " + ", ".join(faults), style="yellow")


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def duration(milliseconds: float) -> str:
    """Three figures with the unit that suits: 0.43 ms, 12.4 ms, 640 ms, 1.52 s, 80 s."""
    if milliseconds >= 1000:
        seconds = milliseconds / 1000
        return (
            f"{seconds:.2f} s"
            if seconds < 10
            else f"{seconds:,.1f} s"
            if seconds < 100
            else f"{seconds:,.0f} s"
        )
    if milliseconds >= 100:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds:.1f} ms" if milliseconds >= 1 else f"{milliseconds:.2f} ms"


def _times(times: Times) -> str:
    return f"p50 {duration(times.p50_ms)} p99 {duration(times.p99_ms)}" if times.count else "-"
