"""What the processes of a run are told: small, and the same for all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from askfleet.bulk.settings import RaySettings
from askfleet.folder import Folder
from contracts.document import Outcome
from workers.embedding import Embedder, EmbedderSettings, open_embedder
from workers.ingest.chunking import ChunkSizes
from workers.ingest.parsing import Limits
from workers.ingest.settings import IngestSettings
from workers.vectors import Content, VectorSettings, VectorStore, open_store

Item = Content | Outcome
Batch = dict[str, NDArray[np.object_]]
"""Columns by name, as Ray Data hands them to a function."""


@dataclass(frozen=True)
class Job:
    """`folder` is read where the embedding is done: its path leads to the same files on every machine."""

    tenant: str
    folder: Folder
    sizes: ChunkSizes
    limits: Limits
    embedder: EmbedderSettings
    vectors: VectorSettings
    batch_documents: int
    patience_s: float

    def open_embedder(self) -> Embedder:
        return open_embedder(self.embedder)

    def open_store(self, dimension: int) -> VectorStore:
        return open_store(self.vectors, dimension=dimension)


def job_of(folder: Folder, tenant: str, settings: RaySettings, *, milvus_uri: str) -> Job:
    """Chunks, model and collection are those that the ingest worker's variables name in this environment.

    The variables of the machines of a cluster are not read, so that all of them do the same.
    """
    ingest = IngestSettings()
    return Job(
        tenant=tenant,
        folder=replace(folder, root=folder.root.absolute()),
        sizes=ingest.chunk_sizes(),
        limits=ingest.limits(),
        # There is a process for each CPU.
        embedder=EmbedderSettings().model_copy(update={"threads": 1}),
        vectors=VectorSettings().model_copy(update={"uri": milvus_uri}),
        batch_documents=settings.batch_documents,
        patience_s=settings.patience_s,
    )


def column(values: Sequence[object]) -> NDArray[np.object_]:
    """One value a row, whatever it is; NumPy itself would look into sequences."""
    cells = np.empty(len(values), dtype=object)
    cells[:] = values
    return cells
