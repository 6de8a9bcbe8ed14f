"""Passages written for this project, in which whatever can be named is named: labels of many kinds in running text.

In:  passages/*.txt, a passage a line: `text with [[value|specific label; general label]] ## absent label; absent label`.
Out: `Text`s: spans in code points with their chain of labels; the labels that a passage was annotated for, absent ones
     too. Of the rarest labels of other passages some are added as absent, to be asked beside the near misses.
Holds: a passage is in train or in dev, never in both.
"""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .examples import Text

FOLDER = Path(__file__).parent / "passages"
# By other writers, for weir-mini 0.5: professions and sciences, personal data in every form, six more languages.
LATER = Path(__file__).parents[1] / "corpora" / "passages"
MARK = re.compile(r"\[\[([^\[\]|]+)\|([^\[\]|]+)\]\]")
DEV_EVERY = 20
FAR = 10
# A label of so few passages is special enough to be absent from nearly all the others.
RARE = 3


class Unreadable(Exception):
    """A line that does not follow the format."""


def parse(line: str) -> Text:
    marked, separator, absent = line.rstrip("\n").partition(" ## ")
    pieces = MARK.split(marked.replace("\\n", "\n").replace("\\t", "\t"))
    text, spans = "", []
    for index in range(0, len(pieces), 3):
        text += pieces[index]
        if index + 2 < len(pieces):
            value, chain = pieces[index + 1], _labels(pieces[index + 2])
            spans.append((len(text), len(text) + len(value), chain))
            text += value
    present = [label for _, _, chain in spans for label in chain]
    if not separator or not spans or "[[" in text or "]]" in text:
        raise Unreadable(line[:60])
    return Text("passages", text, spans, tuple(dict.fromkeys([*present, *_labels(absent)])))


def _labels(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.strip() for one in text.split(";") if one.strip()))


def read(folder: Path = FOLDER) -> tuple[list[Text], list[Text]]:
    """For training and for dev."""
    texts = [
        parse(line)
        for path in sorted(folder.glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    held = [int.from_bytes(hashlib.sha256(text.text.encode()).digest()[:8], "big") % DEV_EVERY == 0 for text in texts]
    train = [text for text, out in zip(texts, held, strict=True) if not out]
    return _with_far_labels(train), [text for text, out in zip(texts, held, strict=True) if out]


def _with_far_labels(texts: Sequence[Text]) -> list[Text]:
    counts = Counter(label for text in texts for label in text.types)
    rare = sorted(label for label, count in counts.items() if count <= RARE)
    rng = random.Random(0)
    found = []
    for text in texts:
        words = {word for label in text.types for word in label.split()}
        far = [label for label in rng.sample(rare, min(FAR, len(rare))) if not words & set(label.split())]
        found.append(replace(text, types=(*text.types, *far)))
    return found
