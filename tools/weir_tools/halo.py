"""What a smaller halo costs on a large backbone: agreement of emissions with the exact ones, and tokens computed.

usage: python -m weir_tools.halo PACK [--graph packed.onnx] [--width 4096] [--labels 16]

A text is run whole, in one window, which is exact; then in windows of `width` tokens with halos of several sizes, each
token's scores taken from the window in which it stands farther from an edge, as weir does it. Labels are random
vectors, so with a checkpoint of random weights this tells of emissions, not of entities: F1 by halo is measured on
weir-mini (`evaluate`). Halos are exact from layers x window on.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime

from .decode import window_starts

HALOS = (0, 16, 32, 64, 128, 256, 512)


def states(session: onnxruntime.InferenceSession, ids: np.ndarray) -> np.ndarray:
    feeds = {"input_ids": ids, "position_ids": np.arange(len(ids)), "segment_ids": np.zeros(len(ids), np.int64)}
    names = {one.name: one for one in session.get_inputs()}
    if "v" in names:  # nothing is injected
        points, _, width = names["v"].shape
        feeds["v"] = np.zeros((points, 1, width), np.float32)
        feeds |= {"label_sets": np.array([-2]), "token_sets": np.full(len(ids), -1)}
    return session.run(None, feeds)[0]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("pack", type=Path)
    arguments.add_argument("--graph", default="packed.onnx")
    arguments.add_argument("--width", type=int, default=1024, help="tokens of a window")
    arguments.add_argument("--tokens", type=int, default=4096, help="of the text; at most the pack's longest window")
    arguments.add_argument("--labels", type=int, default=16)
    chosen = arguments.parse_args()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(chosen.pack / chosen.graph, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 199_000, chosen.tokens)
    exact = states(session, ids)
    # scores of B, I, E, S of each label and of O, as far apart as those of a trained model: logits of some units
    vectors = rng.standard_normal((exact.shape[1], 1 + 4 * chosen.labels)) / exact.shape[1] ** 0.5 * 4
    wanted = exact @ vectors
    print("| halo | tokens computed for one | same best class | greatest difference of a score | text tokens/s |")
    print("| --- | --- | --- | --- | --- |")
    for halo in HALOS:
        if 2 * halo >= chosen.width:
            break
        began, found, done = time.perf_counter(), [], 0
        starts = window_starts(len(ids), chosen.width, halo)
        for number, start in enumerate(starts):
            end = min(start + chosen.width, len(ids))
            own = states(session, ids[start:end]) @ vectors
            until = end if number == len(starts) - 1 else end - halo
            found.append(own[done - start : until - start])
            done = until
        scores = np.concatenate(found)
        seconds = time.perf_counter() - began
        same = (scores.argmax(1) == wanted.argmax(1)).mean()
        cost = chosen.width / (chosen.width - 2 * halo)
        apart = np.abs(scores - wanted).max()
        print(f"| {halo} | {cost:.2f} | {same:.4f} | {apart:.2g} | {len(ids) / seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
