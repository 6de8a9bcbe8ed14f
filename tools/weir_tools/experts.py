"""How the experts are stored and run: strategies of one shape.

What they compute: the k best experts by the router's scores, softmax over these, and of each
(min(up, 7) + 1) * gate * sigmoid(1.702 gate) between its two products; design 4.2.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from onnx import TensorProto

from .graph import Graph
from .linear import scale_to


class Experts(Protocol):
    """Stores the experts' two products and adds the nodes that run them.

    `tokens` (tokens, width) and `routing`, the router's scores (tokens, experts), give (tokens, width). Rows of `up`
    are gate and up in turns. `how`: attributes of ONNX Runtime's operators.
    """

    def __call__(
        self, graph: Graph, tokens: str, routing: str, up: "Product", down: "Product", name: str, **how: object
    ) -> str: ...


@dataclass(frozen=True)
class Product:
    """Of all experts: weight (experts, out, in) and bias (experts, out)."""

    weight: np.ndarray
    bias: np.ndarray


def whole(graph: Graph, tokens: str, routing: str, up: Product, down: Product, name: str, **how: object) -> str:
    stored = [graph.constant(f"{name}.up", up.weight), graph.constant(f"{name}.up_bias", up.bias)]
    stored += [graph.constant(f"{name}.down", down.weight), graph.constant(f"{name}.down_bias", down.bias)]
    return graph.contrib("MoE", [tokens, routing, *stored], name, **how)


def quantised(bits: int, block: int | None, accuracy_level: int = 4) -> Experts:
    """QMoE: symmetric steps for each `block` inputs, or for each row."""

    def experts(graph: Graph, tokens: str, routing: str, up: Product, down: Product, name: str, **how: object) -> str:
        stored = []
        for part, product in (("up", up), ("down", down)):
            count, rows, inputs = product.weight.shape
            blocks = product.weight.reshape(count, rows, -1, block or inputs)
            highest = 2 ** (bits - 1) - 1
            scale = scale_to(highest, blocks, axis=3)
            codes = (np.rint(blocks / scale) + highest + 1).astype(np.uint8).reshape(product.weight.shape)
            if bits == 4:
                codes = codes[..., 0::2] | (codes[..., 1::2] << 4)
            # per row, the operator wants no axis of blocks
            scale = scale[..., 0] if block else scale[:, :, 0, 0]
            stored += [graph.constant(f"{name}.{part}", codes), graph.constant(f"{name}.{part}_scale", scale)]
            stored.append(graph.constant(f"{name}.{part}_bias", product.bias))
        how |= {"expert_weight_bits": bits, "block_size": block or 0, "accuracy_level": accuracy_level}
        return graph.contrib("QMoE", [tokens, routing, *stored], name, **how)

    return experts


def apart(graph: Graph, tokens: str, routing: str, up: Product, down: Product, name: str, **how: object) -> str:
    """Each expert's products as nodes of their own, whose weights ONNX Runtime packs once.

    MoE packs an expert's weights anew for every batch, which at 64 rows an expert takes as long as a fifth of the
    products: 91 GFLOP/s became 126 of 154 (two sessions of one thread, 2,048 tokens each).

    Where there are no tokens nothing is run. And what is in a branch is planned by itself: ONNX Runtime compares each
    buffer with all that are free, so a layer at a time is planned in 7.6 s, and all together in 15.
    """
    if not graph.has("apart.some"):
        none = graph.shared("apart.nothing", np.zeros(1, np.int64))
        graph.node("Greater", [graph.node("Shape", [tokens], "apart.tokens", start=0, end=1), none], "apart.some")
    graph.branches(
        "apart.some",
        [name],
        [TensorProto.FLOAT],
        lambda: [_apart(graph, tokens, routing, up, down, name, **how)],
        lambda: [graph.node("Identity", [tokens], f"{name}.nothing")],
    )
    return name


def _apart(graph: Graph, tokens: str, routing: str, up: Product, down: Product, name: str, **how: object) -> str:
    width, experts, chosen = down.weight.shape[1], up.weight.shape[0], how["k"]

    def number(text: str, value: object) -> str:
        return graph.shared(f"apart.{text}", np.asarray(value, np.int64))

    graph.nodes("TopK", [routing, number("chosen", [chosen])], [f"{name}.best", f"{name}.experts"], axis=-1, sorted=0)
    shares = graph.node("Softmax", [f"{name}.best"], f"{name}.shares", axis=-1)
    # Sorted by expert, and by place within one: all keys differ, so the order is one and the same on every machine.
    flat = graph.node("Reshape", [f"{name}.experts", number("flat", [-1])], f"{name}.flat")
    count = graph.node("Shape", [flat], f"{name}.count")
    every = [number("zero", 0), graph.node("Squeeze", [count], f"{name}.end"), number("one", 1)]
    places = graph.node("Range", every, f"{name}.places")
    keys = graph.node("Add", [graph.node("Mul", [flat, count], f"{name}.groups"), places], f"{name}.keys")
    graph.nodes("TopK", [keys, count], [f"{name}.sorted_keys", f"{name}.order"], axis=-1, largest=0)
    graph.nodes("TopK", [f"{name}.order", count], [f"{name}.sorted_order", f"{name}.back"], axis=-1, largest=0)
    owners = graph.node("Div", [f"{name}.order", number("each", chosen)], f"{name}.owners")
    rows = graph.node("Gather", [tokens, owners], f"{name}.rows")
    ones = graph.node("Expand", [number("ones", [1]), count], f"{name}.ones")
    none = number("none", np.zeros(experts))
    sizes = graph.node("ScatterElements", [none, flat, ones], f"{name}.sizes", reduction="add")
    parts = [f"{name}.{expert}.rows" for expert in range(experts)]
    graph.nodes("Split", [rows, sizes], parts, axis=0)
    for part in parts:
        # Each has a length of its own. Where it has no name ONNX Runtime can't tell that a node's output is as large
        # as its input, uses no buffer twice, and plans memory for 83 s (15 s so) at 1,024 experts.
        graph.sized(part, [part, width])
    limit = float(how["swiglu_limit"])
    most = graph.shared("apart.most", np.float32(limit))
    # up is bounded after 1 was added to its bias
    low, high = graph.shared("apart.low", np.float32(1 - limit)), graph.shared("apart.high", np.float32(1 + limit))
    outs = []
    for expert in range(experts):
        own = f"{name}.{expert}"
        gate = _plus(graph, f"{own}.rows", up.weight[expert, 0::2], up.bias[expert, 0::2], f"{own}.gate")
        wide = _plus(graph, f"{own}.rows", up.weight[expert, 1::2], up.bias[expert, 1::2] + 1, f"{own}.up")
        gate = graph.node("Min", [gate, most], f"{own}.bounded")
        gate = graph.contrib("QuickGelu", [gate], f"{own}.open", alpha=how["activation_alpha"])
        wide = graph.node("Clip", [wide, low, high], f"{own}.wide")
        inner = graph.node("Mul", [gate, wide], f"{own}.inner")
        outs.append(_plus(graph, inner, down.weight[expert], down.bias[expert], f"{own}.out"))
    sorted_rows = graph.node("Concat", outs, f"{name}.sorted", axis=0)
    own_order = graph.node("Gather", [sorted_rows, f"{name}.back"], f"{name}.unsorted")
    by_token = graph.node("Reshape", [own_order, number("by_token", [-1, chosen, width])], f"{name}.by_token")
    shares = graph.node("Unsqueeze", [shares, number("middle", [1])], f"{name}.shares.row")
    mixed = graph.node("MatMul", [shares, by_token], f"{name}.mixed")
    return graph.node("Squeeze", [mixed, number("middle", [1])], f"{name}.taken")


def _plus(graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray, name: str) -> str:
    stored = graph.constant(f"{name}.weight", weight.T), graph.constant(f"{name}.bias", bias)
    return graph.node("Gemm", [x, *stored], name)
