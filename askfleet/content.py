"""The sample content of a local stack: a support desk's database, our documentation, a router for both."""

from datetime import date
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from askfleet.commands.ingest import ingest_folder
from askfleet.commands.router import local_settings
from askfleet.folder import Folder, Selection
from askfleet.ingest import Summary
from askfleet.local.stack import Stack
from askfleet.local.tenants import DEMO_TENANT
from askfleet.sample.loading import load
from contracts.errors import Misconfigured

TRAINING_SCALE = 0.2
"""Of the questions that `askfleet router train` makes up: enough for one tenant, in a fifth of the time."""

SAMPLE_QUESTIONS = (
    "How many tickets are there by status?",
    "What happens when a worker dies in the middle of an answer?",
    "How many tickets are open?",
    "How many agents work in the Dublin office, and for how long is an answer kept on the stream?",
)
"""What the page offers: the database with a chart, the documentation, both."""

SEMANTIC_MODEL = Path(str(files("askfleet.sample").joinpath("semantic_model.yaml")))


def documentation() -> Path:
    """The folder `docs` of the checkout; raises Misconfigured when this is an installed package."""
    folder = Path(__file__).parent.parent / "docs"
    if not folder.is_dir():
        raise Misconfigured(
            f"There is no documentation at {folder}.",
            remedy="Run the demo from a checkout of the repository.",
        )
    return folder


async def load_database(stack: Stack, *, base_date: date) -> bool:
    """Before the workers start, since they read the schema at their start; False when it was there."""
    loaded = await load(stack.database.owner_dsn, base_date=base_date)
    await stack.database.prepare()
    return loaded


async def load_documents(stack: Stack, console: Console) -> Summary:
    folder = Folder(documentation(), Selection(include=("*.md",)), "docs/")
    settings = stack.state.nats_keys.tenant_settings(stack.record.nats_url, DEMO_TENANT)
    return await ingest_folder(folder, settings, tenant=DEMO_TENANT, console=console)


async def train(stack: Stack) -> None:
    """Unless the model that is there was made for the same tables and documents."""
    from askfleet.training import (
        is_trained,
        train_router,
    )  # scikit-learn: seconds that no other command needs

    settings, vectors = local_settings(stack.record)
    if not await is_trained(settings, vectors):
        await train_router(settings, vectors, scale=TRAINING_SCALE)
