"""The label encoder of the adaptive family as an ONNX graph: XLM-RoBERTa, its projections, and what VtV takes from it.

In:  the folder `arctic` (arctic-embed-l-v2.0 in Hugging Face's layout) and label_encoder_extra.pt.
Out: `vectors` (texts, hidden), and with VtV `conditions` (texts, points, hidden): V of a label is the mean over its
     four texts, which is left to the caller.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto

from . import bert, linear
from .checkpoint import Checkpoint, Problem
from .graph import Graph

# Tokens of a label text, special ones included (design 4.1).
LONGEST = 32
POINTS = 4


@dataclass(frozen=True)
class Dense:
    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Extra:
    """label_encoder_extra.pt: the projection behind the encoder, O's vector, and VtV's projections and gates."""

    projection: Dense
    outside: np.ndarray
    taps: tuple[Dense, ...]
    gates: tuple[float, ...]

    @classmethod
    def read(cls, path: Path) -> "Extra":
        import torch  # the only file of these packs that is a pickle

        if not path.exists():
            raise Problem(f"{path} is missing")
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise Problem(f"{path} can't be read: {error}") from None
        found = {name: value.float().numpy() for name, value in _flat(loaded)}
        try:
            projection = Dense(found["proj.weight"], found["proj.bias"])
            outside = found["o_embed"].reshape(-1)
        except KeyError as error:
            raise Problem(f"{path}: there is no {error} (there are {', '.join(sorted(found))})") from None
        rest = {name: value for name, value in found.items() if name not in ("proj.weight", "proj.bias", "o_embed")}
        alphas = [value for name, value in sorted(rest.items(), key=_natural) if "alpha" in name]
        gates = tuple(float(1 / (1 + np.exp(-alpha))) for own in alphas for alpha in own.reshape(-1))
        weights = [(name, value) for name, value in sorted(rest.items(), key=_natural) if value.ndim == 2]
        taps = tuple(
            Dense(weight, rest.get(f"{name.removesuffix('weight')}bias", np.zeros(len(weight), np.float32)))
            for name, weight in weights
        )
        if len(taps) != len(gates) or len(gates) not in (0, POINTS):
            raise Problem(f"{path}: {len(taps)} prefix projections and {len(gates)} alphas; expected {POINTS} of each")
        for dense in (projection, *taps):
            if dense.weight.shape != (len(outside), projection.weight.shape[1]):
                raise Problem(f"{path}: a projection has shape {dense.weight.shape}, o_embed {outside.shape}")
        return cls(projection, outside, taps, gates)


def _flat(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{name}.{index}" if name else str(index))
    elif hasattr(value, "numpy"):
        yield name, value


def _natural(item: tuple[str, object]) -> list:
    """prefix.2 before prefix.10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", item[0])]


class Encoder:
    """The checkpoint: tensors by BERT's names, with the shapes that its configuration calls for."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = Checkpoint(folder)
        config = self.checkpoint.config
        if config.get("model_type") != "xlm-roberta":
            raise Problem(
                f"{folder}/config.json: model_type is {config.get('model_type')!r}; this exporter knows xlm-roberta"
            )
        try:
            self.layers, self.width = config["num_hidden_layers"], config["hidden_size"]
            self.heads, self.inner = config["num_attention_heads"], config["intermediate_size"]
            self.padding, self._words = config["pad_token_id"], config["vocab_size"]
            self._positions, self.epsilon = config["max_position_embeddings"], config["layer_norm_eps"]
        except KeyError as error:
            raise Problem(f"{folder}/config.json: there is no {error}") from None
        norm = "embeddings.LayerNorm.weight"
        self._prefix = next((own for own in ("", "roberta.") if own + norm in self.checkpoint), "")

    @property
    def taps(self) -> list[int]:
        """After a quarter, a half, three quarters and all of the layers: 6, 12, 18, 24."""
        return [self.layers * quarter // POINTS for quarter in range(1, POINTS + 1)]

    def read(self, name: str) -> np.ndarray:
        return self.checkpoint.tensor(self._prefix + name, *self._shape(name))

    def _shape(self, name: str) -> tuple[int, ...]:
        width, inner = self.width, self.inner
        tables = {"word": self._words, "position": self._positions, "token_type": 1}
        for kind, rows in tables.items():
            if name == f"embeddings.{kind}_embeddings.weight":
                return (rows, width)
        if "LayerNorm" in name:
            return (width,)
        if "intermediate" in name:
            return (inner, width) if name.endswith("weight") else (inner,)
        if name.endswith("bias"):
            return (width,)
        return (width, inner) if re.search(r"\d\.output\.dense", name) else (width, width)


def write(encoder: Encoder, extra: Extra, kernels: bert.Kernels, path: Path, vtv: bool) -> None:
    if extra.projection.weight.shape[1] != encoder.width:
        raise Problem(
            f"label_encoder_extra.pt: proj.weight reads {extra.projection.weight.shape[1]} numbers, "
            f"the label encoder gives {encoder.width}"
        )
    graph = Graph("weir label encoder", path.with_name(path.name + ".data"))
    ids = graph.input("input_ids", TensorProto.INT64, ["texts", "tokens"])
    mask = graph.input("attention_mask", TensorProto.INT64, ["texts", "tokens"])
    shape = bert.Shape(encoder.layers, encoder.width, encoder.heads, encoder.epsilon, encoder.padding + 1, LONGEST)
    states = bert.states(graph, encoder.read, ids, mask, kernels, shape, encoder.taps)
    first, middle = graph.constant("first", np.array([0], np.int64)), graph.constant("middle", np.array([1], np.int64))
    rows = [graph.node("Gather", [own, first], f"{own}.first", axis=1) for own in states]
    starts = [graph.node("Squeeze", [row, middle], f"{row}.cls") for row in rows]
    _project(graph, starts[-1], extra.projection, "vectors")
    graph.output("vectors", ["texts", len(extra.outside)])
    if vtv:
        points = [
            graph.node("Unsqueeze", [_project(graph, start, tap, f"point{index}"), middle], f"point{index}.row")
            for index, (start, tap) in enumerate(zip(starts, extra.taps, strict=True))
        ]
        graph.node("Concat", points, "conditions", axis=1)
        graph.output("conditions", ["texts", len(points), len(extra.outside)])
    graph.save(path)


def _project(graph: Graph, x: str, dense: Dense, name: str) -> str:
    return linear.fp32(graph, x, dense.weight, dense.bias, name)
