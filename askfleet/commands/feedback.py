"""`askfleet feedback ...`: what readers think of the answers that they got."""

import asyncio
import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from askfleet.commands import options
from askfleet.local.state import StateFolder
from askfleet.moments import ago, epoch_ms
from askfleet.screen import screen
from bus.connection import connect
from bus.feedback import Given, read_feedback
from bus.settings import BusSettings

LONGEST_TEXT = 60

feedback = typer.Typer(
    help="What readers think of the answers that they got.\n\n    askfleet feedback list",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@feedback.callback()
def _group() -> None:
    """Without a callback, a lone command would be the whole group."""


@feedback.command("list")
def list_feedback(
    tenant: Annotated[str, typer.Option(help="Of this tenant.")] = "",
    since: Annotated[str | None, typer.Option(help="Given since: 30m, 2h, 7d, or 2026-07-01T12:00.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """List feedback, oldest first: the last word on each answer, for 30 days.

    askfleet feedback list

    askfleet feedback list --since 7d --json
    """
    settings = options.bus_settings(StateFolder(state_dir), nats_url)
    found = asyncio.run(_read(settings, tenant, epoch_ms(since) if since else 0))
    if as_json:
        for given in found:
            typer.echo(json.dumps(_whole(given), ensure_ascii=False))
        return
    screen().print(_table(found) if found else "no feedback")


async def _read(settings: BusSettings, tenant: str, since_ms: int) -> list[Given]:
    async with connect(settings, name="askfleet-feedback") as bus:
        return [given async for given in read_feedback(bus, tenant=tenant, since_ms=since_ms)]


def _whole(given: Given) -> dict[str, object]:
    return {
        "tenant": given.tenant,
        **given.feedback.model_dump(mode="json"),
        "trace_id": given.trace_id,
    }


def _table(found: list[Given]) -> Table:
    columns = ("age", "tenant", "answer", "rating", "took", "right", "question", "remark")
    table = Table(*columns, box=None, header_style="bold")
    for tenant, told, _ in found:
        took, right = (route.value if route else "" for route in (told.routed, told.route))
        table.add_row(
            ago(told.at),
            tenant,
            told.query_id,
            told.rating,
            took,
            right,
            _shown(told.question),
            _shown(told.text),
        )
    return table


def _shown(text: str) -> Text:
    """What strangers wrote: on one line, without markup and without control characters."""
    line = "".join(c for c in " ".join(text.split()) if c.isprintable())
    return Text(line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 3]}...")
