"""python3 -m harbour --records 500 --seed 7 --out FILE.jsonl [--kind documents|names] [--check] [--audit]"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from random import Random

from . import check, people
from .template import Document, Frame, Record, assemble, frames

CLEAN_SHARE = 1 / 20
HARD_SHARE = 1 / 3


def deck(rng: Random, cards: list[Frame], count: int) -> list[Frame]:
    """`count` of the frames in random order, each as often as the others (or once more)."""
    drawn: list[Frame] = []
    while len(drawn) < count:
        drawn += rng.sample(cards, len(cards))
    return drawn[:count]


def documents(count: int, seed: int) -> list[Record]:
    rng = Random(f"harbour documents {seed}")
    clean = round(count * CLEAN_SHARE)
    chosen = deck(rng, [f for f in frames() if "clean" not in f.flags], count - clean)
    chosen += deck(rng, [f for f in frames() if "clean" in f.flags], clean)
    rng.shuffle(chosen)
    own = sum("own" in f.flags for f in chosen)
    able = [i for i, f in enumerate(chosen) if f.negative_slots and "own" not in f.flags]
    hard = set(rng.sample(able, min(len(able), max(0, round(count * HARD_SHARE) - own))))
    records = []
    for i, frame in enumerate(chosen):
        document = Document(Random(f"harbour {seed} {i}"))
        if i in hard:
            document.hard = min(frame.negative_slots, document.rng.choice([1, 1, 1, 2]))
        mark = "-hard" if i in hard or "own" in frame.flags else ""
        record = assemble(f"harbour-{seed}-{i:05d}-{frame.name}{mark}", document.read(frame))
        record.aligned = "align" in frame.flags
        records.append(record)
    return records


def names(count: int | None, seed: int) -> list[Record]:
    """Every phrasing with every name in every casing, in the file's order; or `count` of them in the seed's."""
    records = []
    for line in people.sections("probe_phrasings")[""]:
        phrasing, pattern = line.split("|", 1)
        before, after = pattern.split("X", 1)
        for n, row in enumerate(people.sections("probe_names")[""]):
            origin, name = row.split("|")
            for casing, text in [("title", name), ("lower", name.replace("İ", "I").lower()), ("upper", name.upper())]:
                extra = {"origin": origin, "phrasing": phrasing, "casing": casing}
                span = (len(before), len(before) + len(text), "person")
                records.append(
                    Record(f"harbour-names-{phrasing}-{n:02d}-{casing}", before + text + after, [span], extra)
                )
    if count is not None and count < len(records):
        records = Random(f"harbour names {seed}").sample(records, count)
    return records


def main() -> int:
    parser = argparse.ArgumentParser(prog="harbour", description=__doc__)
    parser.add_argument("--records", type=int, help="how many (documents: 500; names: the whole grid)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kind", choices=["documents", "names"], default="documents")
    parser.add_argument(
        "--check", action="store_true", help="check the lists, the frames and the records; 1 when something is wrong"
    )
    parser.add_argument(
        "--audit",
        action="store_true",
        help="print what looks like personal data outside the spans, to be judged by eye",
    )
    options = parser.parse_args()
    if options.kind == "names":
        records = names(options.records, options.seed)
    else:
        records = documents(500 if options.records is None else options.records, options.seed)
    if options.out:
        with options.out.open("w", encoding="utf-8", newline="\n") as file:
            for record in records:
                file.write(json.dumps(record.json(), ensure_ascii=False) + "\n")
    if options.audit:
        for line in check.audit(records):
            print(line)
    if options.check:
        problems = [*check.lists(), *check.check(records, options.kind)]
        for problem in problems:
            print(problem, file=sys.stderr)
        counts = Counter(label for r in records for _, _, label in r.entities)
        for label, count in counts.most_common():
            print(f"{count:7} {label}")
        hard, empty = sum(r.id.endswith("-hard") for r in records), sum(not r.entities for r in records)
        print(f"{len(records)} records, {hard} with hard negatives, {empty} without entities, {len(problems)} problems")
        return 1 if problems else 0
    if not options.out and not options.audit:
        parser.error("nothing to do: give --out, --check or --audit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
