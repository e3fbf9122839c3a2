"""Records of load runs as files for people: pages, pictures, a comparison in the terminal."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.errors import Misconfigured
from loadgen.comparison import METHOD, Comparison, Verdict, compare
from loadgen.pages.change_row import COLUMNS, cells
from loadgen.recording import Recording, read_recording

STYLES = {Verdict.WORSE: "red", Verdict.BETTER: "green"}


def write_report(recording: Recording, path: Path) -> None:
    """Raises Misconfigured when the file can't be written."""
    from loadgen.pages.run_page import run_page  # draws: seconds to load

    _write(path, run_page(recording))


def write_pictures(recording: Recording, folder: Path) -> list[Path]:
    """One PNG a plot; returns their paths. Raises Misconfigured when one can't be written."""
    from loadgen.pages.drawing import write_png
    from loadgen.pages.run_charts import charts_of

    paths = []
    for chart in charts_of(recording):
        path = folder / f"{chart.key}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_png(chart, path)
        except OSError as error:
            raise Misconfigured(f"{path} can't be written: {error}") from error
        paths.append(path)
    return paths


def announce(recording: Recording, record: Path, console: Console) -> None:
    """Says where the record lies, and writes its report beside it."""
    console.print(f"record  {record}", soft_wrap=True, markup=False)
    page = record.with_suffix(".html")
    write_report(recording, page)
    console.print(f"report  {page}", soft_wrap=True, markup=False)


def compare_records(before: Path, after: Path, *, page: Path | None, console: Console) -> Comparison:
    """Raises Misconfigured when a file is not a record, or the page can't be written."""
    was, now = read_recording(before), read_recording(after)
    found = compare(was, now)
    _show(found, console)
    if page is not None:
        from loadgen.pages.comparison_page import comparison_page

        _write(page, comparison_page(was, now, found))
        console.print(f"report  {page}", soft_wrap=True, markup=False)
    return found


def _show(found: Comparison, console: Console) -> None:
    if found.scenario:
        console.print(f"the scenarios differ in {', '.join(found.scenario)}", style="yellow", markup=False)
    table = Table(box=None, header_style="dim", pad_edge=False)
    for number, name in enumerate(COLUMNS):
        inner = 0 < number < len(COLUMNS) - 1
        table.add_column(name, justify="right" if inner else "left", no_wrap=inner)
    for change in found.changes:
        table.add_row(*map(escape, cells(change)), style=STYLES.get(change.verdict, ""))
    console.print(table)
    console.print(found.headline, style="bold")
    console.print(METHOD, style="dim")


def _write(path: Path, page: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise Misconfigured(f"{path} can't be written: {error}") from error
