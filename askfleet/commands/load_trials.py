"""`askfleet load chaos`, `restart` and `soak`: trials on a local stack that is started for them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from askfleet.commands import options
from askfleet.local.state import StateFolder
from contracts.errors import Misconfigured

if TYPE_CHECKING:
    from askfleet import trials

Folder = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the trial's stack, which stays and is used again; default: a new one that goes."
    ),
]
Record = Annotated[
    Path | None, typer.Option("--json", help="Where the record goes; default: `load/` in the state folder.")
]
Seed = Annotated[int, typer.Option(help="Another seed gives other times, questions and victims.")]
Rate = Annotated[float, typer.Option(help="Questions a second.", min=0.1)]
Elsewhere = Annotated[list[str] | None, typer.Option("--url", "--nats-url", hidden=True)]


def chaos(
    minutes: Annotated[float, typer.Option(help="How long questions are asked.", min=0.2)] = 5.0,
    rate: Rate = 50.0,
    kill_every: Annotated[
        float, typer.Option(help="Seconds from one SIGKILL of a worker to the next; 0: none.", min=0)
    ] = 2.0,
    nats_restarts: Annotated[int, typer.Option(help="SIGKILLs of nats-server.", min=0)] = 2,
    zombies: Annotated[
        int, typer.Option(help="Generation workers that are stopped, and woken after their message went on.")
    ] = 1,
    outage: Annotated[
        list[str] | None,
        typer.Option(
            help="Server to keep away: postgres, milvus, engine; again for more. Default: the first two."
        ),
    ] = None,
    outage_seconds: Annotated[float, typer.Option(help="How long a server is away.", min=1)] = 20.0,
    freeze: Annotated[
        list[str] | None,
        typer.Option(help="Server to stop for 8 s without closing its connections; the same names."),
    ] = None,
    clock_step: Annotated[
        list[float] | None, typer.Option(help="Seconds by which the load generator's clock is wrong for 5 s.")
    ] = None,
    seed: Seed = 7,
    json: Record = None,
    folder: Folder = None,
    elsewhere: Elsewhere = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Kill, stop and cut off the processes of a local stack under load, and judge every answer.

    It starts a stack of its own with a simulated engine, two tenants, two of each worker, and asks by every
    route and door; some clients cancel, leave and come back, or read slowly. Exit status 1: a promise was
    broken, or something is left in a queue. A `failed` is counted only: an outage may outlast the retries.
    The engine is within the generation workers, or, where it is named, a server that they reach over HTTP.

        askfleet load chaos --minutes 5

        askfleet load chaos --minutes 1 --rate 15 --outage engine --outage-seconds 15 --freeze engine

        askfleet load chaos --minutes 1 --rate 10 --kill-every 5 --outage postgres --outage-seconds 10
    """
    from dataclasses import replace

    from askfleet import trials
    from loadgen.faults import DATABASE, VECTORS, Trouble
    from loadgen.trial import Ground

    _only_here(elsewhere, "kills processes")
    trouble = Trouble(
        kill_every_s=kill_every,
        broker_restarts=nats_restarts,
        zombies=zombies,
        outages=_servers(outage, default=(DATABASE, VECTORS)),
        outage_s=outage_seconds,
        freezes=_servers(freeze, default=()),
        clock_steps_s=tuple(clock_step or ()),
    )
    make = trials.chaos(trouble, seconds=minutes * 60, rate=rate, seed=seed)
    order = replace(_order(json, folder, state_dir), ground=Ground(engine_server=trouble.of_engine))
    raise typer.Exit(trials.hold(make, order, Console()))


def restart(
    rate: Rate = 20.0,
    seed: Seed = 7,
    json: Record = None,
    folder: Folder = None,
    elsewhere: Elsewhere = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Restart every worker of a local stack, one after the other, under load: no answer may fail.

    Each gets SIGTERM, drains, and is started again.

        askfleet load restart --rate 20
    """
    from askfleet import trials

    _only_here(elsewhere, "ends processes")
    order = _order(json, folder, state_dir)
    raise typer.Exit(trials.hold(trials.restart(rate=rate, seed=seed), order, Console()))


def soak(
    answers: Annotated[int, typer.Option(help="It ends after so many.", min=1)] = 20_000,
    clients: Annotated[int, typer.Option(help="Each asks again once it is answered.", min=1)] = 32,
    seed: Seed = 7,
    json: Record = None,
    folder: Folder = None,
    elsewhere: Elsewhere = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Many answers without a fault: nothing may fail, and no process may grow with their number.

    askfleet load soak --answers 20000
    """
    from dataclasses import replace

    from askfleet import trials

    _only_here(elsewhere, "watches the memory of processes")
    order = replace(_order(json, folder, state_dir), ground=trials.SOAK, flat_memory=True)
    raise typer.Exit(trials.hold(trials.soak(answers, clients=clients, seed=seed), order, Console()))


def _order(json: Path | None, folder: Path | None, state_dir: Path) -> "trials.Order":
    from askfleet.commands.load import command_line
    from askfleet.load import record_file
    from askfleet.trials import Order

    record = record_file(json, StateFolder(state_dir))
    return Order(command_line(sys.argv[1:]), record, folder and folder.absolute())


def _only_here(elsewhere: list[str] | None, why: str) -> None:
    if elsewhere:
        raise Misconfigured(
            f"It {why}, and only on a stack that it starts itself, not at {elsewhere[0]}.",
            remedy="Leave --url and --nats-url out; `askfleet load run` loads a deployment.",
        )


def _servers(names: list[str] | None, *, default: tuple[str, ...]) -> tuple[str, ...]:
    from loadgen.faults import SERVERS

    for name in names or ():
        if name not in SERVERS:
            words = f"{', '.join(SERVERS[:-1])} or {SERVERS[-1]}"
            raise Misconfigured(f"{name!r} can't be taken away.", remedy=f"Name {words}.")
    return default if names is None else tuple(names)
