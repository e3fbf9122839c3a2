"""BERT sentence encoders as ONNX graphs, written from the weights.

The nodes are ONNX Runtime's fused operators (domain com.microsoft) where it has them: attention with its
projections, addition with layer normalisation, bias with GELU. Measured on two AVX2 cores against the plain
operators that an exporter writes: twice as many passages a second.

int8: weights are symmetric, one scale per output channel; activations are quantised as they come, one scale
per tensor. Weights keep 7 bits, because AVX2 without VNNI adds pairs of 8-bit products in 16 bits, which
saturates. The scale of activations depends on the whole batch, so a vector varies a little with its company.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from workers.embedding.port import Precision

Weights = Mapping[str, NDArray[np.float32]]

_FUSED = "com.microsoft"
_OPSET = 17
_WEIGHT_LIMIT = 63
"""Largest magnitude of a 7-bit signed weight."""


@dataclass(frozen=True)
class BertShape:
    """Read from the model's config.json."""

    layers: int
    heads: int
    hidden: int
    layer_norm_epsilon: float


@dataclass
class _Graph:
    """Nodes and initialisers as they are added; every method gives the name of its output."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def fused(self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, outputs, domain=_FUSED, **attributes))
        return outputs[0]


@dataclass(frozen=True)
class Quantised:
    """`values[i, j] * scales[j]` gives back the weight, for j an output channel."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]


def quantise(weight: NDArray[np.float32]) -> Quantised:
    """Weight as (input, output), symmetric per output channel."""
    peaks = np.maximum(np.abs(weight).max(axis=0), np.finfo(np.float32).tiny)
    scales = (peaks / _WEIGHT_LIMIT).astype(np.float32)
    return Quantised(np.rint(weight / scales).astype(np.int8), scales)


def sentence_encoder(weights: Weights, shape: BertShape, precision: Precision) -> onnx.ModelProto:
    """Inputs `ids` and `mask` (int32, batch x tokens, padded right), output `embedding` of length 1."""
    graph = _Graph()
    hidden = _embed(graph, weights, shape)
    for layer in range(shape.layers):
        hidden = _Layer(graph, weights, shape, precision, f"encoder.layer.{layer}.").add(hidden)
    _pool(graph, hidden)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, ["n", "t"]) for name in ("ids", "mask")]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", shape.hidden])
    onnx_graph = helper.make_graph(graph.nodes, "sentence_encoder", inputs, [output], graph.initializers)
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
    return helper.make_model(onnx_graph, opset_imports=opsets, ir_version=8)


def _embed(graph: _Graph, weights: Weights, shape: BertShape) -> str:
    # All tokens are of segment 0: its vector goes into the positions.
    positions = weights["embeddings.position_embeddings.weight"]
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    inputs = [
        "ids",
        "",
        graph.constant("words", weights["embeddings.word_embeddings.weight"]),
        graph.constant("positions", positions + segment),
        "",
        graph.constant("embedding.gamma", weights["embeddings.LayerNorm.weight"]),
        graph.constant("embedding.beta", weights["embeddings.LayerNorm.bias"]),
        "mask",
    ]
    outputs = ["embedded", "lengths"]
    return graph.fused("EmbedLayerNormalization", inputs, outputs, epsilon=shape.layer_norm_epsilon)


@dataclass(frozen=True)
class _Layer:
    graph: _Graph
    weights: Weights
    shape: BertShape
    precision: Precision
    prefix: str

    def add(self, hidden: str) -> str:
        attended = self._project(self._attention(hidden), "attention.output.dense")
        middle = self._normalise(attended, hidden, "attention.output")
        wide = self._project(middle, "intermediate.dense")
        bias = self._constant("intermediate.dense.bias")
        active = self.graph.fused("BiasGelu", [wide, bias], [self.prefix + "active"])
        return self._normalise(self._project(active, "output.dense"), middle, "output")

    def _constant(self, name: str) -> str:
        return self.graph.constant(self.prefix + name, self.weights[self.prefix + name])

    def _attention(self, hidden: str) -> str:
        parts = [f"{self.prefix}attention.self.{part}" for part in ("query", "key", "value")]
        weight = np.concatenate([self.weights[f"{part}.weight"] for part in parts]).T
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in parts])
        name = self.prefix + "attention"
        bias_name = self.graph.constant(name + ".bias", bias)
        outputs = [name + ".out"]
        if self.precision == "float32":
            inputs = [hidden, self.graph.constant(name + ".weight", weight), bias_name, "lengths"]
            return self.graph.fused("Attention", inputs, outputs, num_heads=self.shape.heads)
        values, scales, zeros = self._quantised(name, weight)
        quantised = [f"{name}.{part}" for part in ("q", "scale", "zero")]
        self.graph.nodes.append(helper.make_node("DynamicQuantizeLinear", [hidden], quantised))
        activation, scale, zero = quantised
        inputs = [activation, values, bias_name, scale, scales, "lengths", zero, zeros]
        return self.graph.fused("QAttention", inputs, outputs, num_heads=self.shape.heads)

    def _project(self, inner: str, name: str) -> str:
        weight = self.weights[f"{self.prefix}{name}.weight"].T
        output = f"{self.prefix}{name}.out"
        if self.precision == "float32":
            return self.graph.add("MatMul", [inner, self._weight(name, weight)], output)
        return self.graph.fused("DynamicQuantizeMatMul", [inner, *self._quantised(name, weight)], [output])

    def _weight(self, name: str, weight: NDArray[np.float32]) -> str:
        return self.graph.constant(f"{self.prefix}{name}.weight", weight)

    def _quantised(self, name: str, weight: NDArray[np.float32]) -> tuple[str, str, str]:
        quantised = quantise(weight)
        base = name if name.startswith(self.prefix) else self.prefix + name
        return (
            self.graph.constant(base + ".values", quantised.values),
            self.graph.constant(base + ".scales", quantised.scales),
            self.graph.constant(base + ".zeros", np.zeros_like(quantised.scales, dtype=np.int8)),
        )

    def _normalise(self, inner: str, skip: str, name: str) -> str:
        inputs = [
            inner,
            skip,
            self._constant(f"{name}.LayerNorm.weight"),
            self._constant(f"{name}.LayerNorm.bias"),
            self._constant(f"{name}.dense.bias"),
        ]
        outputs = [f"{self.prefix}{name}.normal"]
        return self.graph.fused(
            "SkipLayerNormalization", inputs, outputs, epsilon=self.shape.layer_norm_epsilon
        )


def _pool(graph: _Graph, hidden: str) -> None:
    """Mean over the tokens, scaled to length 1: the division by their number cancels out."""
    axis = graph.constant("axis", np.array([1], dtype=np.int64))
    mask = graph.add("Cast", ["mask"], "mask.float", to=TensorProto.FLOAT)
    row = graph.add("Unsqueeze", [mask, axis], "mask.row")
    total = graph.add("Squeeze", [graph.add("MatMul", [row, hidden], "sum.row"), axis], "sum")
    graph.add("LpNormalization", [total], "embedding", axis=1, p=2)
