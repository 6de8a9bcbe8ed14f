"""The backbone of openai/privacy-filter as an ONNX graph: attention in a band, and a mixture of experts.

In:  a checkpoint in the layout of transformers' `openai_privacy_filter`, the strategies for its matrices, and how the
     rows of a batch lie side by side (`layout`).
Out: `hidden`, the input of the classifier; or `logits` of the checkpoint's own classifier. With injection, what the
     adaptive family conditions the layers on is an input; rows of one batch may have different label sets.
Does not know: packs, label encoders.

Layer by layer, so that one layer's experts are in memory at a time. ONNX Runtime's MoE wants gate and up rows in turns
(`swiglu_fusion=1`), where the checkpoint has one behind the other. What torch.onnx.export makes of this model gathers
expert weights per token and is of no use at full size.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from . import linear
from .checkpoint import Checkpoint
from .experts import Experts, Product, apart
from .graph import Graph
from .layout import Layout, Padded
from .linear import Linear, scale_to
from .shape import Shape

# After these layers the adaptive family adds what it knows of the labels.
INJECTED = (0, 2, 4, 6)


@dataclass(frozen=True)
class Kernels:
    experts: Experts = apart
    linear: Linear = linear.fp32
    embeddings_8bit: bool = False


def backbone(
    graph: Graph,
    checkpoint: Checkpoint,
    kernels: Kernels,
    positions: int,
    gates: tuple[float, ...] = (),
    classes: int = 0,
    layout: type[Layout] = Padded,
) -> None:
    """`positions`: the longest row. `gates`: one for each of `INJECTED`, sigmoid(alpha); none, no injection.

    `classes` of the own classifier; 0 gives `hidden`.
    """
    shape = Shape.of(checkpoint.config)
    own = layout(graph, shape, positions, len(gates))
    builder = _Builder(graph, checkpoint, shape, kernels, own)
    stream = _Stream(builder.embed(own.ids), None)
    for layer in range(shape.layers):
        normed, stream = builder.norm(stream, f"model.layers.{layer}.input_layernorm")
        stream = _Stream(stream.residual, builder.attend(normed, layer))
        normed, stream = builder.norm(stream, f"model.layers.{layer}.post_attention_layernorm")
        stream = _Stream(stream.residual, builder.experts(normed, layer))
        if gates and layer in INJECTED:
            point = INJECTED.index(layer)
            stream = builder.inject(stream, point, gates[point])
    normed, _ = builder.norm(stream, "model.norm")
    if classes == 0:
        own.finish(normed, "hidden", shape.width)
        return
    weight, bias = checkpoint.tensor("score.weight", classes, shape.width), checkpoint.tensor("score.bias", classes)
    own.finish(linear.fp32(graph, normed, weight, bias, "score"), "logits", classes)


@dataclass(frozen=True)
class _Stream:
    """The residual, and what the last block adds to it with the next norm."""

    residual: str
    added: str | None


class _Builder:
    def __init__(self, graph: Graph, checkpoint: Checkpoint, shape: Shape, kernels: Kernels, layout: Layout) -> None:
        self._graph, self._checkpoint, self._shape, self._kernels = graph, checkpoint, shape, kernels
        self._layout = layout

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
        sinks = self._checkpoint.tensor(f"{at}.sinks", shape.heads)
        context = self._layout.attend(query, key, value, sinks, f"{at}.context")
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

    def inject(self, stream: _Stream, point: int, gate: float) -> _Stream:
        x = self._graph.node("Add", [stream.residual, stream.added], f"inject{point}.in")
        return _Stream(self._layout.inject(x, point, gate), None)

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
