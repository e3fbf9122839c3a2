"""all-MiniLM-L6-v2 in process, on ONNX Runtime."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf
from tokenizers import Tokenizer

from contracts.errors import Misconfigured
from workers.batching import Batcher
from workers.embedding.minilm_files import find_model_files, onnx_file
from workers.embedding.port import Vectors
from workers.embedding.settings import EmbedderSettings

_DIMENSION = 384
_BATCH = 16
_INLINE_TEXTS = 4
"""So few short texts are tokenised faster than a thread takes over."""


class MiniLmEmbedder:
    """Short texts go first, and texts of like length together, across all callers: a question does not wait
    behind the passages of a document, and little is computed on padding."""

    def __init__(self, settings: EmbedderSettings) -> None:
        """Raises: Misconfigured: a model file that is missing or damaged."""
        files = find_model_files(settings.model_dir)
        path = onnx_file(files, settings.cache_folder(), settings.precision)
        self._session = _open_session(path, settings.threads)
        self._tokenizer = _open_tokenizer(files.tokenizer, settings.max_tokens)
        self._name = f"all-MiniLM-L6-v2/{files.version}/{settings.precision}"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedding")
        self._batches: Batcher[list[int], Vectors] = Batcher(self._encode, max_items=_BATCH, cost=len)

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return _DIMENSION

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, _DIMENSION), dtype=np.float32)
        if len(texts) <= _INLINE_TEXTS:
            tokens = self._tokenise(texts)
        else:
            tokens = await asyncio.to_thread(self._tokenise, texts)
        return np.stack(await self._batches.submit_all(tokens))

    async def close(self) -> None:
        await self._batches.close()
        self._thread.shutdown(wait=False)

    def _tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    async def _encode(self, tokens: Sequence[list[int]]) -> Sequence[Vectors]:
        loop = asyncio.get_running_loop()
        return list(await loop.run_in_executor(self._thread, self._infer, tokens))

    def _infer(self, tokens: Sequence[list[int]]) -> Vectors:
        ids, mask = padded(tokens)
        vectors: Vectors = self._session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors


def padded(tokens: Sequence[list[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Ids and mask, both (texts, longest text)."""
    longest = max(map(len, tokens))
    ids = np.zeros((len(tokens), longest), dtype=np.int32)
    mask = np.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask


def _open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between two batches take the CPU from everything else on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (InvalidProtobuf, InvalidGraph, Fail) as error:
        remedy = "Delete the file: the next start writes it again."
        raise Misconfigured(f"The model file {path} is damaged: {error}.", remedy=remedy) from error


def _open_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer
