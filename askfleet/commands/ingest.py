"""`askfleet ingest`: documents of a folder, of Jira or of Zendesk into the index."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from askfleet.local.state import StateFolder
from bus.connection import connect
from bus.documents import outcomes, publish_document
from bus.settings import BusSettings
from contracts.document import Document, Outcome
from contracts.errors import Misconfigured


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
        Engine,
        typer.Option(
            help="workers (the queue), or ray (a cluster, straight into Milvus; for several machines)."
        ),
    ] = Engine.WORKERS,
    ray_address: Annotated[
        str | None,
        typer.Option(
            envvar="AF_RAY_ADDRESS", help="ray: `auto` for the cluster of this machine; default: a new one."
        ),
    ] = None,
    milvus_uri: Annotated[
        str | None,
        typer.Option(
            envvar="AF_MILVUS_URI",
            help="Where ray writes, and where missing files are looked for; default: the local stack's.",
        ),
    ] = None,
    delete_missing: Annotated[
        bool,
        typer.Option("--delete-missing", help="Delete what came from this folder and is no longer in it."),
    ] = False,
    delete_most: Annotated[
        bool,
        typer.Option("--delete-most", help="With --yes: also where more would be deleted than stays."),
    ] = False,
    yes: options.Yes = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Index Markdown, HTML, PDF, text and JSON lines; unchanged documents are skipped.

    A file that can't be read is reported at the end and does not stop the others. What was cut off goes on
    where it was when it is run again.

    Files that are gone stay in the index, and are counted, unless --delete-missing is given. Those of another
    folder of the tenant count too where both have the same --address or none: give each folder its own. With
    --yes nothing is deleted where that would be more than stays.

        askfleet ingest docs/

        askfleet ingest docs/ --delete-missing

        askfleet ingest ~/handbook --include '*.md' --address https://handbook.example.org/

        askfleet ingest --engine ray /mnt/corpus --ray-address auto
    """
    if delete_missing and path.is_file():
        raise Misconfigured("--delete-missing takes a folder, not a file.", remedy="Give its folder.")
    chosen = Folder(path, Selection(tuple(include or ()), tuple(exclude or ())), address)
    chosen.check_root()
    on_ray = engine is Engine.RAY
    if on_ray:
        from askfleet.bulk import check_installed

        check_installed()
    console = Console()
    state = StateFolder(state_dir)
    if milvus_uri is None and (on_ray or nats_url is None):
        milvus_uri = state.running_stack().milvus_uri
    if delete_missing and milvus_uri is None:
        raise Misconfigured("--delete-missing has to read the index.", remedy="Add --milvus-uri.")
    if on_ray:
        way: _Direct | _Queued = _Direct(tenant, console, milvus_uri or "", ray_address)
    else:
        way = _Queued(tenant, console, options.bus_settings(state, nats_url, tenant=tenant))
    summary = way.index(chosen)
    report(summary, console)
    failed = summary.exit_code
    if milvus_uri is not None and path.is_dir():
        from askfleet.missing import Consent, settle_missing

        delete, consent = way.delete if delete_missing else None, Consent(yes, to_most=delete_most)
        done = settle_missing(chosen, tenant, console, milvus_uri=milvus_uri, consent=consent, delete=delete)
        failed = max(failed, done.exit_code)
    raise typer.Exit(failed)


@dataclass(frozen=True)
class _Queued:
    """The ingest workers do it."""

    tenant: str
    console: Console
    settings: BusSettings

    def index(self, folder: Folder) -> Summary:
        return asyncio.run(ingest_folder(folder, self.settings, tenant=self.tenant, console=self.console))

    def delete(self, documents: Sequence[Document]) -> Summary:
        done = asyncio.run(_send(documents, self.settings, tenant=self.tenant, console=self.console))
        report(done, self.console)
        return done


@dataclass(frozen=True)
class _Direct:
    """Ray does it, straight into Milvus."""

    tenant: str
    console: Console
    milvus_uri: str
    ray_address: str | None

    def index(self, folder: Folder) -> Summary:
        # Here and not above: the models and clients of a worker take a second to import.
        from askfleet.bulk import RaySettings, ingest_in_bulk, job_of

        settings = RaySettings(address=self.ray_address) if self.ray_address else RaySettings()
        job = job_of(folder, self.tenant, settings, milvus_uri=self.milvus_uri)
        return ingest_in_bulk(job, settings, self.console)

    def delete(self, documents: Sequence[Document]) -> Summary:
        from askfleet.missing import delete_directly

        done = asyncio.run(delete_directly(documents, self.tenant, milvus_uri=self.milvus_uri))
        report(done, self.console)
        return done


async def ingest_folder(folder: Folder, settings: BusSettings, *, tenant: str, console: Console) -> Summary:
    """Send the folder's documents for a tenant and wait for the outcome of each."""
    return await _send(folder.documents(), settings, tenant=tenant, console=console)


async def _send(
    documents: Iterable[Document | Outcome], settings: BusSettings, *, tenant: str, console: Console
) -> Summary:
    async with connect(settings, name="askfleet-ingest") as bus, outcomes(bus, tenant) as reported:

        async def publish(document: Document) -> None:
            await publish_document(bus, tenant, document)

        return await send(documents, publish, reported, console)
