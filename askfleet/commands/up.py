"""`askfleet up`: the whole system on this machine."""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from askfleet import content
from askfleet.board import live_table
from askfleet.commands import options
from askfleet.demo import prepare
from askfleet.interruption import until_signalled
from askfleet.local.scaling import SCALED_OBJECTS, Bounds, ScalingOptions
from askfleet.local.stack import Stack, StackOptions
from askfleet.local.state import StateFolder
from askfleet.logs import configure_logs, open_log
from askfleet.scaling import read_scaled_objects
from contracts.errors import Misconfigured

Start = Callable[[Stack], Awaitable[None]]
SCALING = "Scaling"
LAPTOP = Bounds(1, 2)
"""One stays warm, so that the first question does not wait; a second one is as much as two cores carry."""

NOTHING_IS_SCALED = (
    "[bold]scaling[/]  nothing is scaled: an installed package holds no ScaledObjects. "
    "Give --scaled-objects DIR, as with deploy/keda/base/scaledobjects of a checkout, or --no-scaling."
)


def up(
    state_dir: options.StateDir = options.STATE_DIR,
    workers: Annotated[
        list[str] | None,
        typer.Option(help="Processes of a worker, as generation=2; may be given again. Default: one each."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the bridge; 0 keeps the former one.")] = 0,
    sql_dsn: Annotated[
        str | None, typer.Option(help="Your PostgreSQL, with a role that holds SELECT only.")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Load the sample database and our documentation, train the router.")
    ] = False,
    phoenix: Annotated[
        bool, typer.Option("--phoenix", help="Start Phoenix too, which shows the trace of each question.")
    ] = False,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            help="Replicas of a worker between two numbers, by its ScaledObject, as generation=0:4; "
            "may be given again. Default: generation=1:2.",
            rich_help_panel=SCALING,
        ),
    ] = None,
    no_scaling: Annotated[
        bool, typer.Option("--no-scaling", help="Keep the number of every worker.", rich_help_panel=SCALING)
    ] = False,
    scaled_objects: Annotated[
        Path, typer.Option(help="Folder of the ScaledObjects.", rich_help_panel=SCALING)
    ] = SCALED_OBJECTS,
    scaling_speed: Annotated[
        float,
        typer.Option(
            min=0.1, max=1000, help="Seconds of KEDA's clock in one of ours.", rich_help_panel=SCALING
        ),
    ] = 1.0,
    simulated_node_s: Annotated[
        float,
        typer.Option(min=0, help="Simulated: time until a new replica has a node.", rich_help_panel=SCALING),
    ] = 0.0,
    simulated_model_s: Annotated[
        float, typer.Option(min=0, help="Simulated: time until its model is loaded.", rich_help_panel=SCALING)
    ] = 0.0,
    scaling_record: Annotated[
        Path | None,
        typer.Option(
            callback=options.writable,
            help="Write what was measured and decided there, as JSON lines.",
            rich_help_panel=SCALING,
        ),
    ] = None,
) -> None:
    """Start NATS, PostgreSQL, Milvus Lite and the workers, and keep them running until Ctrl-C.

    Everything listens on 127.0.0.1 and keeps its data and logs in one folder. A process that crashes is
    started again. Workers take their other settings (AF_ENGINE_KIND, AF_CONCURRENCY, ...) from this command's
    environment. Generation follows the length of its queue by the ScaledObject that ships for Kubernetes, as
    KEDA and the HPA would: between 1 and 2 processes here, unless --scale says otherwise (docs/scaling.md).

        askfleet up

        askfleet up --workers generation=2 --workers bridge=2

        askfleet up --demo --phoenix

        askfleet up --scale generation=0:4 --simulated-node-s 90 --simulated-model-s 30

        AF_ENGINE_KIND=openai AF_ENGINE_URL=http://127.0.0.1:8000/v1 askfleet up
    """
    if scale and no_scaling:
        raise Misconfigured("--scale and --no-scaling say the opposite.", remedy="Give one of both.")
    if demo and sql_dsn:
        raise Misconfigured("--demo loads the embedded database.", remedy="Leave --sql-dsn out.")
    fixed = replicas(workers or [])
    bounds = {} if no_scaling else scaled(scale, fixed, scaled_objects)
    if not (bounds or no_scaling or "generation" in fixed or scaled_objects.is_dir()):
        Console().print(NOTHING_IS_SCALED, soft_wrap=True, highlight=False)
    stack_options = StackOptions(
        replicas=fixed,
        scaling=ScalingOptions(
            bounds=bounds,
            folder=scaled_objects,
            speed=scaling_speed,
            node_s=simulated_node_s,
            model_s=simulated_model_s,
            model=os.environ.get("AF_MODEL", "default"),
            record=scaling_record,
        ),
        bridge_port=port,
        sql_dsn=sql_dsn,
        semantic_model=content.SEMANTIC_MODEL if demo else None,
        sample_questions=content.SAMPLE_QUESTIONS if demo else (),
        phoenix=phoenix,
    )
    asyncio.run(_up(StateFolder(state_dir), stack_options, _start_with_content if demo else Stack.start))


def replicas(values: list[str]) -> dict[str, int]:
    """`["generation=2"]` as numbers by worker; raises Misconfigured."""
    found = {}
    for value in values:
        name, _, number = value.partition("=")
        if not number.isdecimal():
            raise Misconfigured(
                f"--workers {value!r} names no number.", remedy="Write --workers generation=2."
            )
        found[name] = int(number)
    return found


def scaled(
    values: list[str] | None, fixed: Mapping[str, int], folder: Path = SCALED_OBJECTS
) -> dict[str, Bounds]:
    """`["generation=0:4"]` as bounds by worker; the default for what is not said. Raises Misconfigured.

    Args:
        fixed: workers whose number stays.
        folder: of the ScaledObjects; only the one that ships may be missing.
    """
    if values is None:
        known = folder != SCALED_OBJECTS or folder.is_dir()
        by_default = os.environ.get("AF_MODEL", "default") == "default" and "generation" not in fixed
        return {"generation": LAPTOP} if known and by_default else {}
    found = {}
    for value in values:
        match = re.fullmatch(r"([^=]+)=(\d+):(\d+)", value)
        if match is None:
            raise Misconfigured(f"--scale {value!r} is no range.", remedy="Write --scale generation=0:4.")
        if match[1] in found:
            raise Misconfigured(f"--scale names {match[1]} twice.", remedy="Give each worker one range.")
        found[match[1]] = Bounds(int(match[2]), int(match[3]))
    return found


async def _up(state: StateFolder, stack_options: StackOptions, start: Start) -> None:
    console = Console()
    async with Stack(state, stack_options) as stack:
        with contextlib.ExitStack() as shown:
            if console.is_terminal:
                log = shown.enter_context(open_log(state.log("askfleet")))
                configure_logs(logging.INFO, to=log)
                shown.enter_context(live_table(console, lambda: stack.statuses))
            else:
                configure_logs(logging.INFO)
            await until_signalled(_run(stack, console, start))
        console.print("stopping ...")
    console.print("stopped")


async def _start_with_content(stack: Stack) -> None:
    await prepare(stack, Console(stderr=True), base_date=datetime.now(UTC).date())


async def _run(stack: Stack, console: Console, start: Start) -> None:
    await start(stack)
    console.print(how_to_use(stack), highlight=False)
    if console.is_terminal and (link := page_link(stack)):
        console.print(f"[bold]open[/]     {link}\n", highlight=False, soft_wrap=True)
    await asyncio.Event().wait()


def how_to_use(stack: Stack) -> str:
    state = stack.state
    default = state.root == options.STATE_DIR.absolute()
    folder = "" if default else f" --state-dir {_shown(state.root)}"
    ops = f"\n[bold]operator[/] {stack.record.ops_url}  (key in {_shown(state.operator_key)})"
    phoenix = f"\n[bold]traces[/]   {stack.record.phoenix_url}  (Phoenix, in a minute)"
    scaling = "".join(f"\n[bold]scaling[/]  {line}" for line in scaling_lines(stack))
    return (
        f"\n[bold]page[/]     {stack.record.bridge_urls[0]}/  (API at /docs; key in {_shown(state.keys)})"
        f"{ops if stack.record.ops_url else ''}{phoenix if stack.record.phoenix_url else ''}"
        f"{scaling}"
        f'\n[bold]ask[/]      askfleet ask{folder} "What can I ask?"'
        f"\n[bold]logs[/]     {_shown(state.log('*'))}"
        "\nCtrl-C stops everything.\n"
    )


def scaling_lines(stack: Stack) -> Iterator[str]:
    """What is scaled, within what limits of this machine, and what of it is simulated."""
    options = stack.options.scaling
    shipped = {found.target: found for found in read_scaled_objects(options.folder)} if options.bounds else {}
    for worker, found in options.scaled_objects().items():
        theirs = shipped[found.target]
        yield (
            f"{worker} {found.min_replicas} to {found.max_replicas} here (ScaledObject {found.name}: "
            f"{theirs.min_replicas} to {theirs.max_replicas}), aims at {found.target_value:g} questions each"
        )
    if options.bounds and (options.node_s or options.model_s):
        yield f"simulated: {options.node_s:g} s for a node, {options.model_s:g} s for a model"
    if options.bounds and options.speed != 1:
        yield f"KEDA's clock runs {options.speed:g} times as fast"


def page_link(stack: Stack) -> str:
    """The page with the demo tenant's key behind `#`, which no browser sends; empty where no key is kept."""
    try:
        return f"{stack.record.bridge_urls[0]}/#key={stack.state.key(options.TENANT)}"
    except (Misconfigured, IndexError):
        return ""


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
