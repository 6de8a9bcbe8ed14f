"""Where the time of a large pack's graphs goes, by ONNX Runtime's own profiler.

usage: python -m weir_tools.profile_large PACK [--rows 8x256 4x512 1x4096]

One session of one thread for each graph of the pack, and for the copy that `weir model tune` made; random tokens, one
set of eight labels. Speeds in GFLOP/s are of the products alone, for backbones of the size of privacy-filter.
"""

import argparse
import json
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime

from .bench_large import PRODUCTS

LABELS = 8
RUNS = 3


def part(node: str) -> str:
    if ".mlp.experts" in node:
        return "experts"
    if ".mlp." in node:
        return "router"
    if "_proj" in node:
        return "projections"
    if "self_attn" in node or node.startswith(("own.", "rows.", "row.", "segments.", "positions.")):
        return "attention"
    return "injection" if node.startswith("inject") else "norms, embeddings"


def feeds(session: onnxruntime.InferenceSession, rows: int, length: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    inputs = {one.name: one for one in session.get_inputs()}
    ids, places = rng.integers(0, 900, (rows, length)), np.tile(np.arange(length), rows)
    if "segment_ids" in inputs:
        asked = {"input_ids": ids.ravel(), "position_ids": places, "segment_ids": np.repeat(np.arange(rows), length)}
        conditions = {"label_sets": np.zeros(LABELS, np.int64), "token_sets": np.zeros(rows * length, np.int64)}
    else:
        asked = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        conditions = {"n_labels": np.full(rows, LABELS)}
    if "v" in inputs:
        shape = [{"labels": LABELS, "batch": rows}.get(size, size) for size in inputs["v"].shape]
        asked |= conditions | {"v": rng.standard_normal(shape).astype(np.float32)}
    return asked


def profile(graph: Path, rows: int, length: int) -> tuple[Counter, Counter]:
    """Seconds of a run by part, and by part and operator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as place:
        options.enable_profiling, options.profile_file_prefix = True, f"{place}/nodes"
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        asked = feeds(session, rows, length)
        for _ in range(RUNS):
            session.run(None, asked)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    parts, operators = Counter(), Counter()
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        operator = event["args"]["op_name"]
        if operator == "If":  # what its branch takes is told node by node
            continue
        own, seconds = part(event["name"]), event["dur"] / RUNS / 1e6
        parts[own] += seconds
        operators[own, operator] += seconds
    return parts, operators


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("pack", type=Path)
    arguments.add_argument("--rows", nargs="+", default=["8x256", "4x512"], metavar="ROWSxTOKENS")
    chosen = arguments.parse_args()
    manifest = tomllib.loads((chosen.pack / "pack.toml").read_text(encoding="utf-8"))
    graphs = [manifest["backbone"]["file"]] + [other["file"] for other in manifest.get("alternatives", [])]
    graphs += [path.name for path in sorted(chosen.pack.glob("tuned-*.onnx"))]
    for graph in graphs:
        for rows in chosen.rows:
            count, length = (int(number) for number in rows.split("x"))
            parts, operators = profile(chosen.pack / graph, count, length)
            whole, tokens = sum(parts.values()), count * length
            print(f"{graph}, {rows}: {tokens / whole:.0f} tokens/s of one thread")
            for own, seconds in parts.most_common():
                most = sorted(((s, op) for (of, op), s in operators.items() if of == own), reverse=True)[:3]
                speed = f"{PRODUCTS[own] * tokens / seconds / 1e9:4.0f} GFLOP/s" if own in PRODUCTS else " " * 12
                shares = ", ".join(f"{operator} {s / whole:.1%}" for s, operator in most)
                print(f"  {own:18} {seconds / whole:6.1%}  {speed}  {shares}", flush=True)


if __name__ == "__main__":
    main()
