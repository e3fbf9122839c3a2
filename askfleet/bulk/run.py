"""One run from beginning to end."""

import asyncio
import time

from rich.console import Console

from askfleet.bulk.cluster import cluster
from askfleet.bulk.job import Job
from askfleet.bulk.pipeline import outcomes
from askfleet.bulk.settings import RaySettings
from askfleet.ingest import Summary, Tally

_KEPT_FAILURES = 1_000
_TOLD_EVERY_S = 10.0


def ingest_in_bulk(job: Job, settings: RaySettings, console: Console) -> Summary:
    """Index the folder; a run that was cut off is gone on with by running it again.

    There is no record of what is done beside the index itself: the hash of a document stands with its
    passages, and one that stands there is not embedded again.

    Raises: as `cluster` and `outcomes`; Misconfigured: the folder is not there.
    """
    files = list(job.folder.files())
    dimension = asyncio.run(_ready(job))
    if not files:
        return Summary()
    with Tally(console, kept_failures=_KEPT_FAILURES) as tally, cluster(settings) as cpus:
        told_at = time.monotonic()
        for outcome in outcomes(job, files, settings, cpus=cpus, dimension=dimension):
            tally.count(outcome)
            job.folder.met(outcome)
            if not console.is_terminal and time.monotonic() - told_at > _TOLD_EVERY_S:
                told_at = time.monotonic()
                console.print(f"so far {tally}")
    asyncio.run(_flush(job, dimension))
    return tally.summary()


async def _ready(job: Job) -> int:
    """The embedder's dimension; what is wrong with it, Milvus or the tenant is said before Ray is started."""
    embedder = job.open_embedder()
    dimension = embedder.dimension
    await embedder.close()
    store = job.open_store(dimension)
    try:
        await store.ensure_collection()
        await store.document_hashes(job.tenant, ["-"])
    finally:
        await store.close()
    return dimension


async def _flush(job: Job, dimension: int) -> None:
    store = job.open_store(dimension)
    try:
        await store.flush()
    finally:
        await store.close()
