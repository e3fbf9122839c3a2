"""`askfleet eval ...`: how good the answers are, measured on labelled data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

evaluations = typer.Typer(
    help="How good the answers are, measured on labelled data.\n\n    askfleet eval sql --data databases",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Data = Annotated[Path | None, typer.Option(help="The labelled data; docs/quality.md describes the folder.")]
Phoenix = Annotated[
    str, typer.Option(help="Address of a Phoenix: keep questions and results there as an experiment.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@evaluations.command()
def sql(
    data: Data = None,
    json: Json = False,
    only: Annotated[list[str] | None, typer.Option(help="Name of a database; may be given again.")] = None,
    engine_url: Annotated[
        str,
        typer.Option(help="OpenAI-compatible server that writes SQL too; key: AF_SQL_ENGINE_API_KEY."),
    ] = "",
    model: Annotated[str, typer.Option(help="The model at that server; default: the first it serves.")] = "",
    candidates: Annotated[int, typer.Option(min=1, max=9, help="Its statements for one question.")] = 3,
    phoenix: Phoenix = "",
) -> None:
    """Questions over databases: the rows of our statement beside those of the gold statement.

    askfleet eval sql --data databases --json

    askfleet eval sql --engine-url http://127.0.0.1:8000/v1 --model NAME
    """
    from evals.sql import main

    engine = ["--engine-url", engine_url, "--model", model, "--candidates", str(candidates)]
    chosen = ["--only", *only] if only else []
    _run(main, data, json, *(engine if engine_url else []), *chosen, *_kept(phoenix))


@evaluations.command()
def router(
    data: Data = None,
    json: Json = False,
    grounded: Annotated[
        bool, typer.Option(help="Also ask tenants that have the databases and documents beside the folder.")
    ] = False,
    leave_source_out: Annotated[
        bool, typer.Option(help="Also train without each source of questions in turn.")
    ] = False,
    phoenix: Phoenix = "",
) -> None:
    """Questions whose kind is known: documents, SQL or neither.

    askfleet eval router --data routing --grounded
    """
    from evals.router import main

    flags = {"--grounded": grounded, "--leave-source-out": leave_source_out}
    _run(main, data, json, *(flag for flag, given in flags.items() if given), *_kept(phoenix))


@evaluations.command()
def retrieval(
    data: Data = None,
    json: Json = False,
    ablation: Annotated[
        bool, typer.Option(help="Also rank in other ways, and with weights chosen on the other corpora.")
    ] = False,
    phoenix: Phoenix = "",
) -> None:
    """Questions whose passages are known, all corpora indexed together.

    askfleet eval retrieval --data corpora --ablation
    """
    from evals.retrieval import main

    _run(main, data, json, *(["--ablation"] if ablation else []), *_kept(phoenix))


@evaluations.command()
def answers(
    data: Data = None,
    json: Json = False,
    engine: Annotated[
        str, typer.Option(help="llamacpp, quote (no model) or openai (as AF_ENGINE_* say).")
    ] = "llamacpp",
    limit: Annotated[int | None, typer.Option(help="Questions of each corpus, evenly spread.")] = None,
    phoenix: Phoenix = "",
) -> None:
    """Questions with a known answer, and questions that must be refused.

    askfleet eval answers --data corpora --engine quote
    """
    from evals.answers import main

    limited = ["--limit", str(limit)] if limit is not None else []
    _run(main, data, json, "--engine", engine, *limited, *_kept(phoenix))


def _kept(phoenix: str) -> list[str]:
    return ["--phoenix", phoenix] if phoenix else []


def _run(main: Callable[[Sequence[str]], None], data: Path | None, json: bool, *more: str) -> None:
    main([*(["--data", str(data)] if data else []), *(["--json"] if json else []), *more])
