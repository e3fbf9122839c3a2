"""A chart drawn with matplotlib."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullLocator,
)
from matplotlib.typing import RcKeyType

from loadgen.pages.chart import Chart, Line, Mark, Unit
from loadgen.pages.palette import FAULTS, LIGHT, SERIES

WIDTH_PT, HEIGHT_PT, LEGEND_ROW_PT = 600, 250, 15
POINTS_PER_INCH = 72
PNG_PER_INCH = 144
DASHES: tuple[str | tuple[float, tuple[float, ...]], ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)))
TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
FEW_MARKS = 12
"""Up to so many faults of one kind each get a line across the plot; more would hide what it shows."""
SHORTEST_SHOWN_MS = 0.1
WIDE_SHARE = 0.004
"""A fault that lasts at least this share of the run is shaded; a shorter one is a line."""
LANE = (1.01, 1.04)
"""Where the marks of faults lie, above the axes, in shares of their height."""
LANE_ROOM_PT = 8
NINES = ((0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99"), (0.99999, "99.999"))
STYLE: dict[RcKeyType, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.parse_math": False,
    "text.color": LIGHT["ink"],
    "axes.edgecolor": LIGHT["frame"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": LIGHT["muted"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": False,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": LIGHT["frame"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.color": LIGHT["frame"],
    "ytick.labelcolor": LIGHT["muted"],
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "askfleet",
}


def svg_of(chart: Chart) -> str:
    """As matplotlib writes it, without a title: the page around it has one."""
    written = StringIO()
    with _style():
        figure = _draw(chart)
        silent = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=silent)
    return written.getvalue()


def write_png(chart: Chart, path: Path) -> None:
    written = BytesIO()
    with _style():
        figure = _draw(chart, name_faults=True)
        figure.suptitle(chart.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(written, format="png", dpi=PNG_PER_INCH, facecolor=LIGHT["paper"])
    path.write_bytes(written.getvalue())


@contextmanager
def _style() -> Iterator[None]:
    with rc_context(STYLE), warnings.catch_warnings():
        # A name in a script that DejaVu lacks is measured a little wrong, no more.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def _draw(chart: Chart, *, name_faults: bool = False) -> Figure:
    """A page names the faults once for all its plots; a picture that stands alone has to do so itself."""
    faults = _fault_handles(chart) if name_faults else []
    columns = 4 if all(len(line.name) <= 16 for line in chart.lines) else 2
    rows = math.ceil((len(chart.lines) + len(faults)) / columns)
    size = (WIDTH_PT / POINTS_PER_INCH, (HEIGHT_PT + rows * LEGEND_ROW_PT) / POINTS_PER_INCH)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=LANE_ROOM_PT / POINTS_PER_INCH))
    axes = figure.add_subplot()
    handles: list[Artist] = []
    for line in chart.lines:
        handles += axes.plot(
            line.x, line.y, label=line.name, color=_colour(line), linestyle=DASHES[line.style % len(DASHES)]
        )
    _vertical_axis(axes, chart)
    if chart.over_time:
        _time_axis(axes, chart.seconds)
        _draw_marks(axes, chart)
    else:
        _nines_axis(axes, chart)
    figure.legend(
        handles=[*handles, *faults],
        loc="outside lower left", ncols=columns, frameon=False, fontsize=10, labelcolor=LIGHT["ink"],
        handlelength=1.6, columnspacing=1.4, borderpad=0, labelspacing=0.35,
    )  # fmt: skip
    return figure


def _fault_handles(chart: Chart) -> list[Artist]:
    kinds = {mark.kind: mark.colour for mark in chart.marks}
    return [
        Patch(color=LIGHT[FAULTS[kinds[kind] % len(FAULTS)]], label=f"fault: {kind}")
        for kind in sorted(kinds)
    ]


def _colour(line: Line) -> str:
    return LIGHT[SERIES[line.colour % len(SERIES)]]


def _vertical_axis(axes: Axes, chart: Chart) -> None:
    axes.set_ylabel(chart.unit.value)
    if chart.logarithmic:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(bottom=max(low, SHORTEST_SHOWN_MS))
        wide = high > 500 * max(low, SHORTEST_SHOWN_MS)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, max(1.0, axes.get_ylim()[1]) if chart.unit is Unit.COUNT else axes.get_ylim()[1])
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=chart.unit is Unit.COUNT))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick_writer(chart.unit)))


def _tick_writer(unit: Unit) -> Callable[[float, object], str]:
    if unit is Unit.MILLISECONDS:
        return lambda value, _: f"{value:g} ms" if value < 1000 else f"{value / 1000:g} s"
    if unit is Unit.SECONDS:
        return lambda value, _: f"{value:g} s"
    return lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _time_axis(axes: Axes, seconds: float) -> None:
    step = next((step for step in TIME_STEPS_S if seconds / step <= 8), TIME_STEPS_S[-1])
    axes.set_xlim(0, max(seconds, 1.0))
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{int(value) // 60}:{int(value) % 60:02d}")
    )
    axes.set_xlabel("time since the start (min:s)")


def _nines_axis(axes: Axes, chart: Chart) -> None:
    furthest = max((x for line in chart.lines for x in line.x), default=1.0)
    shown = [(math.log10(1 / (1 - share)), name) for share, name in NINES]
    shown = [(0.0, "0"), *((x, name) for x, name in shown if x <= furthest * 1.02)]
    axes.set_xlim(0, max(furthest, 1.0))
    axes.xaxis.set_major_locator(FixedLocator([x for x, _ in shown]))
    axes.set_xticklabels([name for _, name in shown])
    axes.set_xlabel("percentile (% of answers that took at most so long)")


def _draw_marks(axes: Axes, chart: Chart) -> None:
    lane = axes.get_xaxis_transform()
    for kind in sorted({mark.kind for mark in chart.marks}):
        marks = [mark for mark in chart.marks if mark.kind == kind]
        colour = LIGHT[FAULTS[marks[0].colour % len(FAULTS)]]
        for mark in (mark for mark in marks if _wide(mark, chart)):
            axes.axvspan(mark.t, mark.until, color=colour, alpha=0.14, linewidth=0)
        narrow = [mark.t for mark in marks if not _wide(mark, chart)]
        if len(narrow) <= FEW_MARKS:
            axes.vlines(
                narrow, 0, 1, transform=lane, color=colour, linewidth=0.9, alpha=0.6, linestyle=(0, (2, 2))
            )
        axes.vlines(narrow, *LANE, transform=lane, color=colour, linewidth=1.2, clip_on=False)
        for mark in (mark for mark in marks if _wide(mark, chart)):
            middle = sum(LANE) / 2
            axes.hlines(middle, mark.t, mark.until, transform=lane, color=colour, linewidth=4, clip_on=False)


def _wide(mark: Mark, chart: Chart) -> bool:
    return mark.until - mark.t >= WIDE_SHARE * chart.seconds
