"""`askfleet cancel`: stop answers that are being written or wait."""

import asyncio
import os
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console

from askfleet.commands import options
from askfleet.confirmation import confirm
from askfleet.local.state import StateFolder
from askfleet.progress import counted
from askfleet.sse import cancel as cancel_answer
from askfleet.sse import open_client
from bus.connection import Bus, connect
from bus.operations import Fate, Scope, Target, cancel_target, find_targets, in_parallel
from bus.settings import BusSettings
from bus.topology import STAGES
from contracts.errors import AnswerNotFound, Misconfigured

SHOWN = 20


def cancel(
    answer_ids: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of queries, as `askfleet ask --json` shows them.", metavar="ANSWER_ID"),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="With ids: whose they are. Alone: every query of this tenant.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help=f"Everything at one stage: {', '.join(STAGES)}.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every query of every tenant.")] = False,
    flush: Annotated[
        bool,
        typer.Option("--flush", help="Only what waits in a queue; what a worker has in hand goes on."),
    ] = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    url: options.Url = None,
    key: options.Key = None,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Cancel answers, wherever they wait or are being written: by id, tenant or stage, or all.

    Each ends with a `cancelled` event, which its reader sees at once; work under way stops, and waiting
    messages leave their queues. What comes in later is not touched. Documents are taken off only with
    `--stage ingest`. More than ids asks for a confirmation. With `--url`, ids are cancelled over a bridge,
    with the tenant's key.

        askfleet cancel 0190c7a2b5d07f3c

        askfleet cancel --tenant acme --dry-run

        askfleet cancel --stage generation --flush

        askfleet cancel --all --yes
    """
    ids = answer_ids or []
    scope = _scope(ids, tenant, stage, everything=everything, flush=flush)
    owner = tenant or os.environ.get("AF_TENANT", options.TENANT)
    if ids and url and not nats_url:
        door = options.find_door(state_dir, tenant=owner, key=key, url=url)
        asyncio.run(_cancel_over_bridge(door, ids))
        return
    settings = options.bus_settings(StateFolder(state_dir), nats_url)
    named = tuple(Target(owner, "", found) for found in ids)
    asyncio.run(_cancel(settings, named or scope, dry_run=dry_run, yes=yes))


def _scope(ids: list[str], tenant: str | None, stage: str | None, *, everything: bool, flush: bool) -> Scope:
    """What was asked for, refused where it is not one thing. Raises Misconfigured."""
    if not ids and not tenant and not stage and not everything:
        raise Misconfigured("Nothing to cancel was named.", remedy="Give ids, --tenant, --stage or --all.")
    if ids and (stage or everything or flush):
        raise Misconfigured(
            "Ids name what to cancel already.", remedy="Leave --stage, --all and --flush out."
        )
    if everything and (tenant or stage):
        raise Misconfigured("--all is everything.", remedy="Leave --all out, or --tenant and --stage.")
    if stage and stage not in STAGES:
        raise Misconfigured(f"There is no stage {stage!r}.", remedy=f"The stages are {', '.join(STAGES)}.")
    return Scope(tenant=tenant or "", stage=stage or "", waiting_only=flush)


async def _cancel_over_bridge(door: options.Door, ids: list[str]) -> None:
    async with open_client(door.url) as client:
        for answer_id in ids:
            await cancel_answer(client, answer_id, headers={"Authorization": f"Bearer {door.key}"})
            typer.echo(f"cancelled {answer_id}")


async def _cancel(
    settings: BusSettings, wanted: Scope | tuple[Target, ...], *, dry_run: bool, yes: bool
) -> None:
    console = Console(stderr=True)
    async with connect(settings, name="askfleet-cancel") as bus:
        by_id = isinstance(wanted, tuple)
        targets = wanted if isinstance(wanted, tuple) else await find_targets(bus, wanted)
        if dry_run:
            show(targets)
            return
        if targets and not by_id:
            confirm(f"Cancel {_count(targets)}?", yes=yes)
        fates = await _cancel_all(bus, targets, console)
    _report(fates, targets, by_id=by_id)


async def _cancel_all(bus: Bus, targets: tuple[Target, ...], console: Console) -> Counter[Fate]:
    async def one(target: Target) -> Fate:
        return await cancel_target(bus, target)

    fates: Counter[Fate] = Counter()
    async for fate in counted(in_parallel(targets, one), console, "cancelling", total=len(targets)):
        fates[fate] += 1
    return fates


def show(targets: tuple[Target, ...]) -> None:
    typer.echo(f"would cancel {_count(targets)}")
    for target in targets[:SHOWN]:
        typer.echo(f"  {target.tenant}  {target.id or '(unreadable)'}  {target.stage}".rstrip())
    if len(targets) > SHOWN:
        typer.echo(f"  and {len(targets) - SHOWN:,} more")


def _report(fates: Counter[Fate], targets: tuple[Target, ...], *, by_id: bool) -> None:
    if by_id and fates["unknown"] == len(targets):
        raise AnswerNotFound(
            f"There is no answer {targets[0].id!r} of tenant {targets[0].tenant!r}.",
            remedy="Name its tenant with --tenant. Answers are kept for 15 minutes.",
        )
    parts = [f"cancelled {fates['cancelled']:,}"]
    if fates["ended"]:
        parts.append(f"{fates['ended']:,} had ended")
    if fates["unknown"]:
        parts.append(f"{fates['unknown']:,} not found")
    typer.echo(", ".join(parts))


def _count(targets: tuple[Target, ...]) -> str:
    tenants = len({target.tenant for target in targets})
    what = "1 item" if len(targets) == 1 else f"{len(targets):,} items"
    return f"{what} of {tenants} tenant{'' if tenants == 1 else 's'}"
