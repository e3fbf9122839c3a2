"""`askfleet ingest`: sends documents to the ingest workers and follows what becomes of each."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from contracts.document import Document, Outcome
from contracts.errors import AskfleetError, TransientError

Publish = Callable[[Document], Awaitable[None]]


@dataclass(frozen=True)
class Pace:
    """`in_flight` documents wait for their outcome at once; `silence_s` without any outcome ends the wait."""

    in_flight: int = 64
    silence_s: float = 60.0


class Summary(BaseModel):
    """What became of a run; `failures` has a problem with a remedy for each document that failed."""

    model_config = ConfigDict(frozen=True)

    indexed: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    chunks: int = Field(default=0, description="passages of the documents that were indexed")
    seconds: float = 0.0
    failures: tuple[Outcome, ...] = ()

    @property
    def exit_code(self) -> int:
        return 1 if self.failed else 0


async def ingest(
    documents: Iterable[Document | Outcome],
    publish: Publish,
    outcomes: AsyncIterator[Outcome],
    console: Console,
    *,
    pace: Pace = Pace(),
) -> Summary:
    """Publish every document and wait for its outcome.

    `outcomes` may carry those of others; they are passed over. It must be subscribed before the call. An
    error of ours that `publish` raises fails that document alone, and so does an outcome in `documents`.
    """
    with Tally(console) as tally:
        await _Run(publish, pace, tally).finish(documents, outcomes)
    return tally.summary()


def report(summary: Summary, console: Console) -> None:
    """The failures as a table, then one line of totals."""
    if summary.failures:
        table = Table("File", "Problem", "What to do", title="Not indexed", title_justify="left")
        for outcome in summary.failures:
            problem = outcome.problem
            table.add_row(
                outcome.document_id, problem.detail if problem else "", problem.remedy if problem else ""
            )
        console.print(table)
    console.print(
        f"{summary.indexed} indexed ({summary.chunks} passages), {summary.unchanged} unchanged, "
        f"{summary.deleted} deleted, {summary.failed} failed in {summary.seconds:.1f} s"
    )


class Tally:
    """Counts outcomes, shows a progress bar on a terminal while it is entered, and makes the summary."""

    def __init__(self, console: Console, *, kept_failures: int | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("reading", total=None)
        self._kept_failures = kept_failures
        self._found = 0
        self._started = monotonic()
        self._counts: Counter[str] = Counter()
        self._chunks = 0
        self._failures: list[Outcome] = []

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def found(self, number: int = 1) -> None:
        self._found += number

    def all_found(self) -> None:
        self._progress.update(self._task, total=self._found, description="indexing")

    def count(self, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        self._chunks += outcome.chunks if outcome.status == "indexed" else 0
        if outcome.status == "failed" and len(self._failures) != self._kept_failures:
            self._failures.append(outcome)
        self._progress.update(self._task, completed=self._counts.total(), description=str(self))

    def __str__(self) -> str:
        return ", ".join(f"{number} {status}" for status, number in self._counts.items())

    def summary(self) -> Summary:
        return Summary(
            indexed=self._counts["indexed"],
            unchanged=self._counts["unchanged"],
            deleted=self._counts["deleted"],
            failed=self._counts["failed"],
            chunks=self._chunks,
            seconds=round(monotonic() - self._started, 3),
            failures=tuple(self._failures),
        )


class _Run:
    """Counts what is under way; one task sends while another receives."""

    def __init__(self, publish: Publish, pace: Pace, tally: Tally) -> None:
        self._publish = publish
        self._pace = pace
        self._tally = tally
        self._slots = asyncio.Semaphore(pace.in_flight)
        self._waiting: Counter[str] = Counter()
        self._settled = asyncio.Event()
        self._last_news = monotonic()

    async def finish(self, documents: Iterable[Document | Outcome], outcomes: AsyncIterator[Outcome]) -> None:
        sender = asyncio.create_task(self._send(documents))
        others = [asyncio.create_task(self._receive(outcomes)), asyncio.create_task(self._watch())]
        try:
            # The sender ends when all is settled; another that ends first means that nothing more will come.
            done, _ = await asyncio.wait([sender, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._give_up()
        finally:
            for task in (sender, *others):
                task.cancel()
            await asyncio.gather(sender, *others, return_exceptions=True)

    async def _send(self, documents: Iterable[Document | Outcome]) -> None:
        source = iter(documents)
        while (item := await asyncio.to_thread(next, source, None)) is not None:
            self._tally.found()
            if isinstance(item, Outcome):
                self._tally.count(item)
            else:
                await self._send_one(item)
        self._tally.all_found()
        while self._waiting:
            self._settled.clear()
            await self._settled.wait()

    async def _send_one(self, document: Document) -> None:
        await self._slots.acquire()
        # Counted before it is sent: the outcome may arrive before the publish returns.
        self._waiting[document.id] += 1
        try:
            await self._publish(document)
        except AskfleetError as error:
            self._settle(Outcome(document_id=document.id, status="failed", problem=error.problem()))
        self._last_news = monotonic()

    async def _receive(self, outcomes: AsyncIterator[Outcome]) -> None:
        async for outcome in outcomes:
            if outcome.document_id in self._waiting:
                self._settle(outcome)

    async def _watch(self) -> None:
        """Ends when documents wait and nothing was heard for `silence_s`."""
        while True:
            left = self._last_news + self._pace.silence_s - monotonic()
            if left <= 0 and self._waiting:
                return
            await asyncio.sleep(max(left, self._pace.silence_s / 10))

    def _settle(self, outcome: Outcome) -> None:
        self._last_news = monotonic()
        self._waiting[outcome.document_id] -= 1
        self._waiting += Counter()
        self._slots.release()
        self._tally.count(outcome)
        if not self._waiting:
            self._settled.set()

    def _give_up(self) -> None:
        error = TransientError(
            f"No ingest worker reported on it within {self._pace.silence_s:g} s.",
            remedy="See `askfleet status`: documents that were sent stay queued until a worker takes them.",
        )
        for document_id in sorted(self._waiting.elements()):
            self._tally.count(Outcome(document_id=document_id, status="failed", problem=error.problem()))
        self._waiting.clear()
