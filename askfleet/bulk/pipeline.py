"""A run as a Ray Data pipeline: files -> actors that embed -> actors that write -> outcomes."""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from askfleet.bulk.job import Job
from askfleet.bulk.preparing import Preparer
from askfleet.bulk.settings import RaySettings
from askfleet.bulk.writing import Writer
from contracts.document import Outcome
from contracts.errors import AskfleetError, DependencyUnavailable

# What is embedded but not yet written is lost when a run is killed, so little is on its way at once.
_BLOCK_BYTES = 2**20
_FILES_PER_BLOCK = 16
_BLOCKS_EACH = 4
_MOST_BLOCKS = 10_000


def outcomes(
    job: Job, files: Sequence[Path], settings: RaySettings, *, cpus: int, dimension: int
) -> Iterator[Outcome]:
    """What became of each document, as it happens, in no order; a cluster must be connected.

    Raises:
        DependencyUnavailable: something stayed away for longer than `patience_s`, or a process of Ray died.
        SchemaChanged, Misconfigured: as the ingest worker.
    """
    import ray.data
    from ray.exceptions import RayError

    _configure(ray.data)
    embedders = settings.embedders or cpus
    paths = [{"file": str(path)} for path in files]
    pool = ray.data.ActorPoolStrategy
    dataset = (
        ray.data.from_items(paths, override_num_blocks=_blocks(len(paths), embedders))
        .map_batches(
            Preparer,
            fn_constructor_args=(job,),
            batch_size=None,
            num_cpus=1,
            compute=pool(size=embedders),
        )
        .map_batches(
            Writer,
            fn_constructor_args=(job, dimension),
            batch_size=None,
            # It waits for Milvus most of the time; a CPU of its own would be taken from the embedding.
            num_cpus=0,
            compute=pool(size=settings.writers),
        )
    )
    try:
        for row in dataset.iter_rows():
            yield Outcome.model_validate_json(row["outcome"])
    except RayError as error:
        raise _ours(error) from error


def _configure(data: object) -> None:
    # What it logs of an error that an actor raised is a traceback; the error is raised to us as well.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = data.DataContext.get_current()  # type: ignore[attr-defined]
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK_BYTES


def _blocks(files: int, embedders: int) -> int:
    """Enough for all to be busy to the end, and never so many that Ray is busy with them."""
    usual = min(_FILES_PER_BLOCK, math.ceil(files / (_BLOCKS_EACH * embedders)))
    return math.ceil(files / max(usual, math.ceil(files / _MOST_BLOCKS)))


def _ours(error: BaseException) -> AskfleetError:
    """The error of ours that an actor raised.

    Ray wraps it, more than once, and in a class that is also a subclass of ours but has lost the remedy.
    """
    from ray.exceptions import RayError

    found: BaseException | None = error
    while found is not None:
        if isinstance(found, AskfleetError) and not isinstance(found, RayError):
            return found
        found = getattr(found, "cause", None) or found.__cause__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DependencyUnavailable(
        f"Ray ended the run: {lines[-1][:300]}", remedy="Start it again: it goes on where it stopped."
    )
