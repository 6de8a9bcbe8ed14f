"""Compares what two builds of weir find with their default settings.

usage: python -m weir_tools.evaluate FOLDER --sets OUT [--corpora DATA] [--synthetic N]
       python -m weir_tools.compare PROGRAM PROGRAM OUT/SET.jsonl... [--most RECORDS]

Both programs are asked for all labels of a set at once, as `weir redact --entities` is. For each program a line has F1
(place and label), characters found (of those of entities, whatever the label) and over-redaction (of the others), white
space left out. A program that needs its own pack is a script that sets `WEIR_MODELS`.
"""

import argparse
import json
import subprocess
from collections import defaultdict
from pathlib import Path

Span = tuple[int, int, str]


def found(program: Path, records: list[dict]) -> list[set[Span]]:
    by_labels: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        by_labels[tuple(record["types"])].append(number)
    spans: list[set[Span]] = [set() for _ in records]
    for labels, numbers in by_labels.items():
        command = [str(program), "redact", "--entities", "--format", "jsonl"]
        for label in labels:
            command += ["--label", label]
        lines = "".join(json.dumps({"id": str(at), "text": records[at]["text"]}) + "\n" for at in numbers)
        done = subprocess.run([*command, "-"], input=lines.encode(), capture_output=True, check=True)
        for at, line in zip(numbers, done.stdout.splitlines(), strict=True):
            entities = [entity for entity in json.loads(line)["entities"] if entity["field"] == "/text"]
            spans[at] = {(entity["start"], entity["end"], entity["label"]) for entity in entities}
    return spans


def figures(records: list[dict], spans: list[set[Span]]) -> str:
    right = wrong = missed = 0
    counts = {True: [0, 0], False: [0, 0]}  # of an entity or not: characters, covered ones
    for record, own in zip(records, spans, strict=True):
        gold = {(entity["start"], entity["end"], entity["label"]) for entity in record["entities"]}
        right, wrong, missed = right + len(gold & own), wrong + len(own - gold), missed + len(gold - own)
        inside, covered = ({at for start, end, _ in some for at in range(start, end)} for some in (gold, own))
        for at, character in enumerate(record["text"]):
            if not character.isspace():
                counts[at in inside][0] += 1
                counts[at in inside][1] += at in covered
    f1 = 2 * right / max(1, 2 * right + wrong + missed)
    shares = [part / max(1, whole) for whole, part in counts.values()]
    return f"{f1:.3f}, {shares[0]:.3f}, {shares[1]:.3f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("programs", type=Path, nargs=2)
    arguments.add_argument("sets", type=Path, nargs="+")
    arguments.add_argument("--most", type=int, default=200, help="records of a set")
    chosen = arguments.parse_args()
    print("| set | labels | first: F1, found, over | second |\n| --- | --- | --- | --- |")
    for file in chosen.sets:
        records = [json.loads(line) for line in file.read_text().splitlines()[: chosen.most]]
        cells = [figures(records, found(program, records)) for program in chosen.programs]
        print(f"| {file.stem} | {len(records[0]['types'])} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
