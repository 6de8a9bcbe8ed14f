"""BERT and XLM-RoBERTa as ONNX graphs: embeddings, layers, and no head.

In:  what reads a checkpoint's tensors by their PyTorch names, and the strategy for its matrices.
Out: the names of the hidden states (batch, tokens, width) after the layers that are asked for.
Holds: one layer's matrices are in memory at a time.
Does not know: packs, files, labels.

Three rewritings are exact and save time (tools/EXPERIMENTS.md has the gains):

- the key's bias adds the same to all scores of a query, so softmax drops it: so do we;
- the bias of a matrix that feeds a residual sum moves into the residual, that is into the shift of the
  LayerNorm before, and the matrices that read that LayerNorm take it back out of their own biases;
- a residual sum is `Sum` before `LayerNormalization`: ONNX Runtime's SkipLayerNormalization is a scalar
  loop, 6 times slower than the two (1.31.0, CPU), and `Add` may be fused into it where shapes are known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from .graph import Graph
from .linear import Linear, scale_to

Read = Callable[[str], np.ndarray]

GELU_FLOOR = -0.17


@dataclass(frozen=True)
class Shape:
    """MiniLM's; of XLM-RoBERTa, positions are counted from behind the padding's (`first_position` 2)."""

    layers: int = 6
    width: int = 384
    heads: int = 12
    epsilon: float = 1e-12
    first_position: int = 0
    positions: int | None = None  # so many are kept; all


@dataclass(frozen=True)
class Kernels:
    """The choices that tools/EXPERIMENTS.md measures against each other."""

    linear: Linear
    embeddings_8bit: bool = True
    gelu: str = "Gelu"  # or FastGelu, the tanh form
    skip_norm: bool = False


@dataclass(frozen=True)
class _Norm:
    gain: np.ndarray
    shift: np.ndarray

    def moved_by(self, vector: np.ndarray) -> "_Norm":
        return _Norm(self.gain, self.shift + vector)


@dataclass(frozen=True)
class _Dense:
    weight: np.ndarray
    bias: np.ndarray

    def reading_moved_by(self, vector: np.ndarray) -> "_Dense":
        """The same result from an input that `vector` was added to."""
        return _Dense(self.weight, self.bias - self.weight @ vector)


@dataclass(frozen=True)
class _Layer:
    query: _Dense
    key: np.ndarray
    value: _Dense
    attended: np.ndarray
    middle: _Norm
    wide: _Dense
    narrow: np.ndarray
    out: _Norm


def encoder(graph: Graph, read: Read, ids: str, mask: str, kernels: Kernels, shape: Shape = Shape()) -> str:
    """The last layer's hidden states."""
    return states(graph, read, ids, mask, kernels, shape, [shape.layers])[0]


def states(
    graph: Graph, read: Read, ids: str, mask: str, kernels: Kernels, shape: Shape, after: Sequence[int]
) -> list[str]:
    """Hidden states after each of these layers, counted from 1."""
    # MultiHeadAttention wants the mask in 32 bits; cast once for all layers
    mask32 = graph.node("Cast", [mask], "mask32", to=TensorProto.INT32)
    # what each layer's first residual sum gets from the norm before it; nothing follows the last layer
    moved = [read(f"encoder.layer.{index}.attention.output.dense.bias") for index in range(max(after))]
    moved.append(np.zeros(shape.width, np.float32))
    hidden = _embed(graph, read, moved[0], ids, kernels, shape)
    found = {}
    for index in range(max(after)):
        layer = _layer(lambda name, at=f"encoder.layer.{index}.": read(at + name), moved[index], moved[index + 1])
        hidden = _run_layer(graph, layer, hidden, mask32, f"layer{index}", kernels, shape)
        found[index + 1] = hidden
        if index + 1 in after and moved[index + 1].any():
            back = graph.constant(f"layer{index}.moved", moved[index + 1])
            found[index + 1] = graph.node("Sub", [hidden, back], f"layer{index}.own")
    return [found[index] for index in after]


def _layer(read: Read, moved_in: np.ndarray, moved_on: np.ndarray) -> _Layer:
    narrow = _dense("output.dense.", read)
    return _Layer(
        query=_dense("attention.self.query.", read).reading_moved_by(moved_in),
        key=read("attention.self.key.weight"),
        value=_dense("attention.self.value.", read).reading_moved_by(moved_in),
        attended=read("attention.output.dense.weight"),
        middle=_norm("attention.output.LayerNorm.", read).moved_by(narrow.bias),
        wide=_dense("intermediate.dense.", read).reading_moved_by(narrow.bias),
        narrow=narrow.weight,
        out=_norm("output.LayerNorm.", read).moved_by(moved_on),
    )


def _embed(graph: Graph, read: Read, moved: np.ndarray, ids: str, kernels: Kernels, shape: Shape) -> str:
    norm = _norm("embeddings.LayerNorm.", read).moved_by(moved)
    words = _look_up(graph, read("embeddings.word_embeddings.weight"), ids, kernels.embeddings_8bit)
    # every token is of type 0: its vector joins the positions
    positions = read("embeddings.position_embeddings.weight") + read("embeddings.token_type_embeddings.weight")[0]
    positions = positions[shape.first_position :][: shape.positions]
    count = graph.node("Shape", [ids], "embed.shape", start=1, end=2)
    zero = graph.constant("embed.zero", np.array([0], np.int64))
    used = graph.node("Slice", [graph.constant("embed.positions", positions), zero, count, zero], "embed.used")
    return _sum_norm(graph, [words, used], norm, "embed", kernels, shape)


def _look_up(graph: Graph, table: np.ndarray, ids: str, in_8bit: bool) -> str:
    if not in_8bit:
        return graph.node("Gather", [graph.constant("words", table), ids], "words.row")
    scale = scale_to(127, table, axis=1)
    stored = graph.constant("words", np.rint(table / scale).astype(np.int8))
    row = graph.node("Gather", [stored, ids], "words.row")
    wide = graph.node("Cast", [row], "words.wide", to=TensorProto.FLOAT)
    row_scale = graph.node("Gather", [graph.constant("words.scale", scale), ids], "words.row_scale")
    return graph.node("Mul", [wide, row_scale], "words.scaled")


def _run_layer(graph: Graph, layer: _Layer, hidden: str, mask32: str, name: str, kernels: Kernels, shape: Shape) -> str:
    linear = kernels.linear
    query = linear(graph, hidden, layer.query.weight, layer.query.bias, f"{name}.query")
    key = linear(graph, hidden, layer.key, None, f"{name}.key")
    value = linear(graph, hidden, layer.value.weight, layer.value.bias, f"{name}.value")
    context = graph.contrib(
        "MultiHeadAttention", [query, key, value, "", mask32], f"{name}.context", num_heads=shape.heads
    )
    attended = linear(graph, context, layer.attended, None, f"{name}.attended")
    middle = _sum_norm(graph, [attended, hidden], layer.middle, f"{name}.middle", kernels, shape)
    wide = linear(graph, middle, layer.wide.weight, layer.wide.bias, f"{name}.wide")
    bent = graph.contrib(kernels.gelu, [wide], f"{name}.bent")
    narrow = linear(graph, bent, layer.narrow, None, f"{name}.narrow", floor=GELU_FLOOR)
    return _sum_norm(graph, [narrow, middle], layer.out, f"{name}.out", kernels, shape)


def _sum_norm(graph: Graph, terms: list[str], norm: _Norm, name: str, kernels: Kernels, shape: Shape) -> str:
    gain, shift = graph.constant(f"{name}.gain", norm.gain), graph.constant(f"{name}.shift", norm.shift)
    if kernels.skip_norm:
        return graph.contrib("SkipLayerNormalization", [*terms, gain, shift], name, epsilon=shape.epsilon)
    total = graph.node("Sum", terms, f"{name}.sum")
    return graph.node("LayerNormalization", [total, gain, shift], name, axis=-1, epsilon=shape.epsilon)


def _norm(prefix: str, read: Read) -> _Norm:
    return _Norm(read(f"{prefix}weight"), read(f"{prefix}bias"))


def _dense(prefix: str, read: Read) -> _Dense:
    return _Dense(read(f"{prefix}weight"), read(f"{prefix}bias"))
