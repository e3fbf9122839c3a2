"""`askfleet ingest`: documents of a folder, of Jira or of Zendesk into the index."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer.core import TyperGroup

from askfleet.commands import ingest_sources, options
from askfleet.folder import Folder, Selection
from askfleet.ingest import Summary, report
from askfleet.ingest import ingest as send
from askfleet.state import StateFolder
from bus.connection import connect
from bus.documents import outcomes, publish_document
from bus.settings import BusSettings
from contracts.document import Document


class Engine(StrEnum):
    """Who does the work: the ingest workers, by way of their queue, or a Ray cluster."""

    WORKERS = "workers"
    RAY = "ray"


_FOLDER = "folder"
_HELP = ("--help",)


class _FolderFirst(TyperGroup):
    """`askfleet ingest docs/` is `askfleet ingest folder docs/`; a folder named `jira` is `./jira`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if args and args[0] not in self.commands and args[0] not in _HELP:
            args = [_FOLDER, *args]
        return super().parse_args(ctx, args)


ingest = typer.Typer(
    cls=_FolderFirst,
    help="""Index documents of a folder, of Jira or of Zendesk; unchanged ones are skipped.

    A folder's name alone is enough: `askfleet ingest docs/`. Each kind says more with --help.

        askfleet ingest docs/

        askfleet ingest jira https://example.atlassian.net --jql 'project = HELP'

        askfleet ingest zendesk exports/ --dry-run
    """,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
ingest.command()(ingest_sources.jira)
ingest.command()(ingest_sources.zendesk)


@ingest.command(_FOLDER)
def folder(
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
    engine: Annotated[
        Engine, typer.Option(help="workers (through the queue) or ray (a cluster, straight into Milvus).")
    ] = Engine.WORKERS,
    ray_address: Annotated[
        str | None,
        typer.Option(
            envvar="AF_RAY_ADDRESS", help="ray: `auto` for the cluster of this machine; default: a new one."
        ),
    ] = None,
    milvus_uri: Annotated[
        str | None,
        typer.Option(envvar="AF_MILVUS_URI", help="ray: where to write; default: the running local stack's."),
    ] = None,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Index Markdown, HTML, PDF, text and JSON lines; unchanged documents are skipped.

    A file that can't be read is reported at the end and does not stop the others. What was cut off goes on
    where it was when it is run again.

        askfleet ingest docs/

        askfleet ingest ~/handbook --include '*.md' --address https://handbook.example.org/

        askfleet ingest --engine ray /mnt/corpus --ray-address auto
    """
    selection = Selection(tuple(include or ()), tuple(exclude or ()))
    chosen = Folder(path, selection, address)
    console = Console()
    state = StateFolder(state_dir)
    if engine is Engine.RAY:
        uri = milvus_uri or state.running_stack().milvus_uri
        summary = _on_ray(chosen, tenant, console, ray_address=ray_address, milvus_uri=uri)
    else:
        settings = options.bus_settings(state, nats_url, tenant=tenant)
        summary = asyncio.run(ingest_folder(chosen, settings, tenant=tenant, console=console))
    report(summary, console)
    raise typer.Exit(summary.exit_code)


async def ingest_folder(folder: Folder, settings: BusSettings, *, tenant: str, console: Console) -> Summary:
    """Send the folder's documents for a tenant and wait for the outcome of each."""
    async with connect(settings, name="askfleet-ingest") as bus, outcomes(bus, tenant) as reported:

        async def publish(document: Document) -> None:
            await publish_document(bus, tenant, document)

        return await send(folder.documents(), publish, reported, console)


def _on_ray(
    folder: Folder, tenant: str, console: Console, *, ray_address: str | None, milvus_uri: str
) -> Summary:
    # Here and not above: the models and clients of a worker take a second to import.
    from askfleet.bulk import RaySettings, ingest_in_bulk, job_of

    settings = RaySettings(address=ray_address) if ray_address else RaySettings()
    return ingest_in_bulk(job_of(folder, tenant, settings, milvus_uri=milvus_uri), settings, console)
