"""The two graphs of an adaptive pack on MiniLM: backbone and label encoder."""

from pathlib import Path

import numpy as np
from onnx import TensorProto

from .bert import Kernels, encoder
from .graph import Graph

Tensors = dict[str, np.ndarray]


def write_backbone(trained: Tensors, kernels: Kernels, path: Path, score: str = "dot") -> None:
    """hidden = hp(bert(ids)) × scale: the training's logit scale is folded into hp, or follows the normalisation."""
    graph = Graph("weir backbone")
    ids, mask = _inputs(graph, "batch", "tokens")
    states = encoder(graph, lambda name: trained[f"bb.{name}"], ids, mask, kernels)
    scale = trained["scale"]
    if score == "cosine":
        kernels.linear(graph, states, trained["hp.weight"], trained["hp.bias"], "hidden.raw")
        unit = graph.node("LpNormalization", ["hidden.raw"], "hidden.unit", axis=-1, p=2)
        graph.node("Mul", [unit, graph.constant("hidden.scale", scale)], "hidden")
    else:
        kernels.linear(graph, states, trained["hp.weight"] * scale, trained["hp.bias"] * scale, "hidden")
    graph.output("hidden", ["batch", "tokens", len(trained["hp.bias"])])
    graph.save(path)


def write_label_encoder(
    label_encoder: Tensors, trained: Tensors, kernels: Kernels, path: Path, score: str = "dot"
) -> None:
    """vectors = MLP(normalised mean of the encoder's states): label vectors in the hidden space.

    Unless the score is a plain dot product they are normalised, so that no label wins by its length.
    """
    graph = Graph("weir label encoder")
    ids, mask = _inputs(graph, "labels", "tokens")
    states = encoder(graph, label_encoder.__getitem__, ids, mask, kernels)
    pooled = _mean(graph, states, mask)
    sentence = graph.node("LpNormalization", [pooled], "sentence", axis=-1, p=2)
    wide = kernels.linear(graph, sentence, trained["proj.0.weight"], trained["proj.0.bias"], "proj.wide")
    bent = graph.contrib("Gelu", [wide], "proj.bent")
    kernels.linear(
        graph, bent, trained["proj.2.weight"], trained["proj.2.bias"], "vectors" if score == "dot" else "raw"
    )
    if score != "dot":
        graph.node("LpNormalization", ["raw"], "vectors", axis=-1, p=2)
    graph.output("vectors", ["labels", len(trained["proj.2.bias"])])
    graph.save(path)


def _inputs(graph: Graph, batch: str, tokens: str) -> tuple[str, str]:
    ids = graph.input("input_ids", TensorProto.INT64, [batch, tokens])
    mask = graph.input("attention_mask", TensorProto.INT64, [batch, tokens])
    return ids, mask


def _mean(graph: Graph, states: str, mask: str) -> str:
    last = graph.constant("pool.last", np.array([-1], np.int64))
    weights = graph.node("Cast", [mask], "pool.weights", to=TensorProto.FLOAT)
    column = graph.node("Unsqueeze", [weights, last], "pool.column")
    kept = graph.node("Mul", [states, column], "pool.kept")
    axis = graph.constant("pool.axis", np.array([1], np.int64))
    total = graph.node("ReduceSum", [kept, axis], "pool.total", keepdims=0)
    count = graph.node("ReduceSum", [weights, axis], "pool.count", keepdims=1)
    return graph.node("Div", [total, count], "pool.mean")
