"""One run of `askfleet ingest jira` or `zendesk`: the source, the ledger, the bus, and a line of progress."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from rich.console import Console

from askfleet.ingest import Summary
from askfleet.ingest import ingest as send
from askfleet.local.state import StateFolder
from askfleet.sources.export_source import ExportSource
from askfleet.sources.jira_export import read_jira_export
from askfleet.sources.jira_rest import JiraSite
from askfleet.sources.ledger import Ledger
from askfleet.sources.passes import Source
from askfleet.sources.records import Kind
from askfleet.sources.sync import Deliver, Order, Progress, Report, synchronise
from askfleet.sources.web import Patience, Site, credentials
from askfleet.sources.zendesk_export import read_zendesk_export
from askfleet.sources.zendesk_rest import ZendeskSite
from bus import subjects
from bus.connection import connect
from bus.documents import outcomes, publish_document
from bus.settings import BusSettings
from contracts.document import Document, Outcome


@dataclass(frozen=True)
class JiraChoice:
    """Of a service: the issues, and the version of its interface, guessed from the host when None."""

    jql: str = ""
    api: Literal[2, 3] | None = None


@dataclass(frozen=True)
class ZendeskChoice:
    tickets: bool = True
    articles: bool = True


@dataclass(frozen=True)
class Task:
    """`place` is an address, or the path of an export."""

    place: str
    tenant: str
    page_size: int
    choice: JiraChoice | ZendeskChoice

    @property
    def kind(self) -> Kind:
        return "jira" if isinstance(self.choice, JiraChoice) else "zendesk"


async def run(
    task: Task, order: Order, *, state: StateFolder, settings: BusSettings | None, console: Console
) -> Report:
    """Synchronise; without `settings` nothing is sent, which only a dry run may.

    Raises:
        Misconfigured: a path, a token or an option is wrong, or another run holds the ledger.
        TransientError: the service or the bus does not answer.
    """
    # The tenant becomes a part of a path: refused here when it is no name.
    subjects.ingest(task.tenant)
    async with AsyncExitStack() as open_:
        source = await open_.enter_async_context(_source(task, order))
        path = state.data("sources") / task.tenant / f"{task.kind}.sqlite"
        ledger = open_.enter_context(_ledger(path, dry_run=order.dry_run))
        deliver = await open_.enter_async_context(_delivery(settings, task.tenant))
        progress = open_.enter_context(_shown(console, task.kind))
        return await synchronise(source, ledger, deliver, order, progress=progress)


@asynccontextmanager
async def _source(task: Task, order: Order) -> AsyncIterator[Source]:
    if not task.place.lower().startswith(("http://", "https://")):
        read = read_jira_export if task.kind == "jira" else read_zendesk_export
        yield ExportSource(Path(task.place), read, since=order.since)
        return
    async with Site(task.place, credentials(task.kind), patience=Patience()) as site:
        if isinstance(task.choice, JiraChoice):
            yield JiraSite(site, jql=task.choice.jql, api=task.choice.api, page_size=task.page_size)
        else:
            yield ZendeskSite(
                site, tickets=task.choice.tickets, articles=task.choice.articles, page_size=task.page_size
            )


@contextmanager
def _ledger(path: Path, *, dry_run: bool) -> Iterator[Ledger]:
    """A dry run that is the first leaves no file behind."""
    with TemporaryDirectory() as folder:
        chosen = path if path.exists() or not dry_run else Path(folder) / path.name
        with Ledger(chosen) as ledger:
            yield ledger


@asynccontextmanager
async def _delivery(settings: BusSettings | None, tenant: str) -> AsyncIterator[Deliver]:
    if settings is None:
        yield _nowhere
        return
    async with connect(settings, name="askfleet-ingest") as bus:
        quiet = Console(quiet=True)

        async def publish(document: Document) -> None:
            await publish_document(bus, tenant, document)

        async def deliver(items: list[Document | Outcome]) -> Summary:
            async with outcomes(bus, tenant) as reported:
                return await send(items, publish, reported, quiet)

        yield deliver


async def _nowhere(_: list[Document | Outcome]) -> Summary:
    return Summary()


@contextmanager
def _shown(console: Console, kind: Kind) -> Iterator[Progress]:
    """A line that changes on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(f"reading {kind}") as status:

        def update(done: Summary) -> None:
            status.update(
                f"{kind}: {done.indexed:,} indexed, {done.unchanged:,} unchanged, {done.deleted:,} deleted, "
                f"{done.failed:,} failed, {done.seconds:.0f} s"
            )

        yield update
