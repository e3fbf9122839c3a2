"""Quality and throughput against the first token, one dot a point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from askfleet.tuning.report import Sheet
from askfleet.tuning.results import Figures
from loadgen.pages.drawing import PNG_PER_INCH, STYLE
from loadgen.pages.palette import LIGHT, SERIES
from workers.proportions import wilson

_SIZE_INCH = (9.0, 4.4)
_LOGARITHMIC_FROM = 8.0
_MIB_A_SQUARE_POINT = 12.0
# Points that are alike lie side by side: their labels shall not.
_LABEL_HEIGHTS_PT = (9, -15, 20, -26)


@dataclass(frozen=True)
class _Dot:
    label: str
    figures: Figures
    best: bool
    chosen: bool

    @property
    def first_s(self) -> float:
        return (self.figures.first_ms or 0.0) / 1e3


def write_plot(sheet: Sheet, path: Path) -> bool:
    """False, and nothing is written, where no point has a first token."""
    dots = _dots(sheet)
    if not dots:
        return False
    with rc_context(STYLE):
        figure = Figure(figsize=_SIZE_INCH, layout="constrained")
        quality, rate = figure.subplots(1, 2)
        _panel(quality, dots, lambda figures: figures.quality, _intervals)
        quality.set(ylabel="share of questions answered right", ylim=(0, 1))
        _panel(rate, dots, lambda figures: figures.answers_per_s)
        rate.set(ylabel="answers a second", ylim=(0, 1.15 * max(dot.figures.answers_per_s for dot in dots)))
        figure.suptitle(_caption(sheet), x=0.01, ha="left", fontsize=9)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=PNG_PER_INCH, facecolor=LIGHT["paper"])
    return True


def _dots(sheet: Sheet) -> list[_Dot]:
    return sorted(
        (
            _Dot(
                ", ".join(sheet.points[place].value(name) for name in sheet.varied),
                row.figures,
                best=place in sheet.front,
                chosen=place == sheet.chosen,
            )
            for place, row in enumerate(sheet.rows)
            if row is not None and row.figures is not None and row.figures.first_ms
        ),
        key=lambda dot: dot.first_s,
    )


def _caption(sheet: Sheet) -> str:
    named = f"Labels: {', '.join(sheet.varied)}. " if sheet.varied else ""
    return f"{named}Filled: on the Pareto front. Ring: recommended. Area: memory. Bars: 95 %."


def _panel(
    axes: Axes,
    dots: Sequence[_Dot],
    height: Callable[[Figures], float],
    beneath: Callable[[Axes, Sequence[_Dot]], None] | None = None,
) -> None:
    blue, ring = LIGHT[SERIES[0]], LIGHT[SERIES[1]]
    for dot, label_pt in zip(dots, cycle(_LABEL_HEIGHTS_PT), strict=False):
        x, y = dot.first_s, height(dot.figures)
        size = max(12.0, dot.figures.memory_mib / _MIB_A_SQUARE_POINT)
        face = blue if dot.best else LIGHT["paper"]
        axes.scatter([x], [y], s=size, color=face, edgecolors=blue, zorder=3)
        if dot.chosen:
            axes.scatter(
                [x], [y], s=2.5 * size + 60, facecolors="none", edgecolors=ring, linewidths=2, zorder=4
            )
        offset = (0, label_pt)
        axes.annotate(
            dot.label, (x, y), xytext=offset, textcoords="offset points", ha="center", fontsize=8, zorder=5
        )
    if beneath is not None:
        beneath(axes, dots)
    _time_axis(axes, [dot.first_s for dot in dots])


def _time_axis(axes: Axes, times: Sequence[float]) -> None:
    axes.set_xlabel("first token, median, s")
    if max(times) <= _LOGARITHMIC_FROM * min(times):
        axes.set_xlim(0, 1.15 * max(times))
        return
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 1.6, max(times) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _intervals(axes: Axes, dots: Sequence[_Dot]) -> None:
    for dot in dots:
        low, high = wilson(dot.figures.right, dot.figures.questions)
        axes.plot([dot.first_s] * 2, [low, high], color=LIGHT["frame"], linewidth=1, zorder=2)
