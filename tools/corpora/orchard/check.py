"""The self-check."""

from __future__ import annotations

import collections
import random
import re
import sys
from functools import cache
from typing import Any

from . import labels, lists
from .grammar import SLOT, expand, load
from .noise import PROSE

END_OK = re.compile(
    r"\b(Ltd|Inc|Co|Corp|S\.L|S\.A|S\.C|S\.L\.U|Lda|Ltda|S\.r\.l|S\.p\.A|C\.V|B\.V|N\.V|e\.V|e\.K|S\.A\. de C\.V)\.$",
    re.I,
)
TRAILING = set(".,;:!?\"'»«")
SECRET = {
    "password",
    "passphrase",
    "secret",
    "credential",
    "token",
    "access token",
    "auth token",
    "session token",
    "api key",
    "access key",
    "secret key",
}


def frames() -> list[str]:
    out: list[str] = [f"wording of two concepts: {word}" for word in labels.disjoint()]
    for code in lists.LANGUAGES:
        keys: collections.Counter[str] = collections.Counter()
        every = load(code)
        for frame in every:
            keys[frame.key] += 1
            for _ in range(3):
                text = expand(frame.text, random.Random(1))
                for match in re.finditer(r"\{(?:=|[a-z]~)[^{}]*\}", text):
                    if not SLOT.fullmatch(match[0]):
                        out.append(f"{code} {frame.key}: odd slot {match[0]}")
                for match in SLOT.finditer(text):
                    if match["kind"] and match["kind"] not in labels.KINDS:
                        out.append(f"{code} {frame.key}: unknown kind {match[0]}")
            for concept in ",".join(
                [frame.options.get("noask", ""), *(v for k, v in frame.options.items() if len(k) < 3)]
            ).split(","):
                if concept and concept not in labels.CONCEPTS:
                    out.append(f"{code} {frame.key}: unknown concept {concept}")
        out += [f"{code}: key {key} {n} times" for key, n in keys.items() if n > 1]
        kinds = collections.Counter("none" if f.flag("none") else "hard" if f.flag("hard") else "plain" for f in every)
        print(
            f"frames {code}: {len(every)} {dict(kinds)}; {dict(collections.Counter(f.register for f in every))}",
            file=sys.stderr,
        )
    return out


@cache
def registers() -> dict[tuple[str, str], str]:
    return {(code, frame.key): frame.register for code in lists.LANGUAGES for frame in load(code)}


def record(rec: dict[str, Any]) -> list[str]:
    out: list[str] = []
    text: str = rec["text"]
    last = -1
    for entity in rec["entities"]:
        a, b = entity["start"], entity["end"]
        value = text[a:b]
        if not 0 <= a < b <= len(text):
            out.append(f"{rec['id']}: span outside")
        if a < last:
            out.append(f"{rec['id']}: spans overlap at {value!r}")
        last = b
        if value != value.strip():
            out.append(f"{rec['id']}: white space at the ends of {value!r}")
        if value[-1] in TRAILING and not END_OK.search(value) and not SECRET.intersection(entity["labels"]):
            out.append(f"{rec['id']}: trailing punctuation {value!r}")
        if value[0] in ".,;:!?)]" or value[0] == '"':
            out.append(f"{rec['id']}: leading punctuation {value!r}")
        if (
            a
            and text[a - 1].isalnum()
            and value[0].isalnum()
            or b < len(text)
            and text[b].isalnum()
            and value[-1].isalnum()
        ):
            around = text[max(0, a - 8) : b + 8]
            out.append(f"{rec['id']}: not on a border of words: {around!r}")
        if not entity["labels"] or len(set(entity["labels"])) != len(entity["labels"]):
            out.append(f"{rec['id']}: labels of {value!r}")
        for label in entity["labels"]:
            if label in rec["absent"]:
                out.append(f"{rec['id']}: {label} both there and absent")
    left = [m[0] for m in SLOT.finditer(text)]
    if left or "[[" in text or "]]" in text:
        out.append(f"{rec['id']}: placeholder left {left}")
    words = len(text.split())
    if (
        len(text) < 60
        or words > 230
        or words < 12
        and registers().get((rec["id"].split("-")[1], rec["id"].split("-")[2])) in PROSE
    ):
        out.append(f"{rec['id']}: {words} words")
    if not rec["absent"]:
        out.append(f"{rec['id']}: nothing absent")
    if re.search(r"  +[a-z]", text) and "\n" not in text and "call" in rec["id"]:
        out.append(f"{rec['id']}: double space")
    return out


def count(tally: dict[str, collections.Counter[str]], rec: dict[str, Any]) -> None:
    language = rec["id"].split("-")[1]
    tally["language"][language] += 1
    tally["entities"][language] += len(rec["entities"])
    for entity in rec["entities"]:
        tally["label"].update(entity["labels"])
    tally["absent"].update(rec["absent"])
    tally["shape"]["records without an entity"] += not rec["entities"]


def show(tally: dict[str, collections.Counter[str]]) -> None:
    for name, counter in tally.items():
        print(f"{name}: " + ", ".join(f"{k} {v}" for k, v in counter.most_common()), file=sys.stderr)
