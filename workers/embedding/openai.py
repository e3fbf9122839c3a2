"""Any server with OpenAI's `/v1/embeddings`: vLLM, Text Embeddings Inference, Infinity, OpenAI itself."""

from collections.abc import Sequence

import httpx
import numpy as np
from pydantic import BaseModel, ValidationError

from contracts.errors import DependencyUnavailable, InvalidDocument, Misconfigured
from workers.batching import Batcher
from workers.embedding.port import Vectors
from workers.embedding.settings import EmbedderSettings

_REFUSALS = {401, 403, 404}


class _Item(BaseModel):
    index: int
    embedding: list[float]


class _Answer(BaseModel):
    data: list[_Item]


class OpenAiEmbedder:
    """Texts that arrive while a request is in flight leave together in the next one.

    Retries are left to the caller. Errors: DependencyUnavailable, Misconfigured, and InvalidDocument for a
    text that the server refuses.
    """

    def __init__(self, settings: EmbedderSettings) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/") + "/embeddings"
        headers = {}
        if settings.api_key is not None:
            headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
        self._client = httpx.AsyncClient(headers=headers, timeout=settings.timeout_s)
        self._batches: Batcher[str, Vectors] = Batcher(self._request, max_items=settings.batch_size)

    @property
    def name(self) -> str:
        return self._settings.model or self._settings.url

    @property
    def dimension(self) -> int:
        return self._settings.dimension

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return np.stack(await self._batches.submit_all(texts))

    async def close(self) -> None:
        await self._batches.close()
        await self._client.aclose()

    async def _request(self, texts: Sequence[str]) -> Sequence[Vectors]:
        body = {"model": self._settings.model, "input": list(texts), "encoding_format": "float"}
        try:
            response = await self._client.post(self._url, json=body)
        except httpx.TransportError as error:
            raise DependencyUnavailable(f"No answer from {self._url}: {error!r}.") from error
        self._check(response)
        return self._vectors(response, len(texts))

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status < 400:
            return
        detail = f"{self._url} answered {status}: {response.text[:200]!r}."
        if status in _REFUSALS:
            remedy = "Check AF_EMBEDDER_URL, AF_EMBEDDER_MODEL and AF_EMBEDDER_API_KEY."
            raise Misconfigured(detail, remedy=remedy)
        if status in {408, 429} or status >= 500:
            raise DependencyUnavailable(detail)
        raise InvalidDocument(detail, remedy="Shorten the text, or correct what the server names.")

    def _vectors(self, response: httpx.Response, expected: int) -> list[Vectors]:
        try:
            items = _Answer.model_validate_json(response.content).data
            rows = np.array([i.embedding for i in sorted(items, key=lambda i: i.index)], dtype=np.float32)
        except (ValidationError, ValueError) as error:
            raise DependencyUnavailable(f"{self._url} did not answer with embeddings: {error}.") from error
        if rows.shape != (expected, self.dimension):
            raise Misconfigured(
                f"{self._url} gave vectors of shape {rows.shape}, expected {(expected, self.dimension)}.",
                remedy="Set AF_EMBEDDER_DIMENSION to the length of the model's vectors.",
            )
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return list(rows / np.maximum(lengths, np.finfo(np.float32).tiny))
