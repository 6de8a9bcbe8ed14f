"""Speed and error of every way to store and multiply the backbone's matrices, in one run.

usage: python -m weir_tools.bench CHECKPOINT FOLDER [--threads 1 2] [--only NAME …]

Writes each graph to FOLDER and prints a Markdown table: file size, tokens/s at each (batch, tokens),
error of hidden against the first, and how far a window moves when it gets longer batch-mates.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime

from . import graphs, linear, sources
from .bert import Kernels
from .pack import padded, session

VARIANTS = {
    "fp32": Kernels(linear.fp32, embeddings_8bit=False),
    "fp32, SkipLayerNormalization": Kernels(linear.fp32, embeddings_8bit=False, skip_norm=True),
    "8 bit at rest": Kernels(linear.int8_at_rest),
    "MatMulNBits 32, level 4": Kernels(linear.blockwise(32, 4)),
    "MatMulNBits 64, level 4": Kernels(linear.blockwise(64, 4)),
    "MatMulNBits 128, level 4": Kernels(linear.blockwise(128, 4)),
    "MatMulNBits 128, level 0": Kernels(linear.blockwise(128, 0)),
    "rows U8xU8": Kernels(linear.rowwise(signed=False)),
    "rows U8xS7": Kernels(linear.rowwise(signed=True)),
    "rows U8xS7, SkipLayerNormalization": Kernels(linear.rowwise(signed=True), skip_norm=True),
    "rows U8xS7, FastGelu": Kernels(linear.rowwise(signed=True), gelu="FastGelu"),
}
SHAPES = ((1, 32), (8, 32), (32, 32), (8, 128), (16, 128), (32, 128))
REPEATS = 5
LEAST_SECONDS = 0.15  # a measurement shorter than this is repeated inside one timing

Feeds = dict[str, np.ndarray]


def random_windows(random: np.random.Generator, lengths: list[int]) -> list[list[int]]:
    return [[101, *random.integers(1000, 30000, length - 2).tolist(), 102] for length in lengths]


def tokens_per_second(models: list[onnxruntime.InferenceSession], feeds: Feeds) -> list[float]:
    """Best of REPEATS. The models take turns, so that other work on the machine hits all of them."""
    times = [max(1, round(LEAST_SECONDS / _seconds(model, feeds, 1))) for model in models]
    rounds = [
        [_seconds(model, feeds, count) for model, count in zip(models, times, strict=True)] for _ in range(REPEATS)
    ]
    return [feeds["input_ids"].size / min(own) for own in zip(*rounds, strict=True)]


def _seconds(model: onnxruntime.InferenceSession, feeds: Feeds, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        model.run(None, feeds)
    return (time.perf_counter() - started) / times


def moved_by_mates(model: onnxruntime.InferenceSession) -> float:
    """Greatest change of a window's hidden states when longer windows join its batch."""
    random = np.random.default_rng(1)
    moved = 0.0
    for length in (6, 19, 34, 61):
        window, *mates = random_windows(random, [length, 70, 128, 97])
        alone = model.run(None, padded([window]))[0][0]
        together = model.run(None, padded([window, *mates]))[0][0][:length]
        moved = max(moved, float(np.abs(alone - together).max()))
    return moved


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("checkpoint", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--threads", type=int, nargs="+", default=[1])
    arguments.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    chosen = arguments.parse_args()
    trained = sources.read_trained(chosen.checkpoint)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    models: dict[tuple[str, int], tuple[Path, onnxruntime.InferenceSession]] = {}
    for number, (name, kernels) in enumerate(VARIANTS.items()):
        if name in chosen.only:
            path = chosen.folder / f"variant-{number}.onnx"
            graphs.write_backbone(trained, kernels, path)
            models |= {(name, threads): (path, session(path, threads)) for threads in chosen.threads}
    _print_table(models)


def _print_table(models: dict[tuple[str, int], tuple[Path, onnxruntime.InferenceSession]]) -> None:
    random = np.random.default_rng(0)
    sessions = [model for _, model in models.values()]
    feeds = {shape: padded(random_windows(random, [shape[1]] * shape[0])) for shape in SHAPES}
    speeds = zip(*(tokens_per_second(sessions, feeds[shape]) for shape in SHAPES), strict=True)
    exact = sessions[0].run(None, feeds[8, 32])[0]
    print("| variant | threads | MB |", " | ".join(map(str, SHAPES)), "| error | moved |")
    print("| --- " * (5 + len(SHAPES)) + "|")
    for ((name, threads), (path, model)), own in zip(models.items(), speeds, strict=True):
        error = np.linalg.norm(model.run(None, feeds[8, 32])[0] - exact) / np.linalg.norm(exact)
        cells = " | ".join(f"{speed:,.0f}" for speed in own)
        size = path.stat().st_size / 1e6
        print(f"| {name} | {threads} | {size:.1f} | {cells} | {error:.4f} | {moved_by_mates(model):.0e} |")


if __name__ == "__main__":
    main()
