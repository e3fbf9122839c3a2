"""`askfleet router ...`: the model that decides which evidence a question needs."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from askfleet.commands import options
from askfleet.local.state import StackRecord, StateFolder
from askfleet.moments import epoch_ms
from askfleet.outputs import output_file
from bus.keys import KeyFolder
from workers.router.settings import RouterSettings
from workers.vectors import VectorSettings

if TYPE_CHECKING:
    from workers.router.shadow import Comparison

router = typer.Typer(
    help="The model that decides which evidence a question needs.\n\n    askfleet router train",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@router.command()
def train(
    examples: Annotated[
        Path | None,
        typer.Option(
            help='Collected questions: lines of {"text": ..., "label": "sql", "documents" or "direct"}.'
        ),
    ] = None,
    feedback: Annotated[
        bool, typer.Option("--feedback/--no-feedback", help="Also learn from what readers said of answers.")
    ] = True,
    since: Annotated[
        str | None, typer.Option(help="Feedback given since: 2h, 7d; default: all, 30 days.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the model to this file, for `router shadow`; the routers keep theirs."),
    ] = None,
    scale: Annotated[float, typer.Option(min=0.05, help="Multiplies the number of questions made.")] = 1.0,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Train on questions made from the connected tables and documents; running routers load the new model.

    Nothing has to be labelled. Train again after documents or tables were added. Feedback that names or
    approves of a route is learnt from too.

        askfleet router train

        askfleet router train --examples tickets.jsonl --output candidate.skops
    """
    # scikit-learn: seconds that `askfleet --help` need not take.
    from askfleet.training import train_router
    from workers.router import artefact
    from workers.router.training import read_examples

    collected = read_examples(examples) if examples else []
    since_ms = epoch_ms(since) if since else 0
    if output is not None:
        output_file(output, option="--output")
    settings, vectors = _settings(state_dir, nats_url)
    trained = asyncio.run(
        train_router(
            settings,
            vectors,
            examples=collected,
            scale=scale,
            feedback_since_ms=since_ms if feedback else None,
            publishes=output is None,
        )
    )
    if output is not None:
        output.write_bytes(artefact.dump(trained.model))
    report = trained.grounded
    typer.echo(
        f"{trained.model.version}: {report.accuracy:.1%} of {report.examples} unseen questions routed right"
    )


@router.command("synth")
def synthesise(
    output: Annotated[Path | None, typer.Option(help="Where the lines go; default: standard output.")] = None,
    count: Annotated[
        int, typer.Option(min=1, help="Questions of each kind and tenant; general ones beside them.")
    ] = 400,
    seed: Annotated[int, typer.Option(help="The same seed gives the same questions.")] = 7,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Write the questions that training makes from the connected tables and documents, a JSON object a line.

    Some are misspelt on purpose. Read and correct them, then give them to `router train --examples`.

        askfleet router synth --output questions.jsonl
    """
    from askfleet.training import made_questions

    if output is not None:
        output_file(output, option="--output")
    settings, vectors = _settings(state_dir, nats_url)
    made = asyncio.run(made_questions(settings, vectors, count=count, seed=seed))
    lines = "".join(
        json.dumps(
            {"text": found.text, "label": found.label, "source": found.source, "group": found.group},
            ensure_ascii=False,
        )
        + "\n"
        for found in made
    )
    if output is None:
        sys.stdout.write(lines)
        return
    output.write_text(lines, encoding="utf-8")
    typer.echo(f"{len(made)} questions in {output}")


@router.command()
def shadow(
    model: Annotated[
        Path, typer.Argument(help="A model that `router train --output` wrote.", exists=True, dir_okay=False)
    ],
    seconds: Annotated[float, typer.Option(min=0, help="Follow the questions for so long.")] = 60.0,
    questions: Annotated[int, typer.Option(min=0, help="End after so many; 0: only the time ends it.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Let a model decide on the questions that come in, without acting, and compare it with the one in use.

    Then both are held against the feedback that names the right route.

        askfleet router shadow candidate.skops --seconds 600

        askfleet router shadow candidate.skops --seconds 0 --json
    """
    from askfleet.training import shadow_router
    from workers.router import artefact

    loaded = artefact.load(model.read_bytes())
    settings, vectors = _settings(state_dir, nats_url)
    found = asyncio.run(shadow_router(settings, vectors, loaded, seconds=seconds, questions=questions))
    if as_json:
        typer.echo(json.dumps(found.summary()))
        return
    typer.echo(shown(found))


def shown(found: "Comparison") -> str:
    """The summary for people: agreement, accuracy by feedback, then what was decided otherwise."""
    judged = found.judged
    lines = [f"{found.questions} questions, {found.agreement:.1%} routed alike, {found.missed} missed"]
    if judged.labels:
        lines.append(
            f"of {judged.labels} questions whose route readers named, right in use: "
            f"{judged.live / judged.labels:.1%}, right in the shadow: {judged.shadow / judged.labels:.1%}"
        )
    for pair in found.differences:
        question = "".join(char for char in " ".join(pair.question.split()) if char.isprintable())
        live, other = f"{pair.live} {pair.live_confidence:.2f}", f"{pair.shadow} {pair.shadow_confidence:.2f}"
        lines.append(f"{live} -> {other}: {question}")
    return "\n".join(lines)


def _settings(state_dir: Path, nats_url: str | None) -> tuple[RouterSettings, VectorSettings]:
    """Of the local stack; with another NATS, all comes from the environment as for a worker."""
    if nats_url is not None:
        return RouterSettings(nats_url=nats_url), VectorSettings()
    return local_settings(StateFolder(state_dir).running_stack())


def local_settings(record: StackRecord) -> tuple[RouterSettings, VectorSettings]:
    """As the operator: training replaces the model that the routers follow."""
    access = KeyFolder(record.nats_keys).settings(record.nats_url, "operator")
    router_settings = RouterSettings(
        nats_url=access.nats_url,
        nats_nkey_file=access.nats_nkey_file,
        nats_inbox_prefix=access.nats_inbox_prefix,
        nats_credentials=None,
        dsn=SecretStr(record.sql_dsn),
        tenants_file=record.tenants_file,
        semantic_model=record.semantic_model,
    )
    return router_settings, VectorSettings(uri=record.milvus_uri)
