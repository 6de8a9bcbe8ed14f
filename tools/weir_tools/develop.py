"""What packs find on sets for development: side by side, by `weir eval` with its default settings.

usage: python -m weir_tools.develop OUT [--corpora DATA] [--logs LOGS] [--folded]      writes the sets
       python -m weir_tools.develop OUT --weir PROGRAM --packs PACK...                      measures packs on them

Sets, none of which is reported in CARD.md:

- `orchard-en`, `orchard-other`: records from frames that were never trained on, with eleven labels;
  `orchard-many`: the same, with a label for each kind of value;
- `names`: lines with a person, from templates that were never trained on; `lines`: those, traps and lines of logs;
- `later-passages`: what is held out of ../corpora/passages;
- `zero-shot-…`: of each withheld corpus the half that is watched during training;
- `logs-dev`, `logs-kept`: lines of real system logs, eight systems each, without an entity. Formats like those of the
  first eight are among the lines of training, those of the second are not: they are for the report.

Found: share of the entities' characters that any span covers. Over: share of the other characters. Whole: share of the
entities that are covered from end to end. Alarms: spans in 100 records. White space is left out. F1 is strict.
"""

import argparse
import gzip
import json
import random
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import corpora, lines, passages, personal
from .examples import FOLD, Text

FEW = {
    "person": ("person",),
    "address": ("address",),
    "city": ("city",),
    "postcode": ("postcode",),
    "phone number": ("phone",),
    "email": ("email",),
    "national id": ("national_id", "tax", "ssn"),
    "passport number": ("passport",),
    "driving licence": ("licence",),
    "bank account number": ("account",),
    "url": ("url",),
}
IN_LOGS = ("person", "address", "phone number", "date of birth", "organisation")
LIKE_TRAINING = ("Apache", "HDFS", "Hadoop", "Linux", "OpenSSH", "OpenStack", "Spark", "Zookeeper")
LOG_LINES = 100  # of a system
SEED = 77


def write(out: Path, corpora_folder: Path | None, logs: Path | None, folded: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in sets(corpora_folder, logs):
        made = (row | {"text": row["text"].translate(FOLD)} if folded else row for row in rows)
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")


def sets(corpora_folder: Path | None, logs: Path | None) -> Iterator[tuple[str, list[dict]]]:
    records = list(personal.records("dev", 6400, SEED))
    few = {label: {personal.PREFIX + one for one in concepts} for label, concepts in FEW.items()}
    many = _general()
    yield "orchard-en", [_row(one.text, few) for one in records if one.language == "en"][:400]
    yield "orchard-other", [_row(one.text, few) for one in records if one.language != "en"][:400]
    yield "orchard-many", [_row(one.text, many) for one in records[:400]]
    short = list(lines.texts("dev", 1500, SEED))
    person = {"person": few["person"]}
    yield "names", [_row(text, person) for text in short if text.group == "names"][:500]
    asked = {label: few.get(label) or {personal.PREFIX + "dob" if label == "date of birth" else personal.PREFIX + label}
             for label in IN_LOGS}  # fmt: skip
    yield "lines", [_row(text, asked) for text in short]
    yield "later-passages", [_passage(text) for text in passages.read(passages.LATER)[1]]
    if corpora_folder:
        yield from _zero_shot(corpora_folder)
    if logs:
        kept: dict[bool, list[dict]] = {True: [], False: []}
        for path in sorted(logs.glob("*.log.gz")):
            with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
                texts = [line.rstrip("\r\n") for line in file]
            some = random.Random(SEED).sample(texts, min(LOG_LINES, len(texts)))
            rows = [{"text": text, "entities": [], "types": list(IN_LOGS)} for text in some if text.strip()]
            kept[path.name.startswith(LIKE_TRAINING)] += rows
        yield "logs-dev", kept[True]
        yield "logs-kept", kept[False]


def _general() -> dict[str, set[str]]:
    """A label for each kind of value: the most general concept that is no place in general, and no part played."""
    found: dict[str, set[str]] = {}
    for kind in personal.labels.KINDS:
        chain = [one for one in personal.chain(kind, None) if one != personal.PREFIX + "location"]
        top = chain[-1]
        found.setdefault(personal.NAMES[top][0], set()).add(top)
    return found


def _row(text: Text, asked: dict[str, set[str]]) -> dict:
    entities = []
    for start, end, chain in text.spans:
        label = next((label for label, concepts in asked.items() if concepts & set(chain)), None)
        if label:
            entities.append({"start": start, "end": end, "label": label})
    return {"text": text.text, "entities": entities, "types": sorted(asked)}


def _passage(text: Text) -> dict:
    above = {label for _, _, chain in text.spans for label in chain[1:]} - {chain[0] for _, _, chain in text.spans}
    entities = [{"start": start, "end": end, "label": chain[0]} for start, end, chain in text.spans]
    return {"text": text.text, "entities": entities, "types": [one for one in text.types if one not in above]}


def _zero_shot(folder: Path) -> Iterator[tuple[str, list[dict]]]:
    withheld: dict[str, list[corpora.Record]] = {}
    for record in corpora.read(folder):
        if record.part == "withheld":
            withheld.setdefault(record.corpus, []).append(record)
    for corpus, own in withheld.items():
        some = random.Random(SEED).sample(own[: len(own) // 2], 300)
        yield f"zero-shot-{corpus}", [{"text": r.text, "entities": r.entities, "types": r.types} for r in some]


Span = tuple[int, int, str]


def measure(program: Path, pack: Path, files: list[Path], extra: Iterable[str] = ()) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        found_file = Path(folder) / "found"
        run = [program, "eval", "--model", pack, "--json", "--found", found_file, *extra, *files]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
        found = iter(found_file.read_text(encoding="utf-8").splitlines())
        figures = {}
        for file in files:
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            spans = [
                {(one["start"], one["end"], one["label"]) for one in json.loads(next(found))["found"]} for _ in rows
            ]
            figures[file.stem] = counted(rows, spans)
    return figures


def counted(rows: list[dict], found: list[set[Span]]) -> dict[str, float]:
    right = right_any = marked = marked_any = gold = whole = 0
    characters = {True: [0, 0], False: [0, 0]}  # of an entity or not: all, covered
    for row, own in zip(rows, found, strict=True):
        wanted = {(one["start"], one["end"], one["label"]) for one in row["entities"]}
        right, marked, gold = right + len(wanted & own), marked + len(own), gold + len(wanted)
        right_any += len({one[:2] for one in wanted} & {one[:2] for one in own})
        marked_any += len({one[:2] for one in own})
        inside, covered = ({at for start, end, _ in some for at in range(start, end)} for some in (wanted, own))
        black = {at for at, letter in enumerate(row["text"]) if not letter.isspace()}
        whole += sum(set(range(start, end)) & black <= covered for start, end, _ in wanted)
        for at in black:
            characters[at in inside][0] += 1
            characters[at in inside][1] += at in covered
    share = {key: covered / max(1, all_) for key, (all_, covered) in characters.items()}
    return {
        "F1": 2 * right / max(1, marked + gold),
        "any": 2 * right_any / max(1, marked_any + gold),
        "found": share[True],
        "over": share[False],
        "whole": whole / max(1, gold),
        "alarms": 100 * marked_any / max(1, len(rows)),
    }


def table(by_pack: dict[str, dict[str, dict[str, float]]]) -> str:
    keys = ("F1", "any", "found", "over", "whole", "alarms")
    lines_ = [f"| set | {' | '.join(keys)} |", "| --- |" + " --- |" * len(keys)]
    for name in next(iter(by_pack.values())):
        cells = [" → ".join(f"{own[name][key]:.1f}" if key == "alarms" else f"{own[name][key]:.3f}" for own in by_pack.values())
                 for key in keys]  # fmt: skip
        lines_.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines_)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--packs", type=Path, nargs="+", default=[])
    arguments.add_argument("--corpora", type=Path)
    arguments.add_argument("--logs", type=Path)
    arguments.add_argument("--folded", action="store_true", help="write the sets with their digits folded")
    arguments.add_argument("--weir", type=Path)
    arguments.add_argument("--no-patterns", action="store_true")
    arguments.add_argument("--only", nargs="*", help="sets whose names begin so")
    chosen = arguments.parse_args()
    if not chosen.weir:
        write(chosen.out, chosen.corpora, chosen.logs, chosen.folded)
        return
    files = [path for path in sorted(chosen.out.glob("*.jsonl")) if path.stem.startswith(tuple(chosen.only or ("",)))]
    extra = ["--no-patterns"] if chosen.no_patterns else []
    print(table({pack.name: measure(chosen.weir, pack, files, extra) for pack in chosen.packs}))


if __name__ == "__main__":
    main()
