"""`askfleet ingest jira` and `askfleet ingest zendesk`: exports, or the services themselves."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from askfleet.commands import options
from askfleet.ingest import report
from askfleet.local.state import StateFolder
from contracts.errors import Misconfigured

if TYPE_CHECKING:
    from askfleet.sources.rendering import Cleaning
    from askfleet.sources.session import Task
    from askfleet.sources.sync import Order

_Place = Annotated[
    str, typer.Argument(metavar="PATH|URL", help="An export (file or folder), or the service.")
]
_Since = Annotated[str, typer.Option(help="Read what changed since: 2026-01-31 or 2026-01-31T08:00:00Z.")]
_Full = Annotated[bool, typer.Option("--full", help="Read everything, and delete what is no longer there.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]
_Limit = Annotated[int, typer.Option(min=1, help="Stop after so many records; the next run goes on there.")]
_PageSize = Annotated[int, typer.Option(min=1, max=1000, help="Records that are asked for at once.")]
_Unmasked = Annotated[
    list[str] | None,
    typer.Option("--no-mask", help="Leave as it is: secrets, iban, card, email, phone or all; repeatable."),
]
_Signatures = Annotated[bool, typer.Option("--keep-signatures", help="Keep the signatures of mails.")]
_Quotes = Annotated[bool, typer.Option("--keep-quotes", help="Keep the mails that a mail quotes.")]
_Public = Annotated[
    bool, typer.Option("--public-only", help="Leave out internal notes and restricted comments.")
]
_LIMIT = 1_000_000


def jira(
    place: _Place,
    tenant: options.Tenant = options.TENANT,
    jql: Annotated[str, typer.Option(help="Only these issues of the service, as 'project = HELP'.")] = "",
    api: Annotated[int, typer.Option(help="2 or 3; default: 3 for *.atlassian.net, else 2.")] = 0,
    since: _Since = "",
    full: _Full = False,
    dry_run: options.DryRun = False,
    as_json: _Json = False,
    limit: _Limit = _LIMIT,
    page_size: _PageSize = 100,
    no_mask: _Unmasked = None,
    keep_signatures: _Signatures = False,
    keep_quotes: _Quotes = False,
    public_only: _Public = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Index issues with their comments; only what changed since the last run is read and sent.

    The token comes from AF_JIRA_TOKEN, or from the file that AF_JIRA_TOKEN_FILE names. With AF_JIRA_EMAIL it
    is an API token of Jira Cloud, without one a personal access token of Jira Data Center.

        askfleet ingest jira https://example.atlassian.net --jql 'project = HELP'

        askfleet ingest jira exports/issues.json --dry-run
    """
    from askfleet.sources.session import JiraChoice, Task
    from askfleet.sources.sync import Order

    if api not in (0, 2, 3):
        raise Misconfigured(f"--api {api} is not known.", remedy="Give 2 or 3, or leave it out.")
    version: Literal[2, 3] | None = 2 if api == 2 else 3 if api == 3 else None
    cleaning = _cleaning(no_mask, signatures=keep_signatures, quotes=keep_quotes, public_only=public_only)
    order = Order(cleaning, since=since, full=full, limit=limit, dry_run=dry_run)
    task = Task(place, tenant, page_size, JiraChoice(jql, version))
    _run(task, order, state_dir=StateFolder(state_dir), nats_url=nats_url, as_json=as_json)


def zendesk(
    place: _Place,
    tenant: options.Tenant = options.TENANT,
    tickets: Annotated[bool, typer.Option("--tickets/--no-tickets", help="Of the service.")] = True,
    articles: Annotated[bool, typer.Option("--articles/--no-articles", help="Of the service.")] = True,
    since: _Since = "",
    full: _Full = False,
    dry_run: options.DryRun = False,
    as_json: _Json = False,
    limit: _Limit = _LIMIT,
    page_size: _PageSize = 100,
    no_mask: _Unmasked = None,
    keep_signatures: _Signatures = False,
    keep_quotes: _Quotes = False,
    public_only: _Public = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Index tickets with their comments, and help-centre articles; only what changed is read and sent.

    The token comes from AF_ZENDESK_TOKEN, or from the file that AF_ZENDESK_TOKEN_FILE names. With
    AF_ZENDESK_EMAIL it is an API token, without one an OAuth token.

        askfleet ingest zendesk https://example.zendesk.com --since 2026-01-01

        askfleet ingest zendesk exports/ --dry-run --json
    """
    from askfleet.sources.session import Task, ZendeskChoice
    from askfleet.sources.sync import Order

    if not tickets and not articles:
        raise Misconfigured("--no-tickets and --no-articles leave nothing.", remedy="Leave one of them out.")
    cleaning = _cleaning(no_mask, signatures=keep_signatures, quotes=keep_quotes, public_only=public_only)
    order = Order(cleaning, since=since, full=full, limit=limit, dry_run=dry_run)
    task = Task(place, tenant, page_size, ZendeskChoice(tickets, articles))
    _run(task, order, state_dir=StateFolder(state_dir), nats_url=nats_url, as_json=as_json)


def _cleaning(no_mask: list[str] | None, *, signatures: bool, quotes: bool, public_only: bool) -> "Cleaning":
    from askfleet.sources.rendering import Cleaning
    from workers.shell.masking import RULES

    off = set(no_mask or ())
    if wrong := sorted(off - {*RULES, "all"}):
        raise Misconfigured(
            f"--no-mask {wrong[0]!r} is no rule.", remedy=f"Give one of {', '.join(RULES)}, all."
        )
    masks = () if "all" in off else tuple(rule for rule in RULES if rule not in off)
    return Cleaning(masks, signatures=not signatures, quotes=not quotes, internal=public_only)


def _run(
    task: "Task", order: "Order", *, state_dir: StateFolder, nats_url: str | None, as_json: bool
) -> None:
    """What was found and what became of it; with --json the progress goes to the standard error."""
    from askfleet.sources.census import show
    from askfleet.sources.session import run

    settings = None if order.dry_run else options.bus_settings(state_dir, nats_url, tenant=task.tenant)
    done = asyncio.run(run(task, order, state=state_dir, settings=settings, console=Console(stderr=as_json)))
    if as_json:
        typer.echo(done.model_dump_json(indent=2))
    else:
        console = Console()
        show(done.analysis, console)
        report(done.sent, console)
        if order.dry_run:
            console.print("Nothing was sent: --dry-run.")
        elif not done.complete:
            console.print("Not at the end yet: run the same command again to go on.")
    raise typer.Exit(done.exit_code)
