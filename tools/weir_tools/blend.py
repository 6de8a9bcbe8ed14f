"""Weights between those of a training and those that it began with: often better than either on labels of neither.

usage: python -m weir_tools.blend CHECKPOINT START SHARE OUT

START: the pack or the checkpoint that `train --start` was given. SHARE: of the new weights. What START does not
hold (word vectors, label encoder) is as in CHECKPOINT. OUT gets `training.json` of CHECKPOINT's folder with the share.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from . import sources


def blend(new: sources.Tensors, start: sources.Tensors, share: float) -> sources.Tensors:
    return {
        name: value + (1 - share) * (start[name] - value) if name in start else value for name, value in new.items()
    }


def write(checkpoint: Path, start: Path, share: float, out: Path) -> None:
    began = sources.read_pack(start) if start.is_dir() else sources.read_trained(start)
    tensors = blend(sources.read_trained(checkpoint), began, share)
    out.parent.mkdir(parents=True, exist_ok=True)
    half = {name: np.ascontiguousarray(value, np.float16) for name, value in tensors.items()}
    save_file(half, out, metadata={"score": sources.read_score(checkpoint)})
    training = json.loads(checkpoint.with_name("training.json").read_text())
    out.with_name("training.json").write_text(json.dumps(training | {"share": share}, indent=1) + "\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("checkpoint", type=Path)
    arguments.add_argument("start", type=Path)
    arguments.add_argument("share", type=float)
    arguments.add_argument("out", type=Path, help="a checkpoint, in a folder of its own")
    chosen = arguments.parse_args()
    write(chosen.checkpoint, chosen.start, chosen.share, chosen.out)


if __name__ == "__main__":
    main()
