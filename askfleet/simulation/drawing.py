"""Pictures: cost against waits, a day, a fleet, and a record beside its prediction."""

from collections.abc import Collection, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, MultipleLocator, NullLocator

from askfleet.simulation.demand import Rates
from askfleet.simulation.outcome import Change, Figures, Outcome
from askfleet.simulation.recorded import Comparison, Steps
from loadgen.pages.drawing import PNG_PER_INCH, STYLE
from loadgen.pages.palette import LIGHT, SERIES

_WIDTH_IN = 9.0
_MARKS = ("o", "s", "D", "^", "v", "P", "X", "p")


def draw_policies(rates: Rates, outcomes: Sequence[Outcome], rows: Sequence[Figures], path: Path) -> None:
    """Arrivals and GPUs over time above, GPU-hours against the p95 wait below."""
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 8.4), layout="constrained")
        arrivals, gpus, costs = figure.subplots(3, 1, height_ratios=(1.1, 2.2, 2.4))
        _arrivals(arrivals, rates)
        for number, outcome in enumerate(outcomes):
            _line(gpus, outcome.path, outcome.name, number)
        gpus.set(ylabel="GPUs", ylim=(0, None))
        gpus.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        figure.legend(handles=gpus.get_lines(), loc="outside lower left", frameon=False, fontsize=9, ncols=4)
        _hours(gpus, rates.seconds)
        for number, row in enumerate(rows):
            _whisker(costs, row, number)
        _cost_axes(costs, "wait, p95 (mark) to p99 (line)")
        _save(figure, path)


def draw_front(
    rows: Sequence[Figures], *, front: Collection[str], chosen: str, limit_s: float | None, path: Path
) -> None:
    """Everything that was tried, those on the front filled, the choice with a ring and its name."""
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 4.6), layout="constrained")
        axes = figure.subplots()
        for row in rows:
            ahead = row.name in front
            _dot(
                axes,
                row,
                LIGHT["s1"] if ahead else LIGHT["s8"],
                row.name if row.name == chosen else "",
                ahead,
            )
            if row.name == chosen:
                axes.scatter(
                    [row.gpu_hours], [row.wait_p95_s],
                    s=150, facecolors="none", edgecolors=LIGHT["s2"], linewidths=1.8,
                )  # fmt: skip
        if limit_s is not None:
            axes.axhline(limit_s, color=LIGHT["s2"], linestyle="--", linewidth=1)
        _cost_axes(axes, "p95 of the wait")
        figure.suptitle(
            "Filled: on the Pareto front. Ring: recommended. Dashes: the limit.",
            x=0.01,
            ha="left",
            fontsize=9,
        )
        _save(figure, path)


def draw_run(rates: Rates, outcome: Outcome, path: Path) -> None:
    """Arrivals, queue and replicas."""
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 6.4), layout="constrained")
        arrivals, queue, replicas = figure.subplots(3, 1, sharex=True)
        _arrivals(arrivals, rates)
        times = [change.t for change in outcome.path]
        queue.plot(times, [change.waiting for change in outcome.path], color=LIGHT["s2"], label="waiting")
        queue.plot(times, [change.in_work for change in outcome.path], color=LIGHT["s3"], label="in work")
        queue.set(ylabel="questions", ylim=(0, None))
        queue.legend(frameon=False, loc="upper left")
        for name, colour, value in (
            ("desired", "s1", [change.desired for change in outcome.path]),
            ("ready", "s3", [change.ready for change in outcome.path]),
            ("GPU nodes", "s8", [change.gpus for change in outcome.path]),
        ):
            replicas.step(times, value, where="post", color=LIGHT[colour], label=name)
        replicas.set(ylabel="replicas", ylim=(0, None))
        replicas.legend(frameon=False, loc="upper left")
        _hours(replicas, rates.seconds)
        _save(figure, path)


def draw_fleet(outcomes: Sequence[Outcome], seconds: float, path: Path) -> None:
    """GPU nodes of each cluster, on top of each other."""
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 4.4), layout="constrained")
        axes = figure.subplots()
        times = [change.t for change in min((outcome.path for outcome in outcomes), key=len)]
        stacked = [[change.gpus for change in outcome.path[: len(times)]] for outcome in outcomes]
        colours = [_colour(number) for number in range(len(outcomes))]
        axes.stackplot(times, stacked, labels=[each.name for each in outcomes], colors=colours, alpha=0.75)
        axes.set(ylabel="GPUs", ylim=(0, None))
        axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=5)
        _hours(axes, seconds)
        _save(figure, path)


def draw_comparison(found: Comparison, path: Path) -> None:
    """Ready replicas, measured and predicted."""
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 3.2), layout="constrained")
        axes = figure.subplots()
        end_s = max(found.measured_path[-1][0], found.predicted_path[-1][0]) * 1.03
        for steps, name, colour, dashes in (
            (found.measured_path, "measured", "s3", "solid"),
            (found.predicted_path, "predicted", "s1", "dashed"),
        ):
            times, counts = _drawn(steps, end_s)
            axes.step(times, counts, where="post", color=LIGHT[colour], linestyle=dashes, label=name)
        axes.set(ylabel="ready replicas", xlabel="seconds of KEDA's clock", ylim=(0, None))
        axes.legend(frameon=False, loc="upper right")
        _save(figure, path)


def _drawn(steps: Steps, end_s: float) -> tuple[list[float], list[int]]:
    return [*(t for t, _ in steps), end_s], [*(count for _, count in steps), steps[-1][1]]


def _arrivals(axes: Axes, rates: Rates) -> None:
    times = [60.0 * minute for minute in range(len(rates.per_s))]
    axes.fill_between(times, rates.per_s, color=LIGHT["s8"], alpha=0.35, linewidth=0)
    axes.set(ylabel="asked a second", ylim=(0, None))
    _hours(axes, rates.seconds)


def _line(axes: Axes, path: Sequence[Change], name: str, number: int) -> None:
    axes.step(
        [change.t for change in path], [change.gpus for change in path],
        where="post", color=_colour(number), label=name, linewidth=1.2,
        marker=_MARKS[number % len(_MARKS)], markevery=max(1, len(path) // 8), fillstyle="none", markersize=6,
    )  # fmt: skip


def _dot(axes: Axes, row: Figures, colour: str, text: str, filled: bool = True) -> None:
    place = (row.gpu_hours, row.wait_p95_s)
    axes.scatter([place[0]], [place[1]], s=45, color=colour if filled else "none", edgecolors=colour)
    if text:
        axes.annotate(text, place, xytext=(6, 6), textcoords="offset points", fontsize=9, color=LIGHT["ink"])


def _whisker(axes: Axes, row: Figures, number: int) -> None:
    """From the p95 of the wait to its p99."""
    axes.plot([row.gpu_hours] * 2, [row.wait_p95_s, row.wait_p99_s], color=_colour(number), linewidth=1.2)
    axes.plot(
        [row.gpu_hours], [row.wait_p95_s],
        color=_colour(number), marker=_MARKS[number % len(_MARKS)], markersize=9, fillstyle="none",
        markeredgewidth=1.8,
    )  # fmt: skip


def _cost_axes(axes: Axes, name: str) -> None:
    """Logarithmic from a second on, even below it, so that 0 has its place."""
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set(xlabel="GPU-hours", ylabel=name)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.05)
    axes.set_ylim(-0.15, max(10.0, axes.get_ylim()[1]) * 1.3)
    axes.yaxis.set_major_locator(FixedLocator([0, 1, 10, 60, 600, 3_600, 36_000]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _duration(value)))


def _duration(value: float) -> str:
    if value < 60:
        return f"{value:g} s"
    return f"{value / 60:g} min" if value < 3_600 else f"{value / 3_600:g} h"


def _hours(axes: Axes, seconds: float) -> None:
    axes.set_xlim(0, seconds)
    hours = seconds / 3600.0
    step = next((step for step in (0.25, 1, 2, 3, 6, 12, 24) if hours / step <= 12), 48)
    axes.xaxis.set_major_locator(MultipleLocator(step * 3600.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 3600:g} h"))


def _colour(number: int) -> str:
    return LIGHT[SERIES[number % len(SERIES)]]


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=PNG_PER_INCH, facecolor=LIGHT["paper"])
