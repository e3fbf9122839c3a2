"""What ingestion, retrieval and routing ask of an embedding model."""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Precision = Literal["int8", "float32"]


class Embedder(Protocol):
    """Errors: DependencyUnavailable when a server does not answer, Misconfigured when it refuses us."""

    @property
    def name(self) -> str:
        """Names the model and its version; vectors of two names don't compare."""

    @property
    def dimension(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, shape (n, dimension), of length 1; a text beyond the model's limit is cut."""

    async def close(self) -> None: ...
