"""The backbone of openai/privacy-filter as an ONNX graph: attention in a band, and a mixture of experts.

In:  a checkpoint in the layout of transformers' `openai_privacy_filter`, and the strategies for its matrices.
Out: `hidden` (batch, tokens, width), the input of the classifier; or `logits` of the checkpoint's own classifier.
     With injection, what the adaptive family conditions the layers on is an input: `v` (batch, points, labels, width)
     and `n_labels` (batch); rows of one batch may have different label sets.
Does not know: packs, label encoders.

Layer by layer, so that one layer's experts are in memory at a time. ONNX Runtime's MoE wants gate and up rows in turns
(`swiglu_fusion=1`), where the checkpoint has one behind the other. What torch.onnx.export makes of this model gathers
expert weights per token and is of no use at full size.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from onnx import TensorProto

from . import linear
from .checkpoint import Checkpoint, Problem
from .graph import Graph
from .linear import Linear, scale_to

# After these layers the adaptive family adds what it knows of the labels.
INJECTED = (0, 2, 4, 6)


@dataclass(frozen=True)
class Shape:
    """config.json, as far as the graph follows from it."""

    vocabulary: int
    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    head: int
    experts: int
    chosen: int
    window: int
    epsilon: float
    limit: float
    alpha: float
    frequencies: np.ndarray
    cosine_scale: float

    @classmethod
    def of(cls, config: dict) -> "Shape":
        known = config.get("model_type")
        if known != "openai_privacy_filter":
            raise Problem(f"config.json: model_type is {known!r}; this exporter knows openai_privacy_filter")
        try:
            return cls(
                vocabulary=config["vocab_size"],
                width=config["hidden_size"],
                inner=config["intermediate_size"],
                layers=config["num_hidden_layers"],
                heads=config["num_attention_heads"],
                key_heads=config["num_key_value_heads"],
                head=config["head_dim"],
                experts=config["num_local_experts"],
                chosen=config["num_experts_per_tok"],
                window=config["sliding_window"],
                epsilon=config["rms_norm_eps"],
                # constants of the architecture, which published configurations leave out
                limit=config.get("swiglu_limit", 7.0),
                alpha=config.get("swiglu_alpha", 1.702),
                frequencies=_frequencies(config["rope_parameters"], config["head_dim"]),
                cosine_scale=0.1 * math.log(config["rope_parameters"]["factor"]) + 1,
            )
        except KeyError as error:
            raise Problem(f"config.json: there is no {error}") from None


def _frequencies(rope: dict, head: int) -> np.ndarray:
    """YaRN (https://arxiv.org/abs/2309.00071), as transformers computes it: long waves are stretched by `factor`."""
    if rope.get("rope_type") != "yarn" or rope.get("truncate", True):
        raise Problem("config.json: rope_parameters are known for rope_type yarn with truncate false only")
    base, context = rope.get("rope_theta", 150_000.0), rope["original_max_position_embeddings"]

    def dimension(rotations: float) -> float:
        return head * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(dimension(rope["beta_fast"]), 0), min(dimension(rope["beta_slow"]), head - 1)
    own = base ** (-np.arange(0, head, 2, dtype=np.float32) / np.float32(head))
    stretched = np.clip((np.arange(head // 2, dtype=np.float32) - low) / max(high - low, 0.001), 0, 1)
    return (own / rope["factor"] * stretched + own * (1 - stretched)).astype(np.float32)


class Experts(Protocol):
    """Stores the experts' two products and adds the node that runs them."""

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


@dataclass(frozen=True)
class Kernels:
    experts: Experts = whole
    linear: Linear = linear.fp32
    embeddings_8bit: bool = False


def backbone(
    graph: Graph,
    checkpoint: Checkpoint,
    kernels: Kernels,
    positions: int,
    gates: tuple[float, ...] = (),
    classes: int = 0,
) -> None:
    """`positions`: the longest row. `gates`: one for each of `INJECTED`, sigmoid(alpha); none, no injection.

    `classes` of the own classifier; 0 gives `hidden`.
    """
    shape = Shape.of(checkpoint.config)
    builder = _Builder(graph, checkpoint, shape, kernels)
    ids = graph.input("input_ids", TensorProto.INT64, ["batch", "tokens"])
    mask = graph.input("attention_mask", TensorProto.INT64, ["batch", "tokens"])
    if gates:
        graph.input("v", TensorProto.FLOAT, ["batch", len(gates), "labels", shape.width])
        graph.input("n_labels", TensorProto.INT64, ["batch"])
    builder.prepare(ids, mask, positions)
    stream = _Stream(builder.embed(ids), None)
    for layer in range(shape.layers):
        normed, stream = builder.norm(stream, f"model.layers.{layer}.input_layernorm")
        stream = _Stream(stream.residual, builder.attend(normed, layer))
        normed, stream = builder.norm(stream, f"model.layers.{layer}.post_attention_layernorm")
        stream = _Stream(stream.residual, builder.experts(normed, layer))
        if gates and layer in INJECTED:
            stream = builder.inject(stream, INJECTED.index(layer), gates)
    normed, _ = builder.norm(stream, "model.norm")
    if classes == 0:
        graph.node("Identity", [normed], "hidden")
        graph.output("hidden", ["batch", "tokens", shape.width])
        return
    weight, bias = checkpoint.tensor("score.weight", classes, shape.width), checkpoint.tensor("score.bias", classes)
    linear.fp32(graph, normed, weight, bias, "logits")
    graph.output("logits", ["batch", "tokens", classes])


@dataclass(frozen=True)
class _Stream:
    """The residual, and what the last block adds to it with the next norm."""

    residual: str
    added: str | None


class _Builder:
    def __init__(self, graph: Graph, checkpoint: Checkpoint, shape: Shape, kernels: Kernels) -> None:
        self._graph, self._checkpoint, self._shape, self._kernels = graph, checkpoint, shape, kernels

    def prepare(self, ids: str, mask: str, positions: int) -> None:
        """What all layers share: lengths, the band, cosines."""
        graph, shape = self._graph, self._shape
        graph.node("Shape", [ids], "ids.shape")
        rows = graph.node("Shape", [ids], "rows", start=0, end=1)
        length = graph.node("Shape", [ids], "length", start=1, end=2)
        zero, one = self._number("zero", 0), self._number("one", 1)
        count = graph.node("Squeeze", [length], "count")
        order = graph.node("Range", [zero, count, one], "order")
        across = graph.node("Unsqueeze", [order, self._axes("first", 0)], "order.across")
        down = graph.node("Unsqueeze", [order, self._axes("second", 1)], "order.down")
        apart = graph.node("Abs", [graph.node("Sub", [down, across], "order.apart")], "distance")
        near = graph.node("LessOrEqual", [apart, self._number("window", shape.window)], "near")
        real = graph.node("Cast", [mask], "real", to=TensorProto.BOOL)
        keys = graph.node("Unsqueeze", [real, self._axes("middle", 1, 2)], "real.keys")
        seen = graph.node("And", [keys, near], "seen")
        nothing = graph.constant("nothing", np.float32(0))
        # far below every score, and still finite where ONNX Runtime adds it to others
        hidden = graph.constant("unseen", np.float32(-1e9))
        graph.node("Where", [seen, nothing, hidden], "band")
        graph.node("Expand", [across, "ids.shape"], "positions")
        angles = np.arange(positions, dtype=np.float32)[:, None] * shape.frequencies
        graph.constant("cosines", np.cos(angles) * np.float32(shape.cosine_scale))
        graph.constant("sines", np.sin(angles) * np.float32(shape.cosine_scale))
        last = graph.node("Cast", [graph.node("Sub", [count, one], "count.last")], "last", to=TensorProto.INT32)
        graph.node("Expand", [last, rows], "last_keys")
        graph.node("Cast", [count], "all_keys", to=TensorProto.INT32)

    def embed(self, ids: str) -> str:
        graph, shape = self._graph, self._shape
        table = self._checkpoint.tensor("model.embed_tokens.weight", shape.vocabulary, shape.width)
        if not self._kernels.embeddings_8bit:
            return graph.node("Gather", [graph.constant("words", table), ids], "embedded")
        scale = scale_to(127, table, axis=1)
        stored = graph.constant("words", np.rint(table / scale).astype(np.int8))
        row = graph.node("Cast", [graph.node("Gather", [stored, ids], "words.row")], "words.wide", to=TensorProto.FLOAT)
        steps = graph.node("Gather", [graph.constant("words.scale", scale), ids], "words.steps")
        return graph.node("Mul", [row, steps], "embedded")

    def norm(self, stream: _Stream, name: str) -> tuple[str, _Stream]:
        """RMS norm, in fp32 as all of this graph: values near 7,000 go in."""
        gain = self._graph.constant(f"{name}.weight", self._checkpoint.tensor(f"{name}.weight", self._shape.width))
        epsilon = self._shape.epsilon
        if stream.added is None:
            normed = self._graph.node(
                "SimplifiedLayerNormalization", [stream.residual, gain], name, axis=-1, epsilon=epsilon
            )
            return normed, stream
        total = f"{name}.sum"
        self._graph.nodes(
            "SkipSimplifiedLayerNormalization",
            [stream.added, stream.residual, gain],
            [name, "", "", total],
            domain="com.microsoft",
            epsilon=epsilon,
        )
        return name, _Stream(total, None)

    def attend(self, x: str, layer: int) -> str:
        graph, shape = self._graph, self._shape
        at, wide, narrow = f"model.layers.{layer}.self_attn", shape.heads * shape.head, shape.key_heads * shape.head
        query, key, value = (
            self._dense(x, f"{at}.{part}_proj", rows, shape.width)
            for part, rows in (("q", wide), ("k", narrow), ("v", narrow))
        )
        turned = [
            graph.contrib(
                "RotaryEmbedding",
                [states, "positions", "cosines", "sines"],
                f"{states}.turned",
                interleaved=1,
                num_heads=heads,
                rotary_embedding_dim=0,
            )
            for states, heads in ((query, shape.heads), (key, shape.key_heads))
        ]
        sinks = graph.constant(f"{at}.sinks", self._checkpoint.tensor(f"{at}.sinks", shape.heads))
        context = f"{at}.context"
        graph.nodes(
            "GroupQueryAttention",
            [*turned, value, "", "", "last_keys", "all_keys", "", "", "", "band", sinks],
            [context, f"{context}.keys", f"{context}.values"],
            domain="com.microsoft",
            num_heads=shape.heads,
            kv_num_heads=shape.key_heads,
            causal=0,
            do_rotary=0,
            scale=shape.head**-0.5,
        )
        return self._dense(context, f"{at}.o_proj", shape.width, wide)

    def experts(self, x: str, layer: int) -> str:
        graph, shape, read = self._graph, self._shape, self._checkpoint.tensor
        at, count, width, inner = f"model.layers.{layer}.mlp", shape.experts, shape.width, shape.inner
        flat = graph.node("Reshape", [x, graph.shared("flat", np.array([-1, width], np.int64))], f"{at}.flat")
        # never quantised: an expert more or less is no rounding error
        routing = linear.fp32(
            graph, flat, read(f"{at}.router.weight", count, width), read(f"{at}.router.bias", count), f"{at}.router"
        )
        up = read(f"{at}.experts.gate_up_proj", count, width, 2 * inner)
        up_bias = read(f"{at}.experts.gate_up_proj_bias", count, 2 * inner)
        by_turns = np.arange(2 * inner).reshape(2, inner).T.ravel()
        y = self._kernels.experts(
            graph,
            flat,
            routing,
            Product(up.transpose(0, 2, 1)[:, by_turns], up_bias[:, by_turns]),
            Product(
                read(f"{at}.experts.down_proj", count, inner, width).transpose(0, 2, 1),
                read(f"{at}.experts.down_proj_bias", count, width),
            ),
            f"{at}.experts",
            k=shape.chosen,
            activation_type="swiglu",
            normalize_routing_weights=1,
            swiglu_fusion=1,
            swiglu_limit=shape.limit,
            activation_alpha=shape.alpha,
            activation_beta=1.0,
        )
        return graph.node("Reshape", [y, self._back()], f"{at}.out")

    def inject(self, stream: _Stream, point: int, gates: tuple[float, ...]) -> _Stream:
        """h ← (1 - gate) h + gate (h Vᵀ) V / labels; a row without labels stays as it is."""
        graph, at = self._graph, f"inject{point}"
        if point == 0:
            labels = graph.node("Cast", ["n_labels"], "labels", to=TensorProto.FLOAT)
            labels = graph.node("Unsqueeze", [labels, self._axes("middle", 1, 2)], "labels.row")
            one = graph.constant("unit", np.float32(1))
            graph.node("Reciprocal", [graph.node("Max", [labels, one], "labels.some")], "labels.share")
            graph.node("Min", [labels, one], "labels.any")
        x = graph.node("Add", [stream.residual, stream.added], f"{at}.in")
        own = graph.node("Gather", ["v", graph.constant(f"{at}.point", np.array([point]))], f"{at}.own", axis=1)
        v = graph.node("Squeeze", [own, self._axes("second", 1)], f"{at}.v")
        against = graph.node(
            "MatMul", [x, graph.node("Transpose", [v], f"{at}.across", perm=[0, 2, 1])], f"{at}.scores"
        )
        shared = graph.node("Mul", [against, "labels.share"], f"{at}.shared")
        seen = graph.node("MatMul", [shared, v], f"{at}.seen")
        gate = graph.node("Mul", ["labels.any", graph.constant(f"{at}.gate", np.float32(gates[point]))], f"{at}.open")
        moved = graph.node("Mul", [gate, graph.node("Sub", [seen, x], f"{at}.change")], f"{at}.moved")
        return _Stream(graph.node("Add", [x, moved], f"{at}.out"), None)

    def _dense(self, x: str, name: str, rows: int, columns: int) -> str:
        weight, bias = (
            self._checkpoint.tensor(f"{name}.weight", rows, columns),
            self._checkpoint.tensor(f"{name}.bias", rows),
        )
        return self._kernels.linear(self._graph, x, weight, bias, name)

    def _back(self) -> str:
        if not self._graph.has("tokens.shape"):
            width = self._graph.shared("width", np.array([self._shape.width], np.int64))
            self._graph.node("Concat", ["ids.shape", width], "tokens.shape", axis=0)
        return "tokens.shape"

    def _number(self, name: str, value: int) -> str:
        return self._graph.shared(f"number.{name}", np.array(value, np.int64))

    def _axes(self, name: str, *axes: int) -> str:
        return self._graph.shared(f"axes.{name}", np.array(axes, np.int64))
