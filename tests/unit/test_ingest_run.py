import asyncio
import io
from collections.abc import AsyncIterator

from rich.console import Console

from askfleet.ingest import Pace, Summary, ingest, report
from contracts.document import Document, Outcome
from contracts.errors import InvalidDocument, QueueFull


class Workers:
    """Answers each published document through a queue a little later, as workers behind a bus would."""

    def __init__(self, *, silent: bool = False) -> None:
        self.outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self.published: list[str] = []
        self.most_waiting = 0
        self._silent = silent
        self._waiting = 0

    async def publish(self, document: Document) -> None:
        if document.id == "full":
            raise QueueFull("INGEST holds 10 documents.")
        self.published.append(document.id)
        self._waiting += 1
        self.most_waiting = max(self.most_waiting, self._waiting)
        if not self._silent:
            asyncio.get_running_loop().call_later(0.02, self._answer, document)

    def _answer(self, document: Document) -> None:
        self._waiting -= 1
        status = "deleted" if document.action == "delete" else "indexed"
        self.outcomes.put_nowait(Outcome(document_id=document.id, status=status, chunks=2))

    async def listen(self) -> AsyncIterator[Outcome]:
        yield Outcome(document_id="of-somebody-else", status="failed")
        while True:
            yield await self.outcomes.get()


def named(*names: str) -> list[Document | Outcome]:
    return [Document(id=name) for name in names]


async def run(workers: Workers, documents: list[Document | Outcome], **pace: float) -> Summary:
    chosen = Pace(in_flight=int(pace.get("in_flight", 64)), silence_s=pace.get("silence_s", 10.0))
    return await ingest(documents, workers.publish, workers.listen(), console(), pace=chosen)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


async def test_every_document_is_published_and_counted():
    workers = Workers()
    summary = await run(workers, [*named("a", "b"), Document(id="c", action="delete")])
    assert workers.published == ["a", "b", "c"]
    assert (summary.indexed, summary.deleted, summary.failed, summary.chunks) == (2, 1, 0, 4)
    assert summary.exit_code == 0


async def test_nothing_to_do_ends_at_once():
    summary = await run(Workers(), [], silence_s=60.0)
    assert summary.seconds < 5
    assert summary.exit_code == 0


async def test_failures_of_reader_and_publisher_are_reported_and_the_rest_goes_on():
    unreadable = Outcome(
        document_id="bad.pdf", status="failed", problem=InvalidDocument("bad.pdf: damaged.").problem()
    )
    summary = await run(Workers(), [unreadable, *named("full", "a")])
    assert (summary.indexed, summary.failed, summary.exit_code) == (1, 2, 1)
    shown = console()
    report(summary, shown)
    assert isinstance(shown.file, io.StringIO)
    text = shown.file.getvalue()
    assert "bad.pdf: damaged." in text
    assert "Open the file with its own program" in text
    assert "INGEST holds 10 documents." in text
    assert "1 indexed (2 passages), 0 unchanged, 0 deleted, 2 failed" in text


async def test_no_more_documents_are_in_flight_than_allowed():
    workers = Workers()
    summary = await run(workers, named(*(f"d{n}" for n in range(20))), in_flight=4)
    assert summary.indexed == 20
    assert workers.most_waiting == 4


async def test_the_same_id_twice_waits_for_two_outcomes():
    assert (await run(Workers(), named("a", "a"), silence_s=2.0)).indexed == 2


async def test_workers_that_never_report_end_the_wait_with_a_remedy():
    summary = await run(Workers(silent=True), named("a", "b"), silence_s=0.1)
    assert [outcome.document_id for outcome in summary.failures] == ["a", "b"]
    problem = summary.failures[0].problem
    assert problem is not None
    assert "No ingest worker reported" in problem.detail
    assert "askfleet status" in problem.remedy


async def test_a_closed_outcome_stream_ends_the_wait():
    async def closed() -> AsyncIterator[Outcome]:
        for _ in ():
            yield _

    workers = Workers(silent=True)
    summary = await ingest(named("a"), workers.publish, closed(), console())
    assert summary.failed == len(workers.published)


async def test_no_task_is_left_behind():
    before = asyncio.all_tasks()
    await run(Workers(silent=True), named("a"), silence_s=0.05)
    assert asyncio.all_tasks() == before
