"""`askfleet load report` and `compare`: what records of load runs say, for people."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from contracts.errors import Misconfigured
from loadgen.recording import read_recording

WORSE = 1
Html = Annotated[Path | None, typer.Option("--html", help="The page to write.")]


def report(
    record: Annotated[Path, typer.Argument(help="The JSON of a run.")],
    html: Html = None,
    png: Annotated[Path | None, typer.Option(help="Folder for one picture of each plot.")] = None,
) -> None:
    """Write the report of a recorded run again: one page that loads nothing, pictures of its plots, or both.

    Without an option the page lies beside the record.

        askfleet load report run.json --html run.html

        askfleet load report soak.json --png docs/images
    """
    from askfleet.load_report import write_pictures, write_report

    recording = read_recording(record)
    page = html or (None if png else record.with_suffix(".html"))
    if page == record:
        raise Misconfigured(
            f"{record} is the record itself.", remedy="Give the page another name with --html."
        )
    if page is not None:
        write_report(recording, page)
        typer.echo(f"report  {page}")
    for picture in write_pictures(recording, png) if png is not None else ():
        typer.echo(f"picture {picture}")


def compare(
    before: Annotated[Path, typer.Argument(help="The JSON of the run that is the measure.")],
    after: Annotated[Path, typer.Argument(help="The JSON of the run that is judged.")],
    html: Html = None,
) -> None:
    """Say what changed from one run to another beyond noise. Exit status 1: something got worse.

    askfleet load compare before.json after.json --html compared.html
    """
    from askfleet.load_report import compare_records

    found = compare_records(before, after, page=html, console=Console())
    raise typer.Exit(WORSE if found.worse else 0)
