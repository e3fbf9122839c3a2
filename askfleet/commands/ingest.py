"""`askfleet ingest`: documents of a folder into the index."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from askfleet.commands import options
from askfleet.folder import Folder, Selection
from askfleet.ingest import Summary, report
from askfleet.ingest import ingest as send
from askfleet.state import StateFolder
from bus.connection import connect
from bus.documents import outcomes, publish_document
from bus.settings import BusSettings
from contracts.document import Document


def ingest(
    path: Annotated[Path, typer.Argument(help="A folder, or one file.")],
    tenant: options.Tenant = options.TENANT,
    include: Annotated[
        list[str] | None, typer.Option(help="Only these, as *.md; may be given again.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out, as drafts/*; may be given again.")
    ] = None,
    address: Annotated[
        str, typer.Option(help="Put before each path to make the source that answers cite.")
    ] = "",
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Index Markdown, HTML, PDF, text and JSON lines; unchanged documents are skipped.

    A file that can't be read is reported at the end and does not stop the others.

        askfleet ingest docs/

        askfleet ingest ~/handbook --include '*.md' --address https://handbook.example.org/
    """
    selection = Selection(tuple(include or ()), tuple(exclude or ()))
    folder = Folder(path, selection, address)
    console = Console()
    settings = options.bus_settings(StateFolder(state_dir), nats_url, tenant=tenant)
    summary = asyncio.run(ingest_folder(folder, settings, tenant=tenant, console=console))
    report(summary, console)
    raise typer.Exit(summary.exit_code)


async def ingest_folder(folder: Folder, settings: BusSettings, *, tenant: str, console: Console) -> Summary:
    """Send the folder's documents for a tenant and wait for the outcome of each."""
    async with connect(settings, name="askfleet-ingest") as bus, outcomes(bus, tenant) as reported:

        async def publish(document: Document) -> None:
            await publish_document(bus, tenant, document)

        return await send(folder.documents(), publish, reported, console)
