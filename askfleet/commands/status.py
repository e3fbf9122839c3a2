"""`askfleet status`: what runs, what waits, what was given up."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Annotated

import psutil
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from askfleet.board import MemoryGauge, process_table
from askfleet.commands import options
from askfleet.interruption import until_signalled
from askfleet.local.state import ProcessRecord, StateFolder
from askfleet.local.supervisor import State, Status
from askfleet.overview_tables import overview_tables
from askfleet.scaling_table import read_scaling, scaling_table
from askfleet.screen import screen
from bus.connection import Bus, connect
from bus.overview import Overview, read_overview
from contracts.errors import DependencyUnavailable, Misconfigured

EVERY_S = 1.0


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again every second, until Ctrl-C.")] = False,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="What is scaled: metric, desired, actual and why.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object; with --watch one on each line.")
    ] = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Show the depth and age of each queue, what is in work, dead letters, and the workers that are alive.

    Of the local stack, with its processes; or with `--nats-url` of any deployment: all comes from NATS.

        askfleet status

        askfleet status --watch

        askfleet status --scaling --watch

        askfleet status --json --nats-url nats://nats.example.org:4222
    """
    state = StateFolder(state_dir)
    if scaling:
        if nats_url:
            raise Misconfigured(
                "--scaling shows the local stack's.", remedy="In a cluster: kubectl get scaledobject,hpa."
            )
        asyncio.run(_show_scaling(state, watch=watch, as_json=as_json))
        return
    settings = options.bus_settings(state, nats_url)

    async def show() -> None:
        async with connect(settings, name="askfleet-status") as bus:
            screen = _JsonLines() if as_json else _Screen(None if nats_url else state)
            if watch:
                await until_signalled(_watch(bus, screen))
            else:
                screen.show(await read_overview(bus))

    asyncio.run(show())


async def _show_scaling(state: StateFolder, *, watch: bool, as_json: bool) -> None:
    """Out of what `askfleet up` writes after each look at the queues."""
    state.running_stack()
    if not watch:
        report = read_scaling(state)
        if as_json:
            print(report.model_dump_json())
        else:
            screen().print(scaling_table(report))
        return
    await until_signalled(_watch_scaling(state, as_json=as_json))


async def _watch_scaling(state: StateFolder, *, as_json: bool) -> None:
    with contextlib.ExitStack() as shown:
        live = None if as_json else shown.enter_context(Live(console=screen(), auto_refresh=False))
        while True:
            report = read_scaling(state)
            if live is None:
                print(report.model_dump_json(), flush=True)
            else:
                live.update(scaling_table(report), refresh=True)
            await asyncio.sleep(EVERY_S)


async def _watch(bus: Bus, screen: "_JsonLines | _Screen") -> None:
    """A moment without NATS is told and outlived."""
    loop = asyncio.get_running_loop()
    with screen.open():
        while True:
            began = loop.time()
            try:
                screen.show(await read_overview(bus))
            except DependencyUnavailable as error:
                screen.tell(error.detail)
            await asyncio.sleep(max(0.0, EVERY_S - (loop.time() - began)))


class _JsonLines:
    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        yield

    def show(self, overview: Overview) -> None:
        sys.stdout.write(overview.model_dump_json() + "\n")
        sys.stdout.flush()

    def tell(self, problem: str) -> None:
        print(problem, file=sys.stderr)


class _Screen:
    """Tables; of the local stack also its processes."""

    def __init__(self, state: StateFolder | None) -> None:
        self._state = state
        self._console = screen()
        self._gauge = MemoryGauge()
        self._live: Live | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        with Live(console=self._console, auto_refresh=False) as self._live:
            yield
        self._live = None

    def show(self, overview: Overview) -> None:
        parts = [*self._local(), *overview_tables(overview)]
        if self._live is None:
            self._console.print(Group(*parts))
        else:
            self._live.update(Group(*parts), refresh=True)

    def tell(self, problem: str) -> None:
        if self._live is not None:
            self._live.update(Text(problem, style="red"), refresh=True)

    def _local(self) -> list[RenderableType]:
        if self._state is None:
            return []
        record = self._state.running_stack()
        table = process_table((_status(process) for process in record.processes), self._gauge)
        return [table, Text(f"bridge  {' '.join(record.bridge_urls)}\n")]


def _status(record: ProcessRecord) -> Status:
    alive = psutil.pid_exists(record.pid)
    state = State.READY if alive else State.STOPPED
    return Status(record.name, state=state, address=record.address, pid=record.pid if alive else None)
