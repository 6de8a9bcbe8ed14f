"""The annotated corpora: read, named, and split into training and held-out documents.

In:  a folder of `*.jsonl.gz`, one record a line (the README beside the data tells the format).
Out: records with a part: `train`, `dev` (documents of corpora that are trained on) or `withheld`.
Holds: a document is on one side only; so is a template of a corpus that was made from templates, and
       so are the two annotations of one text. A withheld corpus is never trained on, whole or in part.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Chosen before the first training run: rich in labels, far apart in kind (questions about software,
# web texts of eleven genres, reports on conflicts), no other corpus annotates the same texts, and two
# of them hold texts under non-commercial or mixed terms, which a shipped model is better off without.
WITHHELD = ("stackoverflow_train", "gum_train", "re3d_train")

# One in DEV_EVERY groups of documents is held out.
DEV_EVERY = 25
# Lines of a corpus that was cut into sentences: neighbours come from one document.
BLOCK = 20
FROM_TEMPLATES = ("pii_anon", "snips")
LONE_LINES = ("multiconer2", "lifebench")


@dataclass(frozen=True)
class Record:
    corpus: str
    part: str
    text: str
    entities: list[dict]
    types: list[str]
    group: str  # what the split keeps together: the cluster of the bootstrap


def read(folder: Path) -> Iterator[Record]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        corpus = path.name.removesuffix(".jsonl.gz")
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                record = json.loads(line)
                if record.get("lang", "en") == "en":
                    group = _group(corpus, number, record)
                    part = _part(corpus, group)
                    yield Record(corpus, part, record["text"], record["entities"], record["types"], group)


def _group(corpus: str, number: int, record: dict) -> str:
    if corpus.startswith(FROM_TEMPLATES):
        return f"{corpus.split('_')[0]} {skeleton(record['text'], record['entities'])}"
    if corpus.startswith(LONE_LINES):
        return record["text"]
    return f"{corpus} {number // BLOCK}"


def _part(corpus: str, group: str) -> str:
    if corpus in WITHHELD:
        return "withheld"
    return "dev" if _hash(group) % DEV_EVERY == 0 else "train"


def skeleton(text: str, entities: list[dict]) -> str:
    """The template that a text was made from, as far as it can be told: its first words without values."""
    parts, at = [], 0
    for entity in sorted(entities, key=lambda one: one["start"]):
        parts += [text[at : entity["start"]], f"<{entity['label']}>"]
        at = entity["end"]
    plain = "".join([*parts, text[at:]])
    return re.sub(r"\d+", "0", plain)[:60]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
