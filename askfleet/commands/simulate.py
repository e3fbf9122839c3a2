"""`askfleet simulate ...`: what a policy of scaling costs and delivers, before anybody pays for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from askfleet.commands import simulate_options as options
from askfleet.screen import screen
from contracts.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from askfleet.simulation.assumptions import Assumptions
    from askfleet.simulation.comparison import Bench
    from askfleet.simulation.demand import Rates
    from askfleet.simulation.loads import Shape as ShapeName
    from askfleet.simulation.outcome import Figures, Outcome
    from askfleet.simulation.policy import Policy

simulate = typer.Typer(
    help="What a policy of scaling costs and delivers: arrivals, queue, KEDA and HPA, nodes, cold starts, "
    "batches. All of it is simulated; the rules of scaling are those of `askfleet up`.\n\n"
    "    askfleet simulate compare --plot costs.png\n\n"
    "    askfleet simulate recommend --p95-wait 10 --export generation-default.yaml",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

NOTHING_KEEPS = 1
BELOW_SLOTS = (
    "The target is below the slots of a replica: while a backlog keeps all slots taken, replicas are added "
    "up to the maximum (docs/scaling.md)."
)


@simulate.command()
def assumptions(set_: options.Set = None) -> None:
    """List what a simulation takes for granted: the engine, lengths, nodes, CPU.

    askfleet simulate assumptions --set slots=128
    """
    from rich.table import Table

    from askfleet.simulation.assumptions import Assumptions, assumed

    found = assumed(set_ or [])
    table = Table(box=None, header_style="dim", pad_edge=False)
    for head in ("name", "value", "meaning"):
        table.add_column(head, no_wrap=head != "meaning")
    for name, field in Assumptions.model_fields.items():
        table.add_row(name.replace("_", "-"), f"{getattr(found, name):g}", field.description)
    screen().print(table)
    typer.echo(f"A full replica writes {found.replica_per_s:.2f} answers a second.")


@simulate.command()
def run(
    arrivals: options.Arrivals = None,
    shape: options.Shape = "day",
    peak: options.Peak = options.PEAK,
    hours: options.Hours = 24.0,
    seed: options.Seed = 1,
    set_: options.Set = None,
    scaled_object: options.Object = options.SHIPPED,
    least: Annotated[
        int | None,
        typer.Option(min=0, max=options.MOST_REPLICAS, help="minReplicaCount instead of the file's."),
    ] = None,
    target: options.Target = None,
    window: Annotated[
        int | None,
        typer.Option(min=0, max=options.MOST_WINDOW_S, help="Window of scale-in instead of the file's, s."),
    ] = None,
    warm_nodes: Annotated[int, typer.Option(min=0, help="GPU nodes kept without a replica.")] = 0,
    each: options.Each = None,
    json: options.Json = False,
    plot: options.Plot = None,
) -> None:
    """One ScaledObject under these arrivals.

    askfleet simulate run --shape spike --peak 10 --least 1 --plot day.png
    """
    from askfleet.scaling import read_scaled_object
    from askfleet.simulation.comparison import with_settings
    from askfleet.simulation.drawing import draw_run
    from askfleet.simulation.policy import by_queue, down_window_s

    shipped = read_scaled_object(scaled_object)
    changed = with_settings(
        shipped,
        target=shipped.target_value if target is None else target,
        least=shipped.min_replicas if least is None else least,
        window_s=down_window_s(shipped) if window is None else window,
    )
    bench, assumed = _bench(arrivals, shape, (peak, hours), seed, set_)
    outcomes = _outcomes(bench, [by_queue(changed, warm_nodes=warm_nodes)], each)
    _report(outcomes, assumed, json=json)
    if plot is not None:
        draw_run(bench.load.rates, outcomes[0], plot)
        _say_plot(plot, json=json)


@simulate.command()
def compare(
    arrivals: options.Arrivals = None,
    shape: options.Shape = "day",
    peak: options.Peak = options.PEAK,
    hours: options.Hours = 24.0,
    seed: options.Seed = 1,
    set_: options.Set = None,
    scaled_object: options.Object = options.SHIPPED,
    cpu: Annotated[list[int] | None, typer.Option(min=1, help="Target of a CPU-based HPA, percent.")] = None,
    static: Annotated[
        list[int] | None,
        typer.Option(min=1, max=options.MOST_REPLICAS, help="A fixed number of replicas."),
    ] = None,
    target: options.Targets = None,
    window: options.Windows = None,
    each: options.Each = None,
    json: options.Json = False,
    plot: options.Plot = None,
) -> None:
    """Queue-depth scaling beside CPU-based scaling and fixed numbers, under the same arrivals.

    Each other target is tried with one warm replica and with each window.

        askfleet simulate compare --target 65 --window 300 --window 900 --cpu 80 --cpu 25 --static 4
    """
    from askfleet.scaling import read_scaled_object
    from askfleet.simulation.drawing import draw_policies
    from askfleet.simulation.policy import by_cpu, by_queues, enough_for
    from askfleet.simulation.policy import static as fixed

    bench, assumed = _bench(arrivals, shape, (peak, hours), seed, set_)
    shipped = read_scaled_object(scaled_object)
    peak_needs = enough_for(bench.load.rates, bench.service, (assumed.prompt_tokens, assumed.answer_tokens))
    policies = [
        *by_queues(shipped, target or (), window or ()),
        *(by_cpu(shipped, percent, cpu=assumed.cpu) for percent in cpu or (80, 25)),
        *(fixed(count) for count in static or (peak_needs,)),
    ]
    outcomes = _outcomes(bench, policies, each)
    rows = _report(outcomes, assumed, json=json)
    if plot is not None:
        draw_policies(bench.load.rates, outcomes, rows, plot)
        _say_plot(plot, json=json)


@simulate.command()
def recommend(
    arrivals: options.Arrivals = None,
    shape: options.Shape = "day",
    peak: options.Peak = options.PEAK,
    hours: options.Hours = 24.0,
    seed: options.Seed = 1,
    set_: options.Set = None,
    scaled_object: options.Object = options.SHIPPED,
    p50_wait: Annotated[float | None, typer.Option(min=0, help="Median of the wait at most, s.")] = None,
    p95_wait: Annotated[float, typer.Option(min=0, help="95th percentile of the wait at most, s.")] = 10.0,
    p99_wait: Annotated[
        float | None, typer.Option(min=0, help="99th percentile of the wait at most, s.")
    ] = None,
    over_deadline: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share that waits beyond the deadline at most.")
    ] = None,
    target: Annotated[list[int] | None, typer.Option(min=1, help="Targets to try.")] = None,
    below_slots: Annotated[
        bool, typer.Option("--below-slots", help="Try targets below the slots of a replica, too.")
    ] = False,
    least: Annotated[
        list[int] | None,
        typer.Option(min=0, max=options.MOST_REPLICAS, help="Minimums (warm GPUs in use) to try."),
    ] = None,
    warm_nodes: Annotated[
        list[int] | None, typer.Option(min=0, help="Numbers of empty nodes to try.")
    ] = None,
    window: Annotated[
        list[int] | None,
        typer.Option(min=0, max=options.MOST_WINDOW_S, help="Scale-in windows to try, s."),
    ] = None,
    export: options.Export = None,
    json: options.Json = False,
    plot: options.Plot = None,
) -> None:
    """Find the thresholds: the fewest GPU-hours that keep the limits on waits.

    Every combination is tried on the same arrivals, counted by number; the choice and its closest rivals are
    checked question by question where the arrivals are few enough. Exit status 1: nothing keeps the limits.
    Targets below the slots of a replica are refused, since busy replicas alone would ask for more of them.

        askfleet simulate recommend --p95-wait 10 --export generation-default.yaml

        askfleet simulate recommend --arrivals monday.csv --least 0 --least 1 --window 900 --p99-wait 60
    """
    from askfleet.scaling import read_scaled_object
    from askfleet.simulation.comparison import Grid, Objective, refuse_below, targets_above, targets_below
    from askfleet.simulation.export import write_export
    from askfleet.simulation.policy import down_window_s
    from askfleet.simulation.recommendation import recommendation

    shipped = read_scaled_object(scaled_object)
    bench, assumed = _bench(arrivals, shape, (peak, hours), seed, set_)
    lower = targets_below(assumed.slots) if below_slots else ()
    if target and not below_slots:
        refuse_below(assumed.slots, target)
    grid = Grid(
        targets=tuple(target or (*lower, *targets_above(assumed.slots))),
        least=tuple(least or (0, 1, 2)),
        warm_nodes=tuple(warm_nodes or (0,)),
        windows_s=tuple(window or (down_window_s(shipped), 900)),
    )
    objective = Objective(p50_wait, p95_wait, p99_wait, over_deadline)
    found = recommendation(bench, grid.policies(shipped), objective, assumed.deadline_s, progress=_progress())
    found.report(screen(), json=json)
    if plot is not None:
        from askfleet.simulation.drawing import draw_front

        draw_front(found.rows, front=found.front, chosen=found.chosen, limit_s=p95_wait, path=plot)
        _say_plot(plot, json=json)
    if found.policy is None or found.policy.scaled_object is None:
        raise typer.Exit(NOTHING_KEEPS)
    if found.policy.scaled_object.target_value < assumed.slots:
        typer.echo(BELOW_SLOTS, err=True)
    if export is not None:
        write_export(export, scaled_object, found.policy.scaled_object, slots=assumed.slots)
        typer.echo(f"scaled object  {export}", err=json)


@simulate.command()
def fleet(
    topology: Annotated[Path | None, typer.Option("--topology", "-f", help="File of the fleet.")] = None,
    clusters: Annotated[int, typer.Option(min=1, max=200, help="Equal clusters, without a topology.")] = 10,
    gpus: Annotated[int, typer.Option(min=1, max=1_000_000, help="Of all these clusters.")] = 4_000,
    load: Annotated[
        float, typer.Option(min=0.001, max=100, help="Peak of each cluster, of what its GPUs can do.")
    ] = 0.8,
    shift: Annotated[
        float, typer.Option(min=-24, max=24, help="Hours by which each next cluster's day is later.")
    ] = 2.4,
    shape: options.Shape = "day",
    hours: options.Hours = 24.0,
    seed: options.Seed = 1,
    set_: options.Set = None,
    scaled_object: options.Object = options.SHIPPED,
    target: options.Target = None,
    spill: Annotated[bool, typer.Option(help="Neighbours take what waits.")] = True,
    json: options.Json = False,
    plot: options.Plot = None,
) -> None:
    """A whole fleet, second by second: own workers first, then neighbours, as the topology says.

    askfleet simulate fleet --clusters 10 --gpus 4000 --no-spill
    """
    from dataclasses import replace

    from askfleet.fleet.reading import read_topology
    from askfleet.scaling import read_scaled_object
    from askfleet.simulation.assumptions import assumed as assumed_by
    from askfleet.simulation.counting import count, counted
    from askfleet.simulation.drawing import draw_fleet
    from askfleet.simulation.fleet_sites import of_topology, ring, sites

    assumed = assumed_by(set_ or [])
    shipped = read_scaled_object(scaled_object)
    shipped = shipped if target is None else replace(shipped, target_value=float(target))
    places = ring(clusters, gpus) if topology is None else of_topology(read_topology(topology), shipped)
    wanted = [place.most * assumed.replica_per_s * load for place in places]
    rates = [_made(shape, each, hours).shifted(shift * number) for number, each in enumerate(wanted)]
    progress = _progress()
    seeds = [seed + number for number in range(len(places))]
    outcomes = count(
        sites(places, shipped, assumed, spill=spill),
        [counted(each, seed=own) for each, own in zip(rates, seeds, strict=True)],
        assumed.lengths,
        seeds=seeds,
        progress=lambda share: progress(f"{len(places)} clusters", share),
    )
    _report(outcomes, assumed, json=json, first="cluster", total=True)
    if plot is not None:
        draw_fleet(outcomes, rates[0].seconds, plot)
        _say_plot(plot, json=json)


@simulate.command()
def check(
    record: Annotated[Path, typer.Argument(help="Recorded by `python -m askfleet.spike`.")],
    scaled_object: options.Object = options.SHIPPED,
    json: options.Json = False,
    plot: options.Plot = None,
) -> None:
    """Predict a recorded run of the local stack, and say how far off it is. Exit status 1: beyond 15 %.

    askfleet simulate check docs/images/scaling-spike.jsonl
    """
    from json import dumps

    from askfleet.scaling import read_scaled_object
    from askfleet.scaling.record import read_timeline
    from askfleet.simulation.drawing import draw_comparison
    from askfleet.simulation.recorded import compare
    from askfleet.simulation.tables import show_comparison

    found = compare(read_timeline(record), read_scaled_object(scaled_object))
    if json:
        typer.echo(dumps(found.as_dict(), indent=2))
    else:
        show_comparison(found, screen())
    if plot is not None:
        draw_comparison(found, plot)
        _say_plot(plot, json=json)
    if not found.keeps():
        raise typer.Exit(NOTHING_KEEPS)


def _bench(
    arrivals: Path | None, shape: str, size: tuple[float, float], seed: int, settings: list[str] | None
) -> "tuple[Bench, Assumptions]":
    """`size`: peak and hours of made arrivals."""
    from askfleet.simulation.assumptions import assumed
    from askfleet.simulation.comparison import Bench
    from askfleet.simulation.loads import Made, load_of

    found = assumed(settings or [])
    made = Made(_shape(shape), *size)
    load = load_of(arrivals, made, found.lengths, seed=seed)
    return Bench(load, found.service, found.provisioning, found.ack_pending), found


def _made(shape: str, peak: float, hours: float) -> "Rates":
    from askfleet.simulation.loads import Made

    return Made(_shape(shape), peak, hours).rates()


def _shape(given: str) -> "ShapeName":
    from askfleet.simulation.loads import Shape

    try:
        return Shape(given)
    except ValueError as error:
        shapes = ", ".join(Shape)
        raise Misconfigured(f"--shape {given!r} is unknown.", remedy=f"There are: {shapes}.") from error


def _outcomes(bench: "Bench", policies: "Sequence[Policy]", each: bool | None) -> "list[Outcome]":
    followed = bench.is_small if each is None else each
    return (bench.follow if followed else bench.count)(policies, _progress())


def _progress() -> "Callable[[str, float], None]":
    """On a terminal, a line on stderr that is written over."""
    from rich.console import Console

    console = Console(stderr=True)

    def tell(name: str, share: float) -> None:
        if console.is_terminal:
            console.print(f"{name}: {share:4.0%}".ljust(70), end="\r" if share < 1 else "\n", highlight=False)

    return tell


def _report(
    outcomes: "Sequence[Outcome]",
    assumed: "Assumptions",
    *,
    json: bool,
    first: str = "policy",
    total: bool = False,
) -> "list[Figures]":
    from askfleet.simulation.outcome import together
    from askfleet.simulation.tables import as_json, show

    rows = [outcome.figures(assumed.deadline_s) for outcome in outcomes]
    all_rows = [*rows, together(outcomes).figures(assumed.deadline_s)] if total else rows
    if json:
        typer.echo(as_json(all_rows, assumptions=assumed.model_dump()))
    else:
        show(all_rows, screen(), first=first)
    return rows


def _say_plot(path: Path, *, json: bool) -> None:
    typer.echo(f"plot  {path}", err=json)
