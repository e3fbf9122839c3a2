"""`askfleet tune`: settings of the engine against a question set."""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from askfleet.interruption import INTERRUPTED, ended_in_order
from askfleet.local.state import DEFAULT_STATE_DIR
from askfleet.outputs import output_folder
from askfleet.screen import screen
from askfleet.tuning.preference import Limits, Prefer
from contracts.errors import Misconfigured

if TYPE_CHECKING:
    from askfleet.tuning.questions import Question
    from askfleet.tuning.sweep import Point
    from askfleet.tuning.sweeping import Sweep

DEFAULT_VARY = ("answer_style=check,write", "prompt_tokens=256,512,1024")
DEFAULT_OUT = DEFAULT_STATE_DIR / "tuning"
NOTHING_KEEPS = 1


def tune(
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="name=value,value,...: a setting and what to try; again for more. Default: "
            + " and ".join(DEFAULT_VARY)
            + "."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="name=value: the same at every point; again for more.")
    ] = None,
    one_by_one: Annotated[
        bool,
        typer.Option("--one-by-one", help="Vary each setting alone, the others at their first value."),
    ] = False,
    questions: Annotated[
        Path | None,
        typer.Option(
            help='JSON lines {"question", "answers", "passages"}: without answers it must be refused, '
            "without passages they are searched. Default: questions over our documentation."
        ),
    ] = None,
    documents: Annotated[
        Path | None, typer.Option(help="Folder in which passages are searched; default: our documentation.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="So many of the questions at most, evenly spread.")
    ] = None,
    prefer: Annotated[
        Prefer, typer.Option(help="What decides between the points within the limits.")
    ] = Prefer.LATENCY,
    min_quality: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of right answers; default: not surely worse than the best point."
        ),
    ] = None,
    first_token_ms: Annotated[
        float | None, typer.Option(min=0, help="By then 95 % of the answers have begun.")
    ] = None,
    token_ms: Annotated[float | None, typer.Option(min=0, help="Between two tokens, median.")] = None,
    min_answers_per_s: Annotated[
        float | None, typer.Option(min=0, help="Answers a second, all clients.")
    ] = None,
    memory_mib: Annotated[float | None, typer.Option(min=0, help="Peak of the point's processes.")] = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="Time limit of one point, its start included.")
    ] = 600.0,
    python: Annotated[
        str,
        typer.Option(help="Interpreter that runs the points, as one that has vLLM.", show_default="this one"),
    ] = sys.executable,
    out: Annotated[
        Path, typer.Option(help="Folder of results.jsonl, table.md, plot.png and the points' logs.")
    ] = DEFAULT_OUT,
    again: Annotated[
        bool, typer.Option("--again", help="Try points once more that failed in an earlier run.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the points and do nothing.")] = False,
    settings: Annotated[bool, typer.Option("--settings", help="List the names that can be swept.")] = False,
) -> None:
    """Find the settings of the engine: quality, first token, token interval, throughput and memory of each.

    Each point is a process of its own, which opens the engine and writes the answers as the generation worker
    does, `clients` questions at once; then it is closed. A point that fails or takes too long is a result
    with its reason. What is measured is kept: run it again after an interruption, with more points, or with
    another preference, and only what is missing is measured. Exit status 1: no point keeps the limits.

        askfleet tune

        askfleet tune --vary context-tokens=512,1024,2048,4096 --set answer-style=write --set passages=20

        askfleet tune --vary slots=1,2,4,8 --set clients=8 --prefer throughput --first-token-ms 3000

        askfleet tune --set kind=vllm --python .venv-vllm/bin/python --vary slots=4,16 --dry-run
    """
    from askfleet.tuning.sweep import points_of

    console = screen()
    if settings:
        _list_settings(console)
        return
    points = points_of(vary or _default_vary(set_ or []), set_ or [], one_by_one=one_by_one)
    if dry_run:
        _list_points(points, seconds, console)
        return
    _check_places(python, out)
    asked = _questions(questions, documents, limit, out, points, console)
    sweep = _sweep(points, asked, python, seconds, out, again=again)
    _run(sweep, out, console)
    limits = Limits(min_quality, first_token_ms, token_ms, min_answers_per_s, memory_mib)
    if not _report(sweep, prefer, limits, out, console):
        raise typer.Exit(NOTHING_KEEPS)


def _default_vary(fixed: list[str]) -> list[str]:
    """What --set names is not varied."""
    from askfleet.tuning.sweep import plain_name

    names = {plain_name(text.partition("=")[0]) for text in fixed}
    return [text for text in DEFAULT_VARY if text.partition("=")[0] not in names] or ["clients=4"]


def _list_settings(console: Console) -> None:
    from askfleet.tuning.sweep import descriptions

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("meaning")
    for name, meaning in descriptions():
        table.add_row(name, escape(meaning))
    console.print(table)


def _list_points(points: "list[Point]", seconds: float, console: Console) -> None:
    for number, point in enumerate(points, 1):
        console.print(f"{number:3}  {point.label}", markup=False, highlight=False)
    fixed = [f"{name}={value}" for name, value in points[0].values if name not in points[0].varied]
    same = f"; the same everywhere: {' '.join(fixed)}" if fixed else ""
    console.print(f"{len(points)} points, {seconds:g} s each at most{same}", markup=False, highlight=False)


def _check_places(python: str, out: Path) -> None:
    """Before anything takes time."""
    if shutil.which(python) is None:
        raise Misconfigured(f"There is no interpreter {python}.", remedy="Check --python.")
    output_folder(out, option="--out")


def _run(sweep: "Sweep", out: Path, console: Console) -> None:
    try:
        with ended_in_order():
            sweep.run(console)
    except KeyboardInterrupt:
        console.print(
            f"interrupted; what is measured stays in {out}, and the same command goes on behind it",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED) from None


def _questions(
    given: Path | None,
    documents: Path | None,
    limit: int | None,
    out: Path,
    points: "list[Point]",
    console: Console,
) -> "list[Question]":
    """With as many passages as the point that takes most."""
    from askfleet.tuning.questions import SAMPLE, read_questions

    questions = read_questions(given or SAMPLE, limit=limit)
    if all(question.passages is not None for question in questions):
        return questions
    if given is not None and documents is None:
        raise Misconfigured(
            f"{given} has questions without passages.",
            remedy="Name with --documents the folder in which they are searched.",
        )
    try:
        from askfleet.content import documentation
        from askfleet.tuning.evidence import with_passages
    except ImportError as error:
        raise Misconfigured(
            f"This environment can't search documents: {error}.",
            remedy="Run the command in the usual one and name this one's interpreter with --python, or give "
            "questions with passages.",
        ) from error
    folder = documents or documentation()
    most = max(point.load().passages for point in points)
    return asyncio.run(with_passages(questions, folder, top_k=most, kept_in=out, console=console))


def _sweep(
    points: "list[Point]", questions: "list[Question]", python: str, seconds: float, out: Path, *, again: bool
) -> "Sweep":
    from askfleet.tuning.results import ResultsFile
    from askfleet.tuning.sweeping import RESULTS, Sweep
    from askfleet.tuning.trial import Bench

    bench = Bench(questions, out / "points", python=python, limit_s=seconds)
    return Sweep(tuple(points), bench, ResultsFile(out / RESULTS), again=again)


def _report(sweep: "Sweep", prefer: Prefer, limits: Limits, out: Path, console: Console) -> bool:
    """Whether a point keeps the limits."""
    from askfleet.tuning.report import Sheet, as_markdown, show
    from askfleet.tuning.sweeping import machines

    rows = sweep.rows()
    sheet = Sheet.of(sweep.points, rows, prefer, limits)
    show(sheet, console)
    table = out / "table.md"
    table.write_text(as_markdown(sheet, machines(rows)), encoding="utf-8")
    console.print(f"table   {table}", soft_wrap=True, markup=False)
    try:
        from askfleet.tuning.plot import write_plot
    except ImportError as error:
        console.print(f"plot    none: {error}", markup=False)
    else:
        if write_plot(sheet, out / "plot.png"):
            console.print(f"plot    {out / 'plot.png'}", soft_wrap=True, markup=False)
    return sheet.chosen is not None
