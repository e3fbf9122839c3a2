"""`askfleet load ...`: load a deployment and judge whether it keeps what docs/reliability.md promises."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from askfleet.commands import load_report, load_trials, options
from askfleet.local.state import StateFolder

load = typer.Typer(
    help="Load a deployment, and judge whether its promises hold.\n\n    askfleet load run --rate 20",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
for _trial in (load_trials.chaos, load_trials.restart, load_trials.soak):
    load.command()(_trial)
for _reading in (load_report.report, load_report.compare):
    load.command()(_reading)
SECRETS = ("--key", "--nats-url")
RUN, ARRIVALS, MIX, CLIENTS, WHERE = "The run", "Arrivals", "Who asks what", "Clients", "The deployment"

Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        envvar="AF_URL",
        help="Address of a bridge; may be given again. Default: those of the running local stack.",
        rich_help_panel=WHERE,
    ),
]


def _option(text: str, panel: str, *names: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(*names, help=text, rich_help_panel=panel)
    return option


@load.command()
def run(
    scenario: Annotated[
        Path | None, typer.Argument(help="A YAML file; flags win over it. See docs/load-testing.md.")
    ] = None,
    seconds: Annotated[float | None, _option("How long queries are sent.", RUN)] = None,
    seed: Annotated[int | None, _option("Another seed gives other times and questions.", RUN)] = None,
    deadline: Annotated[float | None, _option("Seconds that each query may take.", RUN)] = None,
    grace: Annotated[float | None, _option("Seconds after it until a query is stuck.", RUN)] = None,
    max_tokens: Annotated[int | None, _option("At most so many tokens an answer.", RUN)] = None,
    json: Annotated[
        Path | None, _option("Where the record goes; default: `load/` in the state folder.", RUN)
    ] = None,
    arrivals: Annotated[
        str | None, _option("poisson, constant, ramp, spike, replay or closed.", ARRIVALS)
    ] = None,
    rate: Annotated[float | None, _option("Queries a second.", ARRIVALS)] = None,
    to: Annotated[float | None, _option("The rate at the end of a ramp, or in a spike.", ARRIVALS)] = None,
    spike_at: Annotated[float | None, _option("Seconds until the spike.", ARRIVALS)] = None,
    spike_for: Annotated[float | None, _option("Seconds that it lasts.", ARRIVALS)] = None,
    clients: Annotated[
        int | None, _option("So many clients, each asks again once it is answered.", ARRIVALS)
    ] = None,
    trace: Annotated[
        Path | None, _option("JSON lines or CSV with at_s, question, route, tenant.", ARRIVALS)
    ] = None,
    speed: Annotated[float | None, _option("Replay so many times as fast.", ARRIVALS)] = None,
    questions: Annotated[
        list[str] | None,
        _option("documents, sql, both, direct or a file of questions, as sql=3; again for more.", MIX),
    ] = None,
    skip_router: Annotated[
        bool, _option("Send built-in questions the way they are about.", MIX, "--skip-router")
    ] = False,
    tenant: Annotated[list[str] | None, _option("A tenant and its share, as acme=3.", MIX)] = None,
    door: Annotated[list[str] | None, _option("http, nats or openai and its share, as nats=1.", MIX)] = None,
    cancel: Annotated[float | None, _option("Share of clients that cancel, 0 to 1.", CLIENTS)] = None,
    resume: Annotated[float | None, _option("Share that disconnect and read on elsewhere.", CLIENTS)] = None,
    slow: Annotated[float | None, _option("Share that read slowly.", CLIENTS)] = None,
    retry_refused: Annotated[
        bool | None, _option("Come again when refused, as the door says.", CLIENTS, "--retry-refused")
    ] = None,
    url: Urls = None,
    key: options.Key = None,
    nats_url: options.NatsUrl = None,
    journal: Annotated[Path | None, _option("Folder of simulated engines' journals.", WHERE)] = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Send queries as a scenario says, read every answer, and judge each against the durable log.

    Latency counts from the moment a query was due, not from when it was sent. Exit status 1: a promise was
    broken; the log of each such query is printed. Ctrl-C stops the asking and lets answers end.

        askfleet load run --rate 20 --seconds 60

        askfleet load run --arrivals ramp --rate 1 --to 50 --questions sql --questions documents=3

        askfleet load run --clients 64 --seconds 30 --cancel 0.05 --resume 0.1

        askfleet load run --url https://ask.example.org --key ... --tenant acme --trace monday.jsonl --speed 2

        askfleet load run peak.yaml --json peak.json
    """
    from askfleet.load import Plan, Target, record_file  # the judge takes its time to load
    from askfleet.load import run as run_load
    from askfleet.load_plan import Flags, planned

    state = StateFolder(state_dir)
    flags = Flags(
        scenario,
        {
            "seconds": seconds,
            "seed": seed,
            "deadline_s": deadline,
            "grace_s": grace,
            "max_tokens": max_tokens,
        },
        {
            "kind": arrivals,
            "rate": rate,
            "to": to,
            "at_s": spike_at,
            "for_s": spike_for,
            "clients": clients,
            "file": str(trace) if trace is not None else None,
            "speed": speed,
        },
        {"cancel": cancel, "resume": resume, "slow": slow, "retry_refused": retry_refused},
        questions=questions or (),
        tenants=tenant or (),
        doors=door or (),
        skip_router=skip_router,
    )
    target = Target(state, tuple(url or ()), key, nats_url, journal)
    plan = Plan(planned(flags), target, record_file(json, state), command_line(sys.argv[1:]))
    raise typer.Exit(run_load(plan, Console()))


def command_line(arguments: Sequence[str]) -> str:
    """What was run, for the record; without secrets, since records are passed on."""
    shown: list[str] = []
    for argument in arguments:
        if shown and shown[-1] in SECRETS:
            shown.append("...")
        elif argument.startswith(tuple(f"{name}=" for name in SECRETS)):
            shown.append(f"{argument.partition('=')[0]}=...")
        else:
            shown.append(argument)
    return shlex.join(["askfleet", *shown])
