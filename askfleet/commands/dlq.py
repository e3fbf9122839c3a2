"""`askfleet dlq ...`: what was given up, and what to do with it."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from askfleet.commands import options
from askfleet.confirmation import confirm
from askfleet.local.state import StateFolder
from askfleet.moments import ago, epoch_ms
from askfleet.progress import counted
from askfleet.screen import screen
from bus.connection import Bus, connect
from bus.dead_letter import DeadLetter, LetterFilter, forget_letter, read_letter, read_letters
from bus.operations import in_parallel
from bus.resubmission import NotReplayable, Replayed, plan
from bus.resubmission import replay as replay_letter
from bus.settings import BusSettings
from bus.topology import STAGES
from contracts.errors import AnswerNotFound, Misconfigured

DEFAULT_LIMIT = 100
LONGEST_REASON = 60

dlq = typer.Typer(
    help="Work that was given up: look at it, work it again, throw it away.\n\n    askfleet dlq list",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Numbers = Annotated[
    list[int] | None,
    typer.Argument(help="Numbers of letters, as `dlq list` shows them.", metavar="NUMBER"),
]
Stage = Annotated[str | None, typer.Option(help=f"Given up by this stage: {', '.join(STAGES)}.")]
Tenant = Annotated[str | None, typer.Option(help="Of this tenant.")]
Code = Annotated[str | None, typer.Option(help="With this error code, as dependency-unavailable.")]
Since = Annotated[str | None, typer.Option(help="Given up since: 30m, 2h, 7d, or 2026-07-01T12:00.")]
QueryId = Annotated[str | None, typer.Option(help="Of this query.")]
Limit = Annotated[int, typer.Option(min=0, help="At most so many, oldest first; 0: all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Everything = Annotated[
    bool, typer.Option("--all", help="Needed where neither numbers nor a filter are given.")
]


@dlq.command("list")
def list_letters(
    stage: Stage = None,
    tenant: Tenant = None,
    code: Code = None,
    since: Since = None,
    query_id: QueryId = None,
    limit: Limit = DEFAULT_LIMIT,
    as_json: AsJson = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """List dead letters, oldest first.

    askfleet dlq list

    askfleet dlq list --stage generation --since 2h --json
    """
    chosen = _filter(stage, tenant, code, since, query_id=query_id, limit=limit)
    found = asyncio.run(_read(_settings(nats_url, state_dir), chosen))
    if as_json:
        for letter in found:
            typer.echo(letter.model_dump_json())
        return
    screen().print(letter_table(found) if found else "no dead letters")
    if limit and len(found) == limit:
        typer.echo(f"the first {limit}; --limit 0 shows all", err=True)


@dlq.command()
def show(
    number: Annotated[int, typer.Argument(help="Number of a letter, as `dlq list` shows it.")],
    as_json: AsJson = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Show one dead letter whole: reason, attempts, trace id, where it came from, headers, body.

    askfleet dlq show 17
    """
    letter = asyncio.run(_read_one(_settings(nats_url, state_dir), number))
    whole = letter.model_dump(mode="json") | {"headers": letter.headers, "body": decoded(letter.body)}
    if as_json:
        typer.echo(json.dumps(whole, ensure_ascii=False))
        return
    for name, value in _lines(letter):
        typer.echo(f"{name:<10}{value}")
    typer.echo("headers")
    for name, value in sorted(letter.headers.items()):
        typer.echo(f"  {name}: {value}")
    typer.echo("body")
    typer.echo(json.dumps(whole["body"], indent=2, ensure_ascii=False))


@dlq.command()
def replay(
    numbers: Numbers = None,
    stage: Stage = None,
    tenant: Tenant = None,
    code: Code = None,
    since: Since = None,
    query_id: QueryId = None,
    limit: Limit = 0,
    everything: Everything = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    as_json: AsJson = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Work dead letters again, each once, however often this is repeated.

    A query is asked anew under an id of its own, `<id>-r1`, since its answer has ended as failed; it passes
    all stages again and has as much time as before. A document is indexed as if it had just been sent. What
    was replayed leaves the dead letters.

        askfleet dlq replay 17 18

        askfleet dlq replay --stage sql --code dependency-unavailable --dry-run

        askfleet dlq replay --since 2h --yes
    """
    _need_choice(numbers, [stage, tenant, code, since, query_id], everything=everything)
    chosen = _filter(stage, tenant, code, since, query_id=query_id, limit=limit, numbers=numbers)
    settings = _settings(nats_url, state_dir)
    done = asyncio.run(_replay(settings, chosen, dry_run=dry_run, yes=yes))
    for found in done:
        if as_json:
            typer.echo(found.model_dump_json())
        else:
            typer.echo(("dry run: " if dry_run else "") + _told(found))
    counts = Counter(found.outcome for found in done)
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))
    typer.echo(("would be: " if dry_run else "") + (told or "no dead letters"), err=True)
    if counts["impossible"] and not dry_run:
        raise typer.Exit(1)


@dlq.command()
def purge(
    numbers: Numbers = None,
    stage: Stage = None,
    tenant: Tenant = None,
    code: Code = None,
    since: Since = None,
    query_id: QueryId = None,
    limit: Limit = 0,
    everything: Everything = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Throw dead letters away for good.

    askfleet dlq purge 17

    askfleet dlq purge --tenant acme --code undecodable --dry-run

    askfleet dlq purge --all --yes
    """
    _need_choice(numbers, [stage, tenant, code, since, query_id], everything=everything)
    chosen = _filter(stage, tenant, code, since, query_id=query_id, limit=limit, numbers=numbers)
    asyncio.run(_purge(_settings(nats_url, state_dir), chosen, dry_run=dry_run, yes=yes))


def letter_table(letters: list[DeadLetter]) -> Table:
    table = Table(
        "number",
        "age",
        "stage",
        "tenant",
        "query",
        "attempts",
        "code",
        "reason",
        box=None,
        header_style="bold",
    )
    for letter in letters:
        reason = letter.reason
        short = reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 3]}..."
        table.add_row(
            str(letter.sequence),
            ago(letter.buried_at),
            letter.stage,
            letter.tenant,
            letter.query_id,
            str(letter.attempts),
            letter.code,
            short,
        )
    return table


def decoded(body: bytes) -> object:
    """JSON where it is JSON, else text, else hexadecimal digits."""
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"hex": body.hex()}


def _lines(letter: DeadLetter) -> list[tuple[str, str]]:
    return [
        ("number", str(letter.sequence)),
        ("stage", letter.stage),
        ("tenant", letter.tenant),
        ("query", letter.query_id),
        ("code", letter.code),
        ("reason", letter.reason),
        ("attempts", str(letter.attempts)),
        ("trace", letter.trace_id),
        ("subject", letter.subject),
        ("sent", _moment(letter.sent_at)),
        ("given up", _moment(letter.buried_at)),
    ]


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).isoformat(timespec="milliseconds") if at_ms else ""


def _told(found: Replayed) -> str:
    new = f" as {found.query_id}" if found.query_id else ""
    note = f": {found.note}" if found.note else ""
    return f"{found.sequence} {found.outcome}{new}{note}"


def _need_choice(numbers: list[int] | None, filters: list[str | None], *, everything: bool) -> None:
    if not numbers and not any(filters) and not everything:
        raise Misconfigured("No dead letters were chosen.", remedy="Give numbers, a filter, or --all.")


def _filter(
    stage: str | None,
    tenant: str | None,
    code: str | None,
    since: str | None,
    *,
    query_id: str | None,
    limit: int,
    numbers: list[int] | None = None,
) -> LetterFilter:
    if stage and stage not in STAGES:
        raise Misconfigured(f"There is no stage {stage!r}.", remedy=f"The stages are {', '.join(STAGES)}.")
    return LetterFilter(
        stage=stage or "",
        tenant=tenant or "",
        code=code or "",
        query_id=query_id or "",
        since_ms=epoch_ms(since) if since else 0,
        sequences=tuple(numbers or ()),
        limit=limit,
    )


def _settings(nats_url: str | None, state_dir: options.StateDir) -> BusSettings:
    return options.bus_settings(StateFolder(state_dir), nats_url)


async def _read(settings: BusSettings, chosen: LetterFilter) -> list[DeadLetter]:
    async with connect(settings, name="askfleet-dlq") as bus:
        return [letter async for letter in read_letters(bus, chosen)]


async def _read_one(settings: BusSettings, number: int) -> DeadLetter:
    async with connect(settings, name="askfleet-dlq") as bus:
        letter = await read_letter(bus, number)
    if letter is None:
        raise AnswerNotFound(f"There is no dead letter {number}.", remedy="See `askfleet dlq list`.")
    return letter


async def _replay(settings: BusSettings, chosen: LetterFilter, *, dry_run: bool, yes: bool) -> list[Replayed]:
    async with connect(settings, name="askfleet-dlq") as bus:
        letters = [letter async for letter in read_letters(bus, chosen)]
        if dry_run:
            return [await _would_replay(bus, letter) for letter in letters]
        if letters:
            confirm(f"Work {len(letters):,} dead letter(s) again?", yes=yes)

        async def one(letter: DeadLetter) -> Replayed:
            return await replay_letter(bus, letter.sequence)

        done = counted(in_parallel(letters, one), Console(stderr=True), "replaying", total=len(letters))
        found = [replayed async for replayed in done]
    missing = set(chosen.sequences) - {letter.sequence for letter in letters}
    gone = [Replayed(sequence=number, outcome="already", note="not on the DLQ") for number in missing]
    return sorted([*found, *gone], key=lambda replayed: replayed.sequence)


async def _would_replay(bus: Bus, letter: DeadLetter) -> Replayed:
    try:
        planned = await plan(bus, letter)
    except NotReplayable as error:
        return Replayed(sequence=letter.sequence, outcome="impossible", note=error.detail)
    return Replayed(
        sequence=letter.sequence, outcome="replayed", query_id=planned.query_id, note=planned.subject
    )


async def _purge(settings: BusSettings, chosen: LetterFilter, *, dry_run: bool, yes: bool) -> None:
    async with connect(settings, name="askfleet-dlq") as bus:
        letters = [letter.sequence async for letter in read_letters(bus, chosen)]
        if dry_run or not letters:
            typer.echo(f"would purge {len(letters):,}" if letters else "no dead letters")
            return
        confirm(f"Throw {len(letters):,} dead letter(s) away?", yes=yes)

        async def one(sequence: int) -> bool:
            return await forget_letter(bus, sequence)

        gone = counted(in_parallel(letters, one), Console(stderr=True), "purging", total=len(letters))
        purged = sum([deleted async for deleted in gone])
    typer.echo(f"purged {purged:,}")
