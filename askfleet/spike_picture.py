"""The timeline of a scaled run as a picture: the queue above, the replicas below."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from askfleet.scaling.record import Timeline

INK, MUTED = "#1f2933", "#7b8794"
QUEUE, DESIRED, ACTUAL = "#c2410c", "#1d4ed8", "#15803d"
SIZE_IN = (9.0, 5.2)
PER_INCH = 130


def draw(timeline: Timeline, path: Path) -> None:
    """As PNG."""
    figure = Figure(figsize=SIZE_IN, layout="constrained")
    queue, replicas = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _queue(queue, timeline)
    _replicas(replicas, timeline)
    run = timeline.run
    title = "A spike, and generation from nothing to several replicas and back"
    replicas.set_xlim(*_busy(timeline))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    simulated = f"simulated: engine, node ({run.node_s:g} s), model ({run.model_s:g} s)"
    replicas.set_xlabel(
        f"seconds of KEDA's clock, {run.speed:g} times as fast as ours   ({simulated})", color=MUTED
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=PER_INCH, facecolor="white")


def _busy(timeline: Timeline) -> tuple[float, float]:
    """From a little before the first decision to a little after the last replica."""
    times = [look.t for look in timeline.looks if look.desired or look.actual or look.draining]
    if not times:
        return 0.0, 1.0
    margin = 0.05 * (times[-1] - times[0])
    return max(0.0, times[0] - margin), times[-1] + margin


def _queue(axes: Axes, timeline: Timeline) -> None:
    read = [look for look in timeline.looks if look.metric is not None]
    times = [look.t for look in read]
    axes.step(
        times, [look.metric or 0.0 for look in read], where="post", color=QUEUE, label="waiting and in work"
    )
    axes.fill_between(times, [look.metric or 0.0 for look in read], step="post", color=QUEUE, alpha=0.12)
    _plain(axes, "questions")


def _replicas(axes: Axes, timeline: Timeline) -> None:
    times = [look.t for look in timeline.looks]
    desired = [look.desired for look in timeline.looks]
    actual = [look.actual for look in timeline.looks]
    axes.step(times, desired, where="post", color=DESIRED, linestyle="--", label="desired")
    axes.step(times, actual, where="post", color=ACTUAL, label="ready")
    axes.fill_between(times, actual, step="post", color=ACTUAL, alpha=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _plain(axes, "replicas")


def _plain(axes: Axes, name: str) -> None:
    axes.set_ylabel(name, color=INK)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED)
    axes.legend(frameon=False, loc="upper right")
