"""`askfleet ask`: one question, its answer as a stream."""

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from askfleet.answer_view import AnswerView
from askfleet.commands import options
from askfleet.interruption import INTERRUPTED
from askfleet.sse import AnswerStream, open_client
from contracts import Done, Event, Route

FAILED = 1


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    tenant: options.Tenant = options.TENANT,
    key: options.Key = None,
    url: options.Url = None,
    state_dir: options.StateDir = options.STATE_DIR,
    route: Annotated[Route | None, typer.Option(help="Overrides the router.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
    stream: Annotated[bool, typer.Option(help="Show the text as it is written, or only at the end.")] = True,
) -> None:
    """Ask a question and read the answer as it is written.

    Shows the route with its confidence, the text, then the sources or the SQL with its rows, and how long it
    took. Ctrl-C cancels the answer on the server too.

        askfleet ask "How many tickets were opened last month?"

        askfleet ask "How long is an answer kept?" --route documents
    """
    door = options.find_door(state_dir, tenant=tenant, key=key, url=url)
    body: dict[str, object] = {"question": question}
    if route is not None:
        body["route"] = route.value
    printer = _JsonLines() if as_json else _Screen(stream=stream)
    try:
        code = asyncio.run(_run(door, body, printer))
    except KeyboardInterrupt:
        typer.echo("\ncancelled", err=True)
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(code)


class _JsonLines:
    def show(self, event: Event) -> None:
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()

    def close(self, trace: str) -> None:
        """Events are all that a program reads."""


class _Screen:
    def __init__(self, *, stream: bool) -> None:
        self._view = AnswerView(Console())
        self._stream = stream

    def show(self, event: Event) -> None:
        if self._stream or event.type != "delta":
            self._view.show(event)

    def close(self, trace: str) -> None:
        if trace:
            self._view.console.print(f"  [dim]trace {escape(trace)}[/]", highlight=False, soft_wrap=True)


async def _run(door: options.Door, body: dict[str, object], printer: _JsonLines | _Screen) -> int:
    async with open_client(door.url) as client:
        answer = AnswerStream(client, key=door.key)
        last: Event | None = None
        try:
            async for event in answer.ask(body):
                printer.show(event)
                last = event
        except asyncio.CancelledError:
            # Ctrl-C: nobody reads on, so nobody should write on.
            await answer.cancel()
            raise
        printer.close(answer.trace)
    return 0 if isinstance(last, Done) else FAILED
