"""The pack's quantised backbone against the same checkpoint in PyTorch, fp32, on the same texts in one run.

usage: python -m weir_tools.latency CHECKPOINT FOLDER [--threads 2]

Prints a Markdown table: time of one window alone, and tokens/s in batches of 16 windows of like length.
The two take turns, so that other work on the machine hits both; medians of the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from . import sources
from .model import Model, Shape, padded
from .pack import Pack, session

ROUNDS = 5
BATCH = 16
TEXTS = 32


def texts(pack: Pack) -> list[list[int]]:
    """Invented records of unseen templates, cut into windows."""
    from . import synthetic

    rows = []
    for record in synthetic.records("dev", TEXTS, seed=3):
        ids = pack.tokens(record.text)[0][: pack.width]
        rows.append([101, *ids, 102])
    return sorted(rows, key=len)


def seconds(
    run: Callable[[torch.Tensor, torch.Tensor], object], batches: list[tuple[torch.Tensor, torch.Tensor]]
) -> float:
    began = time.perf_counter()
    for ids, mask in batches:
        run(ids, mask)
    return time.perf_counter() - began


@torch.no_grad()
def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("checkpoint", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--threads", type=int, default=2)
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    weights = sources.read_trained(chosen.checkpoint)
    model = Model(Shape(), score=sources.read_score(chosen.checkpoint)).eval()
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    graph = session(chosen.folder / "backbone.onnx", chosen.threads)
    rows = texts(Pack(chosen.folder))
    shapes = {
        "one window": [padded([row]) for row in rows],
        f"batches of {BATCH}": [padded(rows[first : first + BATCH]) for first in range(0, len(rows), BATCH)],
    }
    runs: dict[str, Callable[[torch.Tensor, torch.Tensor], object]] = {
        "PyTorch, fp32": model.hidden,
        "the pack, 8 bits": lambda ids, mask: graph.run(
            None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
        ),
    }
    tokens = sum(map(len, rows))
    print(f"{len(rows)} windows, {tokens:,} tokens, {chosen.threads} threads\n")
    print("| | one window, ms | tokens/s, one by one | tokens/s, batches |\n| --- | --- | --- | --- |")
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for shape, batches in shapes.items():
            for name, run in runs.items():
                times.setdefault((name, shape), []).append(seconds(run, batches))
    alone, together = shapes
    for name in runs:
        one, many = (statistics.median(times[name, shape]) for shape in (alone, together))
        print(f"| {name} | {1000 * one / len(rows):.1f} | {tokens / one:,.0f} | {tokens / many:,.0f} |")


if __name__ == "__main__":
    main()
