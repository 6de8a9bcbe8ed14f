"""How a weight matrix is stored and multiplied: four strategies of one shape.

`linear(graph, x, weight, bias, name, floor)`: x (…, in) and weight (out, in) give (…, out). `floor` is
a bound that no value of x goes below, if one is known. Every strategy keeps a row's result free of its
batch-mates: activations are quantised per row or per block of a row, never per tensor.
"""

from typing import Protocol

import numpy as np
from onnx import TensorProto

from .graph import Graph


class Linear(Protocol):
    def __call__(
        self,
        graph: Graph,
        x: str,
        weight: np.ndarray,
        bias: np.ndarray | None,
        name: str,
        floor: float | None = None,
    ) -> str: ...


def fp32(
    graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray | None, name: str, floor: float | None = None
) -> str:
    stored = graph.constant(f"{name}.weight", weight.T)
    return _times_plus(graph, "MatMul", [x, stored], bias, name)


def int8_at_rest(
    graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray | None, name: str, floor: float | None = None
) -> str:
    """8 bits in the file; ONNX Runtime folds the product into fp32 once, when it loads the graph.

    Written as Cast and Mul: ONNX Runtime does not fold DequantizeLinear.
    """
    scale = scale_to(127, weight, axis=1)
    stored = graph.constant(f"{name}.weight", np.rint(weight / scale).astype(np.int8).T)
    wide = graph.node("Cast", [stored], f"{name}.wide", to=TensorProto.FLOAT)
    scaled = graph.node("Mul", [wide, graph.constant(f"{name}.scale", scale.T)], f"{name}.scaled")
    return _times_plus(graph, "MatMul", [x, scaled], bias, name)


def blockwise(block: int, accuracy_level: int) -> Linear:
    """MatMulNBits: 8-bit weights, a scale per `block` inputs. Level 4 quantises activations per block too."""

    def linear(
        graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray | None, name: str, floor: float | None = None
    ) -> str:
        outputs, inputs = weight.shape
        blocks = weight.reshape(outputs, inputs // block, block)
        scale = scale_to(127, blocks, axis=2)
        stored = graph.constant(f"{name}.weight", (np.rint(blocks / scale) + 128).astype(np.uint8))
        tensors = [x, stored, graph.constant(f"{name}.scale", scale.reshape(-1))]
        if bias is not None:
            tensors += ["", "", graph.constant(f"{name}.bias", bias)]
        shape = {"K": inputs, "N": outputs, "bits": 8, "block_size": block}
        return graph.contrib("MatMulNBits", tensors, name, accuracy_level=accuracy_level, **shape)

    return linear


def rowwise(signed: bool) -> Linear:
    """An integer product with a scale per row of x and per column of the weight.

    `signed`: U8 × S8 with 7-bit weights, so that the sum of two products, 2 × 255 × 63, fits in the
    16 bits that CPUs without VNNI add it up in. Else U8 × U8, which is widened before it is multiplied.
    """

    def linear(
        graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray | None, name: str, floor: float | None = None
    ) -> str:
        scale = scale_to(63 if signed else 127, weight, axis=1)
        rounded = np.rint(weight / scale)
        zero = np.array(0, np.int8) if signed else np.array(128, np.uint8)
        rows = _rows(graph, x, floor)
        tensors = [
            rows.quantised,
            graph.constant(f"{name}.weight", (rounded + zero).astype(zero.dtype).T),
            graph.constant(f"{name}.x_scale", np.float32(1)),
            graph.constant(f"{name}.scale", scale[:, 0]),
            graph.constant(f"{name}.x_zero", np.array(rows.zero, np.uint8)),
            graph.constant(f"{name}.zero", zero if signed else np.full(len(scale), zero)),
        ]
        product = graph.contrib("MatMulIntegerToFloat", tensors, f"{name}.product")
        return _times_plus(graph, "Mul", [product, rows.scale], bias, name)

    return linear


class _Rows:
    """The quantised rows of x and their scales; nodes are added once for each x."""

    def __init__(self, x: str, zero: int) -> None:
        self.quantised = f"{x}.u8"
        self.scale = f"{x}.step"
        self.zero = zero


# Where x has a floor little of the range goes below zero. 16 of 255 steps keep Gelu's -0.17 without
# clipping while the row's peak sets the step from 2.5 up; a smaller peak gets the step of the floor.
_ZERO_ABOVE_FLOOR = 16
_ZERO_IN_THE_MIDDLE = 128


def _rows(graph: Graph, x: str, floor: float | None) -> _Rows:
    rows = _Rows(x, _ZERO_IN_THE_MIDDLE if floor is None else _ZERO_ABOVE_FLOOR)
    if graph.has(rows.quantised):
        return rows
    highest = x if floor is not None else graph.node("Abs", [x], f"{x}.size")
    peak = graph.node("ReduceMax", [highest], f"{x}.peak", axes=[-1], keepdims=1)
    step = graph.node("Mul", [peak, graph.constant(f"{x}.one_step", np.float32(1 / (255 - rows.zero)))], f"{x}.rise")
    least = -floor / rows.zero if floor is not None else np.finfo(np.float32).tiny
    graph.node("Max", [step, graph.constant(f"{x}.least", np.float32(least))], rows.scale)
    steps = graph.node("Reciprocal", [rows.scale], f"{x}.per_step")
    ratio = graph.node("Mul", [x, steps], f"{x}.ratio")
    # half a step more, then Cast cuts off: rounding without a Round node
    moved = graph.node("Add", [ratio, graph.constant(f"{x}.half", np.float32(rows.zero + 0.5))], f"{x}.moved")
    graph.node("Cast", [moved], rows.quantised, to=TensorProto.UINT8)
    return rows


def _times_plus(graph: Graph, op: str, factors: list[str], bias: np.ndarray | None, name: str) -> str:
    if bias is None:
        return graph.node(op, factors, name)
    product = graph.node(op, factors, f"{name}.product_scaled")
    return graph.node("Add", [product, graph.constant(f"{name}.bias", bias)], name)


def scale_to(largest: int, values: np.ndarray, axis: int) -> np.ndarray:
    """The symmetric step that maps the greatest magnitude along `axis` on `largest`."""
    peak = np.abs(values).max(axis=axis, keepdims=True)
    return np.maximum(peak / largest, np.finfo(np.float32).tiny).astype(np.float32)
