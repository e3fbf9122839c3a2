"""Options that several of `askfleet simulate ...` share."""

from pathlib import Path
from typing import Annotated

import typer

from askfleet.commands.options import writable

SHIPPED = Path(__file__).parents[2] / "deploy/keda/base/scaledobjects/generation-default.yaml"
PEAK = 20.0
MOST_PER_S = 1e7
MOST_REPLICAS = 1_000_000
MOST_WINDOW_S = 3_600
"""Of the HPA's stabilisation window, by its own API."""


Arrivals = Annotated[
    Path | None,
    typer.Option(
        help="CSV or JSON lines: `at` (seconds or ISO 8601) of each question, or `per_minute`. "
        "Without it: a made day."
    ),
]
Shape = Annotated[
    str, typer.Option(help="Of the made arrivals: `day`, `constant`, or `spike` (a day with one).")
]
Peak = Annotated[
    float,
    typer.Option(min=0.001, max=MOST_PER_S, help="Questions a second at the peak of the made arrivals."),
]
Hours = Annotated[float, typer.Option(min=0.05, max=744, help="How long the made arrivals go on.")]
Seed = Annotated[int, typer.Option(min=0, help="Of arrivals and lengths; the same seed, the same run.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="An assumption as name=value; `askfleet simulate assumptions` lists them."),
]
Object = Annotated[Path, typer.Option("--scaled-object", help="The ScaledObject to start from.")]
Target = Annotated[int | None, typer.Option(min=1, help="Target instead of the file's.")]
Targets = Annotated[list[int] | None, typer.Option("--target", min=1, help="Another target of the queue.")]
Windows = Annotated[
    list[int] | None,
    typer.Option("--window", min=0, max=MOST_WINDOW_S, help="Another window of scale-in, s."),
]
Each = Annotated[
    bool | None,
    typer.Option(
        "--each/--counted",
        help="Follow each question, or count them second by second. Without it: counted from 400,000 on.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Figures as JSON on stdout.")]
Plot = Annotated[Path | None, typer.Option(callback=writable, help="Draw into this PNG.")]
Export = Annotated[
    Path | None, typer.Option(callback=writable, help="Write the recommended ScaledObject there.")
]
