"""A load run as the command line makes it: finds the deployment, runs, shows, writes the record."""

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from askfleet.commands.options import bus_settings
from askfleet.load_report import announce
from askfleet.local.state import StateFolder
from askfleet.outputs import output_file
from bus.connection import Bus, connect
from bus.settings import BusSettings
from loadgen.bridges import Address
from loadgen.hearing import Hearing, Sources, open_hearing, printed
from loadgen.oracle import Terms
from loadgen.progress import duration, follow
from loadgen.recording import Latency, Recording
from loadgen.run import LoadRun, Site
from loadgen.scenario import Scenario

BROKEN = 1
MOST_PRINTED = 20
MANY_FILES = 65_536
MEASURES = ("accepted", "first_token", "whole", "token_interval", "resume")


@dataclass(frozen=True)
class Target:
    """What is loaded: the given addresses, else the stack that runs on the state folder.

    Args:
        key: of each tenant that the scenario gives none.
        nats_url: by which queues are watched and the log is audited; without it, and with `urls`, neither is.
        journal: folder of the journals of simulated engines.
    """

    state: StateFolder
    urls: tuple[str, ...] = ()
    key: str | None = None
    nats_url: str | None = None
    journal: Path | None = None

    @property
    def is_local(self) -> bool:
        return not self.urls

    def addresses(self) -> tuple[Address, ...]:
        """Raises Misconfigured."""
        return tuple(map(Address.of, self.urls or self.state.running_stack().bridge_urls))

    def keys(self, scenario: Scenario) -> dict[str, str]:
        """Raises Misconfigured when a tenant's key is not known."""
        return {
            tenant.name: tenant.key.get_secret_value() if tenant.key is not None else self._key(tenant.name)
            for tenant in scenario.tenants
        }

    def _key(self, tenant: str) -> str:
        if self.key is not None:
            return self.key
        return self.state.key(tenant) if self.is_local else ""

    def bus(self) -> BusSettings | None:
        if self.nats_url is None and not self.is_local:
            return None
        return bus_settings(self.state, self.nats_url)

    def sources(self) -> Sources:
        return Sources(self.journal, self.state.running_stack().sql_dsn if self.is_local else "")

    def pids(self) -> Mapping[str, int]:
        """Read anew each time, since processes restart."""
        record = self.state.former_stack() if self.is_local else None
        return {process.name: process.pid for process in record.processes} if record is not None else {}


@dataclass(frozen=True)
class Plan:
    """One run. `record` is where its JSON goes."""

    scenario: Scenario
    target: Target
    record: Path
    command: str


def record_file(given: Path | None, state: StateFolder) -> Path:
    """Where the record of a run goes. Raises Misconfigured when it can't be written there."""
    if given is not None:
        return output_file(given, option="--json")
    return state.root / "load" / f"{datetime.now():%Y%m%d-%H%M%S}.json"


def run(plan: Plan, console: Console) -> int:
    """The exit status: 1 when a promise was broken or could not be judged.

    Raises:
        Misconfigured: the deployment can't be reached as it is described.
    """
    _allow_many_connections()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        running = runner.run(_run(plan, console))
    recording = running.recording(plan.command)
    recording.write(plan.record)
    show(recording, console)
    announce(recording, plan.record, console)
    if running.unjudged:
        console.print(f"not judged to the end: {running.unjudged}", style="bold red", markup=False)
    return BROKEN if recording.violations or running.unjudged else 0


def _allow_many_connections() -> None:
    """Each reader holds a connection; the usual limit of 1,024 files is reached soon."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if most == resource.RLIM_INFINITY else most
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _run(plan: Plan, console: Console) -> LoadRun:
    async with _hearing(plan) as (bus, hearing):
        target = plan.target
        site = Site(target.addresses(), target.keys(plan.scenario), bus, target.pids)
        running = LoadRun(plan.scenario, site, hearing=hearing)
        showing = asyncio.create_task(follow(console, running.snapshot))
        try:
            with _stopped_by_signal(running):
                await running.run()
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
    return running


@asynccontextmanager
async def _hearing(plan: Plan) -> AsyncIterator[tuple[Bus | None, Hearing | None]]:
    """Nothing where NATS is out of reach: then only what clients saw is judged."""
    settings = plan.target.bus()
    if settings is None:
        yield None, None
        return
    terms = Terms(grace_s=plan.scenario.grace_s)
    async with (
        connect(settings, name="askfleet-load") as bus,
        open_hearing(bus, plan.target.sources(), terms=terms) as hearing,
    ):
        yield bus, hearing


@contextmanager
def _stopped_by_signal(running: LoadRun) -> Iterator[None]:
    """The first Ctrl-C ends the asking and lets answers under way end; the second one ends it all."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        running.stop()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def show(recording: Recording, console: Console) -> None:
    totals = {name: count for name, count in recording.totals.model_dump().items() if count}
    console.print(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in totals.items()))
    for code, count in recording.failures.items():
        console.print(f"  {count:,} {code}", markup=False)
    console.print(latency_table(recording.latencies))
    made = recording.generator
    console.print(
        f"the generator was late by {duration(made.late.p50)} at the median and {duration(made.late.worst)} "
        f"at worst, and took {made.cpu_ms_per_answer:.2f} ms of CPU an answer"
    )
    for broken in recording.violations[:MOST_PRINTED]:
        console.print(printed(broken), markup=False, soft_wrap=True, style="red")
    found = len(recording.violations)
    console.print(f"{found} broken promises" if found else "every promise was kept", style="bold")


def latency_table(latencies: Mapping[str, Latency]) -> Table:
    table = Table("from the scheduled arrival", box=None, header_style="dim", pad_edge=False)
    for name in ("p50", "p90", "p99", "p99.9", "worst", "count"):
        table.add_column(name, justify="right")
    for name in MEASURES:
        found = latencies.get(name)
        if found is not None and found.count:
            shown = map(duration, (found.p50, found.p90, found.p99, found.p999, found.worst))
            table.add_row(name.replace("_", " "), *shown, f"{found.count:,}")
    return table
