"""Measures a pack on texts that its training did not see, and fits its calibration.

usage: python -m weir_tools.evaluate FOLDER --fit [--at GAIN] [--corpora DATA] [--synthetic N] [--measured OUT.json]
       python -m weir_tools.evaluate FOLDER --weir PROGRAM [--corpora DATA] [--synthetic N] [--measured OUT.json]
       python -m weir_tools.evaluate FOLDER --sets OUT [--corpora DATA] [--synthetic N]
       python -m weir_tools.evaluate FOLDER --sweep [--synthetic N] [--corpora DATA]

What a user gets is measured by the program, `weir eval` with its default settings: `--weir` writes the sets
below to files, runs it on them, and counts what it found. `--sets` only writes the files. The calibration
comes first, since thresholds depend on it: `--fit`, then the export, then `--weir`. With `--at` the default threshold
lets pass what has at least this gain, such as what the pack before it let pass, and `score` is as exact as it then is.

- `personal`: invented records from templates that were never trained on, 55 categories asked for at once,
  names and addresses by their parts;
- `private`: the same kind of records with the 8 labels of openai/privacy-filter, names and addresses whole;
- `passages`: passages kept back, labels of all kinds, the absent ones of each asked for too;
- `zero_shot`: the corpora that were withheld, the half of each that was not watched during training either;
- `held_out`: documents kept back from the corpora that were trained on.

`--sweep` tells what `o_bias` would do, on invented records of other draws than the reported ones.

Strict spans: place and label must both be right. All labels that a corpus annotates are asked for at once.
Intervals: 95%, bootstrap over documents. DATA holds `*.jsonl.gz`, see `corpora`.
"""

import argparse
import json
import random
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import corpora, decode, passages
from .pack import Pack

HALOS = (0, 8, 16, 32)
O_BIASES = (-1.0, -0.5, 0.0, 0.5, 1.0)
BINS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
RESAMPLES = 1000
MOST_RECORDS = 1500  # of one corpus
SEED = 2026
# That of a tenant without one of its own, as in src/tenant/file.rs.
THRESHOLD = 0.4

# What the 55 categories of Nemotron-PII are called here; `date_time` and the like by their concept's first name.
PRIVATE = {
    "account_number": "pii:any_account",
    "private_address": "pii:address",
    "private_date": "pii:date",
    "private_email": "pii:email",
    "private_person": "pii:person",
    "private_phone": "pii:phone",
    "private_url": "pii:url",
    "secret": "pii:secret",
}
# Categories of ours that Nemotron-PII does not have.
BEYOND_NEMOTRON = {"marital_status", "medication", "medical_condition", "salary"}

Place = tuple[int, int]


@dataclass(frozen=True)
class Record:
    source: str
    ids: list[int]
    offsets: list[Place]
    labels: list[str]
    gold: dict[Place, str]
    document: str | None = None  # of a text that is a part of one; None, it is one by itself
    text: str = ""

    def line(self) -> str:
        """As `weir eval` reads it."""
        entities = [{"start": start, "end": end, "label": label} for (start, end), label in sorted(self.gold.items())]
        return json.dumps({"text": self.text, "entities": entities, "types": self.labels, "source": self.source})


@dataclass(frozen=True)
class Judged:
    """One record's outcome, label by label."""

    record: Record
    found: dict[Place, str]
    over: tuple[int, int] = (0, 0)  # characters of no entity that were found, and all of no entity

    def counts(self) -> dict[str, np.ndarray]:
        """right, found, gold of each label."""
        own: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))
        for place, label in self.found.items():
            own[label] += (self.record.gold.get(place) == label, 1, 0)
        for label in self.record.gold.values():
            own[label][2] += 1
        return own

    def untyped(self) -> np.ndarray:
        return np.array([len(self.found.keys() & self.record.gold.keys()), len(self.found), len(self.record.gold)])

    def characters(self) -> np.ndarray:
        """Characters of entities: covered by any span that was found, and all."""
        letters = [not letter.isspace() for letter in self.record.text]
        covered = {at for start, end in self.found for at in range(start, end)}
        wanted = {at for start, end in self.record.gold for at in range(start, end) if not letters or letters[at]}
        return np.array([len(wanted & covered), len(wanted)])


def synthetic_records(pack: Pack, count: int, scheme: str, seed: int = SEED) -> Iterator[Record]:
    from . import synthetic  # Faker is needed here alone

    maker = synthetic.Maker("dev", seed)
    for _ in range(count):
        made = maker.record(scheme)
        gold: dict[Place, str] = {}
        for start, end, chain in made.spans:
            label = _asked_label(chain, scheme)
            if label:
                gold[start, end] = label
        ids, offsets = pack.tokens(made.text)
        yield Record(made.template, ids, offsets, _asked_labels(scheme), gold, text=made.text)


def _asked_labels(scheme: str) -> list[str]:
    from . import synthetic

    if scheme == "whole":
        return sorted(PRIVATE)
    wanted = set(synthetic.CATEGORIES) - synthetic.WHOLE_ONLY - BEYOND_NEMOTRON
    return sorted(synthetic.CATEGORIES[name].names[0] for name in wanted)


def _asked_label(chain: tuple[str, ...], scheme: str) -> str | None:
    from . import synthetic

    if scheme == "whole":
        return next((label for label, concept in PRIVATE.items() if concept in chain), None)
    name = synthetic.NAMES[chain[0]][0]
    return None if chain[0].removeprefix(synthetic.PREFIX) in BEYOND_NEMOTRON else name


def corpus_records(pack: Pack, folder: Path, most: int = MOST_RECORDS) -> tuple[list[Record], list[Record]]:
    """Withheld and held out."""
    withheld: dict[str, list[corpora.Record]] = defaultdict(list)
    held_out = []
    for record in corpora.read(folder):
        if record.part == "withheld":
            withheld[record.corpus].append(record)
        elif record.part == "dev":
            held_out.append(record)
    unseen = []
    for own in withheld.values():
        rest = own[(len(own) + 1) // 2 :]
        unseen += random.Random(SEED).sample(rest, min(most, len(rest)))
    by_corpus: dict[str, list[corpora.Record]] = defaultdict(list)
    for record in held_out:
        by_corpus[record.corpus].append(record)
    kept = [one for own in by_corpus.values() for one in random.Random(SEED).sample(own, min(most, len(own)))]
    return [_record(pack, one) for one in unseen], [_record(pack, one) for one in kept]


def unseen_records(pack: Pack, folder: Path, most: int = MOST_RECORDS) -> list[Record]:
    """Of each withheld corpus the half that is watched during training: the other is for the report."""
    withheld: dict[str, list[corpora.Record]] = defaultdict(list)
    for record in corpora.read(folder):
        if record.part == "withheld":
            withheld[record.corpus].append(record)
    watched = [own[: (len(own) + 1) // 2] for own in withheld.values()]
    some = [one for own in watched for one in random.Random(SEED).sample(own, min(most // 3, len(own)))]
    return [_record(pack, one) for one in some]


def _record(pack: Pack, record: corpora.Record) -> Record:
    ids, offsets = pack.tokens(record.text)
    gold = {(e["start"], e["end"]): e["label"] for e in record.entities}
    source = "lifebench" if record.corpus.startswith("lifebench") else record.corpus
    return Record(source, ids, offsets, record.types, gold, record.group, record.text)


def passage_records(pack: Pack) -> list[Record]:
    """The most specific label of each span is the right one; those above it are not asked for."""
    records = []
    for text in passages.read()[1]:
        gold = {(start, end): chain[0] for start, end, chain in text.spans}
        above = {label for _, _, chain in text.spans for label in chain[1:]} - set(gold.values())
        labels = [label for label in text.types if label not in above]
        ids, offsets = pack.tokens(text.text)
        records.append(Record("passages", ids, offsets, labels, gold, text=text.text))
    return records


def judge(records: list[Record], scores: list[np.ndarray], o_bias: float) -> list[Judged]:
    judged = []
    for record, own in zip(records, scores, strict=True):
        spans = decode.decode(own, o_bias)
        found = {
            (record.offsets[span.start][0], record.offsets[span.end - 1][1]): record.labels[span.label]
            for span in spans
        }
        judged.append(Judged(record, found))
    return judged


def figures(judged: list[Judged]) -> dict:
    """Micro and macro F1 with intervals, without the label too, and by label."""
    labels = sorted({label for one in judged for label in one.record.gold.values()})
    every = sorted(set(labels) | {label for one in judged for label in one.found.values()})
    place = {label: index for index, label in enumerate(every)}
    table = np.zeros((len(judged), len(every), 3))
    for row, one in enumerate(judged):
        for label, counts in one.counts().items():
            table[row, place[label]] = counts
    untyped = np.array([one.untyped() for one in judged])
    characters = np.array([one.characters() for one in judged])
    # what is resampled is a document, not a sentence of it
    documents = _documents(judged)
    table, untyped, characters = (_summed(own, documents) for own in (table, untyped, characters))
    wanted = [place[label] for label in labels]

    def micro(rows: np.ndarray) -> float:
        return _f1(table[rows].sum(axis=(0, 1)))

    def macro(rows: np.ndarray) -> float:
        sums = table[rows].sum(axis=0)[wanted]
        each = [_f1(own) for own in sums if own[2]]
        return float(np.mean(each)) if each else 0.0

    def any_label(rows: np.ndarray) -> float:
        return _f1(untyped[rows].sum(axis=0))

    def covered(rows: np.ndarray) -> float:
        own = characters[rows].sum(axis=0)
        return float(own[0] / max(1, own[1]))

    total = table.sum(axis=(0, 1))
    return {
        "records": len(judged),
        "entities": int(total[2]),
        "precision": _round(total[0] / max(1, total[1])),
        "recall": _round(total[0] / max(1, total[2])),
        "documents": len(table),
        "f1": _with_interval(micro, len(table)),
        "f1_macro": _with_interval(macro, len(table)),
        "f1_untyped": _with_interval(any_label, len(table)),
        "character_recall": _with_interval(covered, len(table)),
        "over_redaction": _round(sum(one.over[0] for one in judged) / max(1, sum(one.over[1] for one in judged))),
        "labels": {label: _row(table[:, place[label]].sum(axis=0)) for label in labels},
    }


def _documents(judged: list[Judged]) -> np.ndarray:
    """The number of the document that each record is from."""
    numbers: dict[object, int] = {}
    keys = (one.record.document or index for index, one in enumerate(judged))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], int)


def _summed(rows: np.ndarray, documents: np.ndarray) -> np.ndarray:
    sums = np.zeros((documents.max(initial=-1) + 1, *rows.shape[1:]))
    np.add.at(sums, documents, rows)
    return sums


def _with_interval(measure: Callable[[np.ndarray], float], count: int) -> list[float]:
    random_rows = np.random.default_rng(SEED)
    found = [measure(random_rows.integers(0, count, count)) for _ in range(RESAMPLES)]
    low, high = np.quantile(found, [0.025, 0.975])
    return [_round(measure(np.arange(count))), _round(low), _round(high)]


def _f1(counts: np.ndarray) -> float:
    right, found, gold = counts
    return float(2 * right / max(1.0, found + gold))


def _row(counts: np.ndarray) -> dict:
    right, found, gold = counts
    values = {"precision": right / max(1, found), "recall": right / max(1, gold), "f1": _f1(counts)}
    return {"gold": int(gold)} | {name: _round(value) for name, value in values.items()}


def fit_logistic(margins: np.ndarray, correct: np.ndarray, shares: np.ndarray | None = None) -> tuple[float, float]:
    """Slope and intercept of greatest likelihood, by Newton's method; `shares`: how much each row counts."""
    design = np.stack([margins, np.ones_like(margins)], axis=1)
    counted = np.ones_like(margins) if shares is None else shares
    weights = np.zeros(2)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ weights))
        hessian = (design * (counted * chance * (1 - chance))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (counted * (correct - chance)))
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


@dataclass(frozen=True)
class Chances:
    """Spans before any threshold: their figures, and whether they are right."""

    gains: np.ndarray
    margins: np.ndarray
    placed: np.ndarray  # an entity of some asked label has this start and end
    right: np.ndarray  # and this label

    @classmethod
    def of(cls, records: list[Record], scores: list[np.ndarray], o_bias: float) -> "Chances":
        rows = []
        for record, own in zip(records, scores, strict=True):
            for span in decode.decode(own, o_bias):
                label = record.gold.get((record.offsets[span.start][0], record.offsets[span.end - 1][1]))
                rows.append((span.gain, span.margin, label is not None, label == record.labels[span.label]))
        return cls(*np.array(rows, float).reshape(-1, 4).T)

    def and_(self, other: "Chances") -> "Chances":
        return Chances(*(np.concatenate([own, more]) for own, more in zip(self, other, strict=True)))

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.gains, self.margins, self.placed, self.right))

    def __len__(self) -> int:
        return len(self.gains)


Scored = tuple[list[Record], list[np.ndarray]]


def calibration(known: Scored, o_bias: float, unseen: Scored | None = None, at: float | None = None) -> dict:
    """Fitted on every other record, reported on the rest.

    `unseen`: records of labels that training did not have. Both kinds count alike, however many spans each has: a score
    must hold for labels of either, and nobody knows of which kind a tenant's are. `at`: the gain at which `score` is the
    default threshold, whatever the fit says of it.
    """
    fitted, rest = (Chances.of(known[0][part::2], known[1][part::2], o_bias) for part in (0, 1))
    shares = np.ones(len(fitted))
    if unseen:
        new, new_rest = (Chances.of(unseen[0][part::2], unseen[1][part::2], o_bias) for part in (0, 1))
        shares = np.concatenate([shares, np.full(len(new), len(fitted) / max(1, len(new)))])
        fitted = fitted.and_(new)
    slope, intercept = fit_logistic(fitted.margins, fitted.right, shares)
    gain_slope, gain_intercept = fit_logistic(fitted.gains, fitted.placed, shares)
    if at is not None:
        gain_intercept = float(np.log(THRESHOLD / (1 - THRESHOLD))) - gain_slope * at
    figures = {
        "slope": _round(slope),
        "intercept": _round(intercept),
        "gain_slope": _round(gain_slope),
        "gain_intercept": _round(gain_intercept),
    }
    for prefix, own in (("", rest), *((("unseen_", new_rest),) if unseen else ())):
        score = 1 / (1 + np.exp(-(gain_slope * own.gains + gain_intercept)))
        label_score = np.minimum(1 / (1 + np.exp(-(slope * own.margins + intercept))), score)
        figures |= {
            f"{prefix}reliability": reliability(score, own.placed),
            f"{prefix}expected_calibration_error": _round(_calibration_error(score, own.placed)),
            f"{prefix}label_reliability": reliability(label_score, own.right),
            f"{prefix}label_expected_calibration_error": _round(_calibration_error(label_score, own.right)),
        }
    return figures


def reliability(chances: np.ndarray, correct: np.ndarray) -> list[dict]:
    rows = []
    for low, high in zip(BINS, BINS[1:], strict=False):
        inside = (chances >= low) & ((chances < high) | (high == 1.0))
        if inside.any():
            row = {"from": low, "to": high, "spans": int(inside.sum())}
            rows.append(row | {"said": _round(chances[inside].mean()), "was": _round(correct[inside].mean())})
    return rows


def _calibration_error(chances: np.ndarray, correct: np.ndarray) -> float:
    """Mean distance of what was said from what was, over ten bins of equal width."""
    bins = np.minimum((chances * 10).astype(int), 9)
    gaps = [abs(chances[bins == b].mean() - correct[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    return float(sum(gaps))


@dataclass(frozen=True)
class Sets:
    """What is measured on, by the name of its file."""

    records: dict[str, list[Record]]
    unseen: list[Record] = field(default_factory=list)  # of labels that training did not have, and of no set above

    @classmethod
    def make(cls, pack: Pack, folder: Path | None, synthetic: int, most: int) -> "Sets":
        records = {
            "personal": list(synthetic_records(pack, synthetic, "parts")),
            "private": list(synthetic_records(pack, synthetic, "whole")),
            "passages": passage_records(pack),
        }
        if folder:
            withheld, held_out = corpus_records(pack, folder, most)
            for kind, own in (("withheld", withheld), ("held-out", held_out)):
                by_source: dict[str, list[Record]] = defaultdict(list)
                for record in own:
                    by_source[record.source].append(record)
                # a set without an entity says nothing
                records |= {
                    f"{kind}-{source}": rows
                    for source, rows in sorted(by_source.items())
                    if any(record.gold for record in rows)
                }
        return cls(records, unseen_records(pack, folder, most) if folder else [])

    def of(self, kind: str) -> dict[str, list[Record]]:
        """The sets of a kind, without the kind in their names."""
        own = {name.removeprefix(f"{kind}-"): rows for name, rows in self.records.items()}
        return {name: rows for name, rows in own.items() if f"{kind}-{name}" in self.records}

    def write(self, out: Path) -> list[Path]:
        out.mkdir(parents=True, exist_ok=True)
        for name, rows in self.records.items():
            (out / f"{name}.jsonl").write_text("".join(f"{row.line()}\n" for row in rows), encoding="utf-8")
        return [out / f"{name}.jsonl" for name in self.records]


def by_weir(program: Path, pack: Path, sets: Sets) -> tuple[dict[str, list[Judged]], dict]:
    """What `weir eval` finds with its default settings, and its curves of thresholds."""
    with tempfile.TemporaryDirectory() as folder:
        files = sets.write(Path(folder))
        found_file = Path(folder) / "found"
        run = [program, "eval", "--model", pack, *files]
        subprocess.run([*run, "--json", "--found", found_file], check=True, stdout=subprocess.DEVNULL)
        lines = iter(found_file.read_text(encoding="utf-8").splitlines())
        judged = {name: [_found(row, json.loads(next(lines))) for row in rows] for name, rows in sets.records.items()}
        curve = subprocess.run([*run, "--json", "--curve"], check=True, stdout=subprocess.PIPE).stdout
        curves = {Path(file).stem: own["curve"] for file, own in json.loads(curve).items()}
    return judged, curves


def _found(record: Record, line: dict) -> Judged:
    found = {(span["start"], span["end"]): span["label"] for span in line["found"]}
    covered = {at for start, end in found for at in range(start, end)}
    wanted = {at for start, end in record.gold for at in range(start, end)}
    other = {at for at, letter in enumerate(record.text) if not letter.isspace()} - wanted
    return Judged(record, found, (len(covered & other), len(other)))


def measure(pack: Pack, folder: Path, program: Path, sets: Sets) -> dict:
    """What a user gets."""
    judged, curves = by_weir(program, folder, sets)
    measured: dict = {name: figures(judged[name]) for name in ("personal", "private", "passages")}
    del measured["passages"]["labels"]  # most of them once
    measured["zero_shot"] = {name: figures(judged[f"withheld-{name}"]) for name in sets.of("withheld")}
    measured["held_out"] = {name: figures(judged[f"held-out-{name}"]) for name in sets.of("held-out")}
    measured["curves"] = curves
    if measured["zero_shot"]:
        for key, figure in (("zero_shot_mean", "f1"), ("zero_shot_untyped_mean", "f1_untyped")):
            measured[key] = _round(np.mean([own[figure][0] for own in measured["zero_shot"].values()]))
    if measured["held_out"]:
        held_out = [one for name in sets.of("held-out") for one in judged[f"held-out-{name}"]]
        measured |= {f"held_out_{key}": value for key, value in figures(held_out).items() if key != "labels"}
    return measured


def fit(pack: Pack, sets: Sets, at: float | None = None) -> dict:
    """The calibration, and what depends on no threshold: `o_bias` and the halo, by the reference decoder."""
    o_bias = pack.manifest["calibration"]["o_bias"]
    held_out = [record for own in sets.of("held-out").values() for record in own]
    # like what the pack was trained on, but unseen
    records = [*sets.records["personal"], *sets.records["private"], *held_out]
    new = (sets.unseen, _scores(pack, sets.unseen)) if sets.unseen else None
    fitted = calibration((records, _scores(pack, records)), o_bias, new, at)
    long = [record for record in held_out if len(record.ids) > pack.width]
    if long:
        fitted["long_texts"] = len(long)
        fitted["f1_of_long_by_halo"] = {
            halo: _total(judge(long, _scores(pack, long, halo), o_bias)) for halo in HALOS
        }
    return fitted


def _total(judged: list[Judged]) -> float:
    counts = sum((own for one in judged for own in one.counts().values()), np.zeros(3))
    return _round(_f1(counts))


def _scores(pack: Pack, records: list[Record], halo: int | None = None) -> list[np.ndarray]:
    return pack.scores([record.ids for record in records], [record.labels for record in records], halo)


def _round(value: float) -> float:
    return round(float(value), 4)


def sweep(pack: Pack, folder: Path | None, synthetic: int) -> str:
    """What each `o_bias` gives: F1, macro F1 and characters for 55 and for 8 labels, F1 on held-out documents."""
    sets = [list(synthetic_records(pack, synthetic, scheme, SEED + 1)) for scheme in ("parts", "whole")]
    held_out = corpus_records(pack, folder)[1] if folder else []
    scored = [(records, _scores(pack, records)) for records in (*sets, held_out)]
    lines = ["o_bias | 55: F1 | macro | characters | 8: F1 | macro | characters | held out: F1"]
    for bias in SWEPT:
        cells = [f"{bias}"]
        for records, scores in scored[:2]:
            own = figures(judge(records, scores, bias))
            cells += [f"{own[key][0]:.3f}" for key in ("f1", "f1_macro", "character_recall")]
        cells.append(f"{_total(judge(*scored[2], bias)):.3f}" if held_out else "")
        lines.append(" | ".join(cells))
    return "\n".join(lines)


SWEPT = (0.5, 0.0, -0.5, -1.0, -1.5, -2.0)


def summary(measured: dict) -> str:
    def shown(own: dict) -> str:
        cells = [f"{name} {own[key][0]:.3f} ({own[key][1]:.3f} to {own[key][2]:.3f})" for name, key in SHOWN]
        return "; ".join(cells)

    lines = [f"{name}: {shown(measured[name])}" for name in ("personal", "private", "passages")]
    lines += [
        f"{part}/{name}: {shown(own)}" for part in ("zero_shot", "held_out") for name, own in measured[part].items()
    ]
    if "zero_shot_mean" in measured:
        lines.append(f"zero-shot mean: {measured['zero_shot_mean']}, any label {measured['zero_shot_untyped_mean']}")
    return "\n".join(lines)


SHOWN = (("F1", "f1"), ("macro", "f1_macro"), ("any label", "f1_untyped"), ("characters", "character_recall"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--corpora", type=Path)
    arguments.add_argument("--synthetic", type=int, default=1000, help="invented records of each kind")
    arguments.add_argument("--most", type=int, default=MOST_RECORDS, help="records of one corpus")
    arguments.add_argument("--backbone", type=Path, help="another graph in the place of the pack's own")
    arguments.add_argument("--sweep", action="store_true", help="try several o_bias instead")
    arguments.add_argument("--fit", action="store_true", help="fit the calibration")
    arguments.add_argument("--at", type=float, help="gain of what the default threshold just lets pass")
    arguments.add_argument("--weir", type=Path, help="the program to measure with")
    arguments.add_argument("--sets", type=Path, help="write the sets as files for `weir eval`, and stop")
    arguments.add_argument("--measured", type=Path, help="where figures are kept; new ones are added")
    chosen = arguments.parse_args()
    pack = Pack(chosen.folder, threads=2, backbone=chosen.backbone)
    if chosen.sweep:
        print(sweep(pack, chosen.corpora, chosen.synthetic))
        return
    sets = Sets.make(pack, chosen.corpora, chosen.synthetic, chosen.most)
    if chosen.sets:
        sets.write(chosen.sets)
        return
    new = fit(pack, sets, chosen.at) if chosen.fit else {}
    if chosen.weir:
        new |= measure(pack, chosen.folder, chosen.weir, sets)
        print(summary(new))
    print("\n".join(f"{key}: {value}" for key, value in new.items() if isinstance(value, float)))
    if chosen.measured:
        kept = json.loads(chosen.measured.read_text()) if chosen.measured.exists() else {}
        chosen.measured.write_text(json.dumps(kept | new, indent=1) + "\n")


if __name__ == "__main__":
    main()
