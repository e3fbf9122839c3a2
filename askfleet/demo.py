"""`make demo`: the whole system from nothing, four questions, and a check of each answer."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import asyncpg
from rich.console import Console
from rich.rule import Rule

from askfleet import content
from askfleet.answer_view import AnswerView
from askfleet.interruption import INTERRUPTED, until_signalled
from askfleet.local.stack import Stack, StackOptions
from askfleet.local.state import DEFAULT_STATE_DIR, StateFolder
from askfleet.local.tenants import DEMO_TENANT
from askfleet.logs import configure_logs, open_log
from askfleet.sse import AnswerStream, open_client
from contracts import Done, Route
from contracts.errors import AskfleetError, Misconfigured

FAILED, MISCONFIGURED = 1, 2
WHERE_TO_LOOK = """
[bold]Where to look further[/]
  make up                     keep it running, then: askfleet ask "..."
  docs/getting-started.md     your own documents, database and model
  docs/architecture.md        how it works
  docs/publishing.md          ask from another service
"""

Check = Callable[[AnswerView, Stack], Awaitable[str]]
"""What is wrong with an answer; empty when nothing is."""


@dataclass(frozen=True)
class Question:
    text: str
    expectation: str
    check: Check


async def cites_the_delivery_page(view: AnswerView, stack: Stack) -> str:
    done = view.terminal
    if not isinstance(done, Done) or not done.answered:
        return "it was not answered"
    cited = [citation.document_id for citation in done.citations if citation.kind == "passage"]
    return "" if "delivery.md" in cited else f"it cites {cited}, not delivery.md"


async def agrees_with_the_database(view: AnswerView, stack: Stack) -> str:
    expected = await _value(stack, "select count(*) from support.tickets where status = 'open'")
    if view.rows is None or view.rows.statement is None:
        return "no SQL was made"
    view.console.print(f"  [dim]the database itself says {expected}[/]")
    if view.rows.rows != ((expected,),):
        return f"the rows are {view.rows.rows}, and the database says {expected}"
    done = view.terminal
    return "" if isinstance(done, Done) and str(expected) in done.text else "the text does not say the number"


async def rests_on_both(view: AnswerView, stack: Stack) -> str:
    if view.routed is None or view.routed.route is not Route.BOTH:
        return f"the route is {view.routed.route if view.routed else 'unknown'}, not both"
    if view.rows is None or view.rows.statement is None:
        return "no SQL was made"
    if not isinstance(view.terminal, Done):
        return "it was not answered"
    cited = {citation.kind for citation in view.terminal.citations}
    return "" if cited == {"passage", "rows"} else f"it cites only {sorted(cited)}"


async def says_that_it_does_not_know(view: AnswerView, stack: Stack) -> str:
    done = view.terminal
    if not isinstance(done, Done):
        return "it did not end well"
    return "it claims to know" if done.answered else ""


QUESTIONS = (
    Question(
        "What happens when a worker dies in the middle of an answer?",
        "from the documentation, citing docs/delivery.md",
        cites_the_delivery_page,
    ),
    Question("How many tickets are open?", "from the database, the same number", agrees_with_the_database),
    Question(
        "How many agents work in the Dublin office, and for how long is an answer kept on the stream?",
        "from the database and from the documentation",
        rests_on_both,
    ),
    Question(
        "Which team won the football world cup in 1998?",
        "neither knows, and it says so",
        says_that_it_does_not_know,
    ),
)


def main() -> int:
    console = Console(soft_wrap=True)
    state = StateFolder(DEFAULT_STATE_DIR)
    console.print(f"Starting the whole system in {DEFAULT_STATE_DIR}/ ...")
    try:
        with open_log(state.log("askfleet")) as log:
            configure_logs(logging.INFO, to=log)
            return asyncio.run(_main(state, console))
    except AskfleetError as error:
        console.print(f"error: {error.detail}\nremedy: {error.remedy}", markup=False)
        return MISCONFIGURED if isinstance(error, Misconfigured) else FAILED


async def _main(state: StateFolder, console: Console) -> int:
    problems: list[str] = []
    started = time.monotonic()
    options = StackOptions(semantic_model=content.SEMANTIC_MODEL)
    async with Stack(state, options) as stack:
        signalled = await until_signalled(_show(stack, console, problems))
    if signalled:
        return INTERRUPTED
    console.print(f"Everything is stopped again; all took {time.monotonic() - started:.0f} s.")
    for problem in problems:
        console.print(f"[red]failed:[/] {problem}")
    return FAILED if problems else 0


async def _show(stack: Stack, console: Console, problems: list[str]) -> None:
    await prepare(stack, console, base_date=datetime.now(UTC).date())
    for question in QUESTIONS:
        problem = await _ask(stack, console, question)
        if problem:
            problems.append(f"{question.text} {problem}")
    console.print(WHERE_TO_LOOK, highlight=False)


async def prepare(stack: Stack, console: Console, *, base_date: date) -> None:
    """Start everything, with the sample content in it."""
    async with _step(console, "NATS, PostgreSQL and Milvus Lite"):
        await stack.start_servers()
    async with _step(console, "a support desk with 20,000 tickets"):
        await content.load_database(stack, base_date=base_date)
    async with _step(console, "router, retrieval, sql, generation, ingest and bridge workers"):
        await stack.start_workers()
    async with _step(console, "these documents: docs/*.md"):
        summary = await content.load_documents(stack, console)
    if summary.failed:
        raise Misconfigured(f"{summary.failed} documents were not indexed.", remedy="See the logs of ingest.")
    async with _step(console, "a router that knows both"):
        await content.train(stack)


@asynccontextmanager
async def _step(console: Console, what: str) -> AsyncIterator[None]:
    started = time.monotonic()
    yield
    console.print(f"[green]ready[/] {time.monotonic() - started:5.1f} s  {what}")


async def _ask(stack: Stack, console: Console, question: Question) -> str:
    console.print(Rule(style="dim"))
    console.print(f"[bold]{question.text}[/]  [dim]({question.expectation})[/]")
    view = AnswerView(console)
    async with open_client(stack.record.bridge_urls[0]) as client:
        answer = AnswerStream(client, key=stack.state.key(DEMO_TENANT))
        async for event in answer.ask({"question": question.text}):
            view.show(event)
    return await question.check(view, stack)


async def _value(stack: Stack, statement: str) -> int:
    connection = await asyncpg.connect(stack.record.sql_dsn)
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
