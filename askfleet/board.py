"""The processes of a stack as a table: live on a terminal, lines of a log elsewhere."""

import time
from collections.abc import Callable, Iterable

import psutil
from rich.console import Console
from rich.live import Live
from rich.table import Table

from askfleet.local.supervisor import State, Status

REFRESH_PER_S = 2
MEASURE_EVERY_S = 5.0
"""The kernel takes some 10 ms to add up the memory of one process."""
COLOURS = {State.READY: "green", State.WAITING: "red", State.STARTING: "yellow", State.STOPPING: "yellow"}


def process_table(statuses: Iterable[Status], memory: Callable[[int | None], int] | None = None) -> Table:
    table = Table(
        "process", "state", "address", "pid", "restarts", "memory", "", box=None, header_style="bold"
    )
    total = 0
    for status in statuses:
        used = (memory or memory_bytes)(status.pid)
        total += used
        colour = COLOURS.get(status.state, "dim")
        table.add_row(
            status.name,
            f"[{colour}]{status.state.value}[/]",
            status.address,
            str(status.pid or ""),
            str(status.restarts or ""),
            megabytes(used) if used else "",
            status.note,
        )
    table.add_row("", "", "", "", "", f"[bold]{megabytes(total)}[/]", "")
    return table


class MemoryGauge:
    """Remembers what each process used for a while."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, int]] = {}

    def __call__(self, pid: int | None) -> int:
        if pid is None:
            return 0
        now = time.monotonic()
        measured_at, used = self._known.get(pid, (-MEASURE_EVERY_S, 0))
        if now - measured_at >= MEASURE_EVERY_S:
            measured_at, used = now, memory_bytes(pid)
            self._known[pid] = (measured_at, used)
        return used


def live_table(console: Console, statuses: Callable[[], tuple[Status, ...]]) -> Live:
    gauge = MemoryGauge()
    return Live(
        get_renderable=lambda: process_table(statuses(), gauge),
        console=console,
        refresh_per_second=REFRESH_PER_S,
    )


def memory_bytes(pid: int | None) -> int:
    """Proportional share of a process and what it started; 0 when it is gone."""
    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        return sum(_share(member) for member in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def _share(process: psutil.Process) -> int:
    try:
        # PostgreSQL's processes share their buffers: resident size would count them once for each.
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return int(process.memory_info().rss)


def megabytes(count: int) -> str:
    return f"{count / 1_000_000:,.0f} MB"
