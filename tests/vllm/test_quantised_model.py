"""The shipped model in another quantisation; the library that writes it comes with vLLM's environment."""

from pathlib import Path

import numpy as np
import pytest

from evals.quantised_model import make_quantised_model
from workers.engines.llamacpp import shipped_model

gguf = pytest.importorskip("gguf", reason="vLLM brings it: `make test-vllm` runs this in its environment")


def test_a_wider_quantisation_holds_the_same_weights_and_all_that_llama_cpp_has_to_know(
    tmp_path: Path,
) -> None:
    made = make_quantised_model("Q8_0", tmp_path)
    assert made.name == "SmolLM2-135M-Instruct.Q8_0.gguf"
    shipped, wider = gguf.GGUFReader(shipped_model()), gguf.GGUFReader(made)
    told = {name: field.contents() for name, field in wider.fields.items() if not name.startswith("GGUF.")}
    assert {name: told[name] for name in told if name != "general.file_type"} == {
        name: field.contents()
        for name, field in shipped.fields.items()
        if not name.startswith("GGUF.") and name != "general.file_type"
    }
    for before, after in zip(shipped.tensors, wider.tensors, strict=True):
        assert after.name == before.name
        assert after.tensor_type.name == before.tensor_type.name.replace("Q4_1", "Q8_0")
    layer = next(n for n, tensor in enumerate(shipped.tensors) if tensor.tensor_type.name == "Q4_1")
    weights = [
        gguf.quants.dequantize(t.data, t.tensor_type) for t in (shipped.tensors[layer], wider.tensors[layer])
    ]
    assert np.abs(weights[0] - weights[1]).max() < np.abs(weights[0]).max() / 100
