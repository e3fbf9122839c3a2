"""`askfleet router ...`: the model that decides which evidence a question needs."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from askfleet.commands import options
from askfleet.state import StackRecord, StateFolder
from bus.keys import KeyFolder
from workers.router.settings import RouterSettings
from workers.vectors import VectorSettings

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
    scale: Annotated[float, typer.Option(min=0.05, help="Multiplies the number of questions made.")] = 1.0,
    nats_url: options.NatsUrl = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Train on questions made from the connected tables and documents; running routers load the new model.

    Nothing has to be labelled. Train again after documents or tables were added.

        askfleet router train

        askfleet router train --examples tickets.jsonl
    """
    # scikit-learn: seconds that `askfleet --help` need not take.
    from askfleet.training import train_router
    from workers.router.training import read_examples

    settings, vectors = _settings(state_dir, nats_url)
    collected = read_examples(examples) if examples else ()
    trained = asyncio.run(train_router(settings, vectors, examples=collected, scale=scale))
    report = trained.grounded
    typer.echo(
        f"{trained.model.version}: {report.accuracy:.1%} of {report.examples} unseen questions routed right"
    )


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
