"""`askfleet up`: the whole system on this machine."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
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
from askfleet.logs import configure_logs, open_log
from askfleet.stack import Stack, StackOptions
from askfleet.state import StateFolder
from contracts.errors import Misconfigured

Start = Callable[[Stack], Awaitable[None]]


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
) -> None:
    """Start NATS, PostgreSQL, Milvus Lite and the workers, and keep them running until Ctrl-C.

    Everything listens on 127.0.0.1 and keeps its data and logs in one folder. A process that crashes is
    started again. Workers take their other settings (AF_ENGINE_KIND, AF_CONCURRENCY, ...) from this command's
    environment.

        askfleet up

        askfleet up --workers generation=2 --workers bridge=2

        askfleet up --demo --phoenix

        AF_ENGINE_KIND=openai AF_ENGINE_URL=http://127.0.0.1:8000/v1 askfleet up
    """
    if demo and sql_dsn:
        raise Misconfigured("--demo loads the embedded database.", remedy="Leave --sql-dsn out.")
    stack_options = StackOptions(
        replicas=replicas(workers or []),
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
    return (
        f"\n[bold]page[/]     {stack.record.bridge_urls[0]}/  (API at /docs; key in {_shown(state.keys)})"
        f"{ops if stack.record.ops_url else ''}{phoenix if stack.record.phoenix_url else ''}"
        f'\n[bold]ask[/]      askfleet ask{folder} "What can I ask?"'
        f"\n[bold]logs[/]     {_shown(state.log('*'))}"
        "\nCtrl-C stops everything.\n"
    )


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
