"""Prints an answer as its events arrive."""

import time

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts import Cancelled, Delta, Done, Event, Evidence, Failed, Routed, Rows

SHOWN_ROWS = 20


class AnswerView:
    """Feeds on events; what was read of them stays for the caller's checks."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.first_text_s: float | None = None
        self.routed: Routed | None = None
        self.rows: Rows | None = None
        self.evidence: Evidence | None = None
        self.terminal: Done | Failed | Cancelled | None = None

    def show(self, event: Event) -> None:
        match event:
            case Routed():
                self.routed = event
                self._route(event)
            case Evidence():
                self.evidence = event
            case Rows():
                self.rows = event
            case Delta():
                self._text(event)
            case Done() | Failed() | Cancelled():
                self.terminal = event
                self._end(event)

    def _route(self, event: Routed) -> None:
        reason = f" ({event.reason})" if event.reason else ""
        self.console.print(
            f"[bold]{event.route.value}[/] [dim]confidence {event.confidence:.2f}{escape(reason)}[/]\n"
        )

    def _text(self, event: Delta) -> None:
        if self.first_text_s is None:
            self.first_text_s = time.monotonic() - self.started
        self.console.print(event.text, end="", markup=False, highlight=False, soft_wrap=True)

    def _end(self, event: Done | Failed | Cancelled) -> None:
        if self.first_text_s is not None:
            self.console.print("\n")
        match event:
            case Done():
                if self.first_text_s is None:
                    self.console.print(event.text, markup=False, highlight=False, soft_wrap=True)
                self._sources(event)
                self._statement()
            case Failed():
                self.console.print(f"[red]error:[/] {escape(event.problem.detail)}")
                self.console.print(f"[yellow]remedy:[/] {escape(event.problem.remedy)}")
            case Cancelled():
                self.console.print("[yellow]cancelled[/]")
        self._timings()

    def _sources(self, event: Done) -> None:
        cited = [citation for citation in event.citations if citation.kind == "passage"]
        for citation in cited:
            where = citation.source or citation.document_id
            self.console.print(
                f"  [cyan]\\[{citation.number}][/] {escape(citation.title)} [dim]{escape(where)}[/]",
                soft_wrap=True,
            )
        if self.evidence is not None and not cited:
            self.console.print(f"  [dim]{len(self.evidence.passages)} passages found, none cited[/]")

    def _statement(self) -> None:
        if self.rows is None:
            return
        if self.rows.statement is None:
            self.console.print(f"  [dim]no SQL: {escape(self.rows.reason)}[/]")
            return
        self.console.print(f"  [dim]{escape(self.rows.statement)}[/]", soft_wrap=True)
        table = Table(*self.rows.columns, box=None, padding=(0, 2), header_style="bold")
        for row in self.rows.rows[:SHOWN_ROWS]:
            table.add_row(*("" if value is None else escape(str(value)) for value in row))
        self.console.print(table)
        hidden = len(self.rows.rows) - SHOWN_ROWS
        if hidden > 0 or self.rows.truncated:
            self.console.print(f"  [dim]more rows than the {min(len(self.rows.rows), SHOWN_ROWS)} shown[/]")

    def _timings(self) -> None:
        total_s = time.monotonic() - self.started
        first = f"first text {self.first_text_s * 1000:.0f} ms, " if self.first_text_s is not None else ""
        self.console.print(f"  [dim]{first}total {total_s * 1000:.0f} ms[/]")
