"""Trials as the command line holds them: a stack of their own, faults, a verdict, the record."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvloop
from rich.console import Console

from askfleet.load import BROKEN, show
from askfleet.load_report import announce, write_pictures
from loadgen.faults import WORKERS, Planned, Trouble, counts, kind_of, rolling, schedule
from loadgen.memory import growths
from loadgen.scenario import Closed, Poisson
from loadgen.trial import Ground, Trial, Verdict, open_ground, scenario

SPARE_S = 60.0
SLOWEST_RATE = 10.0
"""A soak with fewer answers a second than that ends early, with a complaint."""
SOAK = Ground(first_token_ms=20.0, interval_ms=5.0)
"""Quick answers, so that many fit into a soak."""
SLOWEST_RESTART_S = 40.0

Make = Callable[[Sequence[str]], Trial]
"""A trial for a stack with workers of these names."""


@dataclass(frozen=True)
class Order:
    """How a trial is held.

    Args:
        record: where its JSON goes.
        folder: of the stack; None: a new one, which stays only when something is wrong.
        flat_memory: growing memory is a complaint.
    """

    command: str
    record: Path
    folder: Path | None = None
    ground: Ground = field(default_factory=Ground)
    flat_memory: bool = False


def chaos(trouble: Trouble, *, seconds: float, rate: float, seed: int) -> Make:
    def make(workers: Sequence[str]) -> Trial:
        planned = schedule(trouble, workers, seconds, seed=seed)
        return Trial(scenario(Poisson(rate=rate), seconds, seed=seed), planned)

    return make


def restart(*, rate: float, seed: int) -> Make:
    def make(workers: Sequence[str]) -> Trial:
        asked = scenario(Poisson(rate=rate), SLOWEST_RESTART_S * len(workers), seed=seed)
        return Trial(asked, rolling(workers), with_faults=True, no_failures=True)

    return make


def soak(answers: int, *, clients: int, seed: int) -> Make:
    def make(workers: Sequence[str]) -> Trial:
        seconds = SPARE_S + answers / SLOWEST_RATE
        asked = scenario(Closed(clients=clients, ramp_s=2.0), seconds, seed=seed)
        return Trial(asked, answers=answers, no_failures=True, document_every_s=0)

    return make


def hold(make: Make, order: Order, console: Console) -> int:
    """The exit status: 1 when something was wrong.

    Raises:
        AskfleetError: the stack did not start, or did not come back after a fault.
    """
    folder = order.folder or Path(tempfile.mkdtemp(prefix="askfleet-trial-"))
    console.print(f"stack   {folder}", soft_wrap=True)
    with open_ground(order.ground, folder) as stack:
        trial = make(sorted(name for name in stack.pids if kind_of(name) in WORKERS))
        _announce(trial.planned, console)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            verdict = runner.run(replace(trial, console=console).hold(stack, command=order.command))
    return _judge(verdict, order, folder, console)


def _announce(planned: Sequence[Planned], console: Console) -> None:
    if planned:
        words = (f"{count} x {what}" for what, count in sorted(counts(planned).items()))
        console.print(f"faults  {', '.join(words)}", soft_wrap=True, highlight=False)


def _judge(verdict: Verdict, order: Order, folder: Path, console: Console) -> int:
    recording = verdict.recording
    recording.write(order.record)
    show(recording, console)
    complaints = [*verdict.complaints]
    for growth in growths(recording) if order.flat_memory else ():
        console.print(f"memory  {growth}", style="" if growth.flat else "red", highlight=False)
        complaints += [] if growth.flat else [f"memory grows: {growth}"]
    for stage, count in verdict.leftovers.dead.items():
        console.print(f"dead letters of {stage}: {count}", highlight=False)
    console.print(f"documents accepted meanwhile: {verdict.documents}", highlight=False)
    announce(recording, order.record, console)
    if order.flat_memory:
        pictures = order.record.with_suffix(".plots")
        write_pictures(recording, pictures)
        console.print(f"plots   {pictures}", soft_wrap=True, markup=False)
    for complaint in complaints:
        console.print(f"WRONG   {complaint}", markup=False, soft_wrap=True, style="bold red")
    if not complaints:
        console.print(
            "0 lost, 0 stuck, 0 second terminals, 0 gaps; nothing is left in a queue, nothing unacknowledged",
            style="bold green",
        )
    if order.folder is None and not complaints:
        shutil.rmtree(folder, ignore_errors=True)
    elif complaints:
        console.print(f"the logs of its processes are in {folder / 'state' / 'logs'}", soft_wrap=True)
    return BROKEN if complaints else 0
