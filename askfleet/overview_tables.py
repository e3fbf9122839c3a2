"""An overview of the fleet as tables."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from askfleet.moments import ago, span_of
from bus.overview import Overview, StageView
from bus.presence import Presence


def overview_tables(overview: Overview) -> list[RenderableType]:
    parts: list[RenderableType] = [stage_table(overview), Text(), worker_table(overview)]
    answers = overview.answers
    parts.append(
        Text(f"answers  {answers.answers:,} kept, {answers.events:,} events, {answers.bytes / 1e6:,.1f} MB")
    )
    parts += [Text(f"problem  {problem}", style="red") for problem in overview.problems]
    return parts


def stage_table(overview: Overview) -> Table:
    """A line for each stage; below it its consumers, where it has several."""
    table = Table(
        "stage", "consumer", "waiting", "oldest", "in work", "redelivered", "dead", "workers",
        box=None, header_style="bold",
    )  # fmt: skip
    for view in overview.stages:
        for cells in _rows(view):
            table.add_row(*cells)
    return table


def _rows(view: StageView) -> Iterator[tuple[str, ...]]:
    age = span_of(view.oldest_age_s) if view.waiting else ""
    counts = (f"{view.waiting:,}", age, f"{view.in_work:,}", f"{view.redelivered:,}")
    dead = f"[red]{view.dead:,}[/]" if view.dead else "0"
    workers = str(view.workers) if view.workers else "[red]0[/]"
    yield (view.stage, "", *counts, dead, workers)
    for consumer in view.consumers if len(view.consumers) > 1 else ():
        age = span_of(consumer.oldest_age_s) if consumer.waiting else ""
        counts = (f"{consumer.waiting:,}", age, f"{consumer.in_work:,}", f"{consumer.redelivered:,}")
        yield ("", f"[dim]{consumer.durable}[/]", *(f"[dim]{count}[/]" for count in counts), "", "")


def worker_table(overview: Overview) -> Table:
    table = Table(
        "worker", "host", "pid", "version", "up", "in work", "ready", "", box=None, header_style="bold"
    )
    for found in (*overview.workers, *overview.guests):
        missing = ", ".join(name for name, holds in found.conditions.items() if not holds)
        table.add_row(
            found.name,
            found.host,
            str(found.pid),
            found.version,
            ago(found.started_at),
            f"{found.in_work}/{found.concurrency}" if found.concurrency else "",
            "[green]yes[/]" if found.ready else f"[yellow]not {missing}[/]",
            _told(found),
        )
    return table


def _told(worker: Presence) -> str:
    """What else it says of itself: in a fleet also for whom it works, here or elsewhere."""
    guest = ["a neighbour's, here to help"] if worker.guest else []
    helping = [f"{count:,} for {cluster}" for cluster, count in worker.helping.items()]
    return ", ".join([*guest, *helping, *(f"{count:,} {name}" for name, count in worker.counts.items())])
