"""Measures a pack on held-out records and fits its calibration.

usage: python -m weir_tools.evaluate FOLDER DATA [--backbone OTHER.onnx] [--measured OUT.json]

DATA holds one JSON object a line, gzip. Held out is what the training held out: lines k % 50 = 0 of
each file. Prints tables; with --measured it writes what pack.toml and CARD.md state.
"""

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import decode
from .pack import Pack

HELD_OUT_EVERY = 50
HALOS = (0, 8, 16, 32)
O_BIASES = (-0.5, 0.0, 0.5, 1.0)
BINS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

CodePointSpan = tuple[int, int, str]


@dataclass(frozen=True)
class Record:
    source: str
    ids: list[int]
    offsets: list[tuple[int, int]]
    labels: list[str]
    gold: set[CodePointSpan]


@dataclass
class Counts:
    right: int = 0
    found: int = 0
    gold: int = 0

    def f1(self) -> float:
        return 2 * self.right / max(1, self.found + self.gold)

    def precision(self) -> float:
        return self.right / max(1, self.found)

    def recall(self) -> float:
        return self.right / max(1, self.gold)


@dataclass
class Outcome:
    by_source: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    untyped: Counts = field(default_factory=Counts)
    margins: list[float] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)

    def total(self) -> Counts:
        every = self.by_source.values()
        return Counts(sum(c.right for c in every), sum(c.found for c in every), sum(c.gold for c in every))


def held_out(pack: Pack, data: Path) -> Iterator[Record]:
    for path in sorted(data.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if number % HELD_OUT_EVERY:
                    continue
                record = json.loads(line)
                if record.get("lang", "en") != "en":
                    continue
                ids, offsets = pack.tokens(record["text"])
                gold = {(e["start"], e["end"], e["label"]) for e in record["entities"]}
                source = path.name.removesuffix(".jsonl.gz")
                group = "lifebench" if source.startswith("lifebench") else source
                yield Record(group, ids, offsets, record["types"], gold)


def judge(records: list[Record], scores: list[np.ndarray], o_bias: float) -> Outcome:
    outcome = Outcome()
    for record, own in zip(records, scores, strict=True):
        spans = decode.decode(own, o_bias)
        found = [
            (record.offsets[span.start][0], record.offsets[span.end - 1][1], record.labels[span.label])
            for span in spans
        ]
        right = [span in record.gold for span in found]
        counts = outcome.by_source[record.source]
        counts.right += sum(right)
        counts.found += len(found)
        counts.gold += len(record.gold)
        places, gold_places = {span[:2] for span in found}, {span[:2] for span in record.gold}
        outcome.untyped.right += len(places & gold_places)
        outcome.untyped.found += len(places)
        outcome.untyped.gold += len(gold_places)
        outcome.margins += [span.margin for span in spans]
        outcome.correct += right
    return outcome


def fit_logistic(margins: np.ndarray, correct: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of greatest likelihood, by Newton's method."""
    design = np.stack([margins, np.ones_like(margins)], axis=1)
    weights = np.zeros(2)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ weights))
        hessian = (design * (chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.solve(hessian, design.T @ (correct - chance))
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def reliability(chances: np.ndarray, correct: np.ndarray) -> list[dict]:
    rows = []
    for low, high in zip(BINS, BINS[1:], strict=False):
        inside = (chances >= low) & ((chances < high) | (high == 1.0))
        if inside.any():
            row = {"from": low, "to": high, "spans": int(inside.sum())}
            rows.append(row | {"said": _round(chances[inside].mean()), "was": _round(correct[inside].mean())})
    return rows


def measure(pack: Pack, data: Path) -> dict:
    records = list(held_out(pack, data))
    long = [record for record in records if len(record.ids) > pack.width]
    scores = _scores(pack, records, pack.halo)
    outcome = judge(records, scores, pack.manifest["calibration"]["o_bias"])
    margins, correct = np.array(outcome.margins), np.array(outcome.correct, float)
    slope, intercept = fit_logistic(margins, correct)
    chances = 1 / (1 + np.exp(-(slope * margins + intercept)))
    return {
        "records": len(records),
        "tokens": sum(len(record.ids) for record in records),
        "records_of_more_than_one_window": len(long),
        "total": _row(outcome.total()),
        "untyped": _row(outcome.untyped),
        "sources": {source: _row(counts) for source, counts in sorted(outcome.by_source.items())},
        "f1_of_long_by_halo": {
            halo: _round(judge(long, _scores(pack, long, halo), 0.0).total().f1()) for halo in HALOS
        },
        "f1_by_o_bias": {bias: _round(judge(records, scores, bias).total().f1()) for bias in O_BIASES},
        "slope": _round(slope),
        "intercept": _round(intercept),
        "reliability": reliability(chances, correct),
        "expected_calibration_error": _round(_calibration_error(chances, correct)),
    }


def _scores(pack: Pack, records: list[Record], halo: int) -> list[np.ndarray]:
    return pack.scores([record.ids for record in records], [record.labels for record in records], halo)


def _calibration_error(chances: np.ndarray, correct: np.ndarray) -> float:
    """Mean distance of what was said from what was, over ten bins of equal width."""
    bins = np.minimum((chances * 10).astype(int), 9)
    gaps = [abs(chances[bins == b].mean() - correct[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    return float(sum(gaps))


def _row(counts: Counts) -> dict:
    figures = {"precision": counts.precision(), "recall": counts.recall(), "f1": counts.f1()}
    return {"gold": counts.gold} | {name: _round(value) for name, value in figures.items()}


def _round(value: float) -> float:
    return round(float(value), 4)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--backbone", type=Path, help="another graph in the place of the pack's own")
    arguments.add_argument("--measured", type=Path, help="where to write the figures")
    chosen = arguments.parse_args()
    figures = measure(Pack(chosen.folder, threads=2, backbone=chosen.backbone), chosen.data)
    text = json.dumps(figures, indent=1)
    print(text)
    if chosen.measured:
        chosen.measured.write_text(text + "\n")


if __name__ == "__main__":
    main()
