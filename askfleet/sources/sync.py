"""A source into the index: page by page, what changed is sent, what arrived is written down."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import structlog
from pydantic import BaseModel, ConfigDict

from askfleet.ingest import Summary
from askfleet.sources.census import Analysis, Census
from askfleet.sources.exports import failure
from askfleet.sources.ledger import Ledger, digest
from askfleet.sources.passes import Cursor, Page, Source, begin, ended
from askfleet.sources.records import Record
from askfleet.sources.rendering import Cleaning, Rendered, rendered
from contracts.document import Document, Outcome
from contracts.errors import InvalidDocument, Misconfigured

_log = structlog.get_logger("askfleet.sources")
_SWEEP = 500
_FAILURES_KEPT = 1_000
_DOCUMENTS = ("jira:", "zendesk:")
"""How the ids of documents begin; a failure of another name is a file's."""

Deliver = Callable[[list[Document | Outcome]], Awaitable[Summary]]
"""Send documents and wait for what became of each."""
Progress = Callable[[Summary], None]


@dataclass(frozen=True)
class Order:
    """What a run is asked to do."""

    cleaning: Cleaning = field(default_factory=Cleaning)
    since: str = ""
    full: bool = False
    limit: int = 1_000_000
    dry_run: bool = False


class Report(BaseModel):
    """`complete` is False when the run stopped before the end; the next one goes on there."""

    model_config = ConfigDict(frozen=True)

    complete: bool
    sent: Summary
    analysis: Analysis

    @property
    def exit_code(self) -> int:
        return 0 if self.complete and not self.sent.failed else 1


async def synchronise(
    source: Source, ledger: Ledger, deliver: Deliver, order: Order, *, progress: Progress = lambda _: None
) -> Report:
    """Bring the index in line with the source.

    Raises:
        Misconfigured: an option or the token is wrong, or a full pass met nothing where documents were known.
        TransientError: the service does not answer; what was done until then is kept.
    """
    run = _Run(source, ledger, deliver, order)
    await run.through(progress)
    return Report(complete=run.complete, sent=run.summary(), analysis=run.census.analysis())


class _Run:
    def __init__(self, source: Source, ledger: Ledger, deliver: Deliver, order: Order) -> None:
        self._source = source
        self._ledger = ledger
        self._deliver = deliver
        self._order = order
        self._done = Summary()
        self._started = monotonic()
        self._met = 0
        self._unread = False
        self.census = Census()
        self.complete = False

    def summary(self) -> Summary:
        return self._done.model_copy(update={"seconds": round(monotonic() - self._started, 3)})

    async def through(self, progress: Progress) -> None:
        stored = self._ledger.cursor(self._source.origin)
        cursor = begin(stored, since=self._order.since, full=self._order.full, now=datetime.now(UTC))
        async with aclosing(self._source.pages(cursor)) as pages:
            async for page in pages:
                arrived = await self._page(page, cursor)
                progress(self.summary())
                if not arrived:
                    return
                cursor = page.after
                if page.last:
                    await self._end(cursor)
                    return
                if self._met >= self._order.limit:
                    _log.info("stopped at the limit", action="source-limit", records=self._met)
                    return

    async def _page(self, page: Page, cursor: Cursor) -> bool:
        """False when some documents did not arrive: the page has to be read once more."""
        changed: list[Document | Outcome] = []
        same: list[str] = []
        for item in page.items:
            made = self._made(item)
            if isinstance(made, Outcome):
                changed.append(made)
                same.append(made.document_id)
                self._unread = self._unread or not made.document_id.startswith(_DOCUMENTS)
            elif self._is_known(made):
                same.append(made.id)
            else:
                changed.append(made)
        self._met += len(page.items)
        after = "" if page.last else page.after.model_copy(update={"run": cursor.run}).model_dump_json()
        self._ledger_seen(same, cursor)
        unchanged = len(same) - sum(isinstance(item, Outcome) for item in changed)
        return await self._send(changed, cursor, after=after, unchanged=unchanged)

    def _made(self, item: Record | Outcome) -> Document | Outcome:
        if isinstance(item, Outcome):
            return item
        try:
            made: Rendered = rendered(item, self._order.cleaning)
        except InvalidDocument as error:
            return failure(item.id, error)
        self.census.add(item, made)
        return made.document

    def _is_known(self, document: Document) -> bool:
        """Sent before just so."""
        return self._ledger.digest_of(document.id) == digest(document)

    async def _send(
        self, items: list[Document | Outcome], cursor: Cursor, *, after: str, unchanged: int = 0
    ) -> bool:
        if self._order.dry_run:
            self._count(_would(items), unchanged)
            return True
        sent = await self._deliver(items) if items else Summary()
        self._count(sent, unchanged)
        failed = {outcome.document_id for outcome in sent.failures}
        arrived = [item for item in items if isinstance(item, Document) and item.id not in failed]
        # What can't be read today can't be read tomorrow either: only what may succeed holds the page back.
        again = any(outcome.problem is not None and outcome.problem.retryable for outcome in sent.failures)
        digests = {document.id: digest(document) for document in arrived}
        self._ledger.keep(digests, origin=self._source.origin, run=cursor.run, cursor="" if again else after)
        return not again

    async def _end(self, cursor: Cursor) -> None:
        if cursor.full and not await self._sweep(cursor):
            return
        self.complete = True
        if not self._order.dry_run:
            self._ledger.keep(
                {}, origin=self._source.origin, run=cursor.run, cursor=ended(cursor).model_dump_json()
            )

    async def _sweep(self, cursor: Cursor) -> bool:
        """Delete what a full pass did not meet."""
        origin = self._source.origin
        if self._order.dry_run:
            return True
        if self._unread:
            _log.warning(
                "nothing is deleted: what could not be read may hold the documents that were not met",
                action="source-sweep-skipped",
            )
            return True
        gone = self._ledger.not_seen(origin=origin, run=cursor.run)
        if gone and len(gone) == self._ledger.number_of(origin):
            raise Misconfigured(
                f"A full pass through {origin} met none of the {len(gone):,} documents that are known.",
                remedy="Check --jql and what the token may read; nothing was deleted.",
            )
        for at in range(0, len(gone), _SWEEP):
            part: list[Document | Outcome] = [
                Document(id=name, action="delete") for name in gone[at : at + _SWEEP]
            ]
            if not await self._send(part, cursor, after=""):
                return False
        return True

    def _ledger_seen(self, same: list[str], cursor: Cursor) -> None:
        if same and not self._order.dry_run:
            self._ledger.seen(same, origin=self._source.origin, run=cursor.run)

    def _count(self, sent: Summary, unchanged: int) -> None:
        done = self._done
        self._done = Summary(
            indexed=done.indexed + sent.indexed,
            unchanged=done.unchanged + sent.unchanged + unchanged,
            deleted=done.deleted + sent.deleted,
            failed=done.failed + sent.failed,
            chunks=done.chunks + sent.chunks,
            failures=(*done.failures, *sent.failures)[:_FAILURES_KEPT],
        )


def _would(items: list[Document | Outcome]) -> Summary:
    failures = tuple(item for item in items if isinstance(item, Outcome))
    documents = [item for item in items if isinstance(item, Document)]
    deleted = sum(document.action == "delete" for document in documents)
    return Summary(indexed=len(documents) - deleted, deleted=deleted, failed=len(failures), failures=failures)
