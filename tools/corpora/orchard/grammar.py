"""Frames: files of hand-written texts with [[alternatives|...]] and {slots}."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FRAMES = Path(__file__).parent / "frames"

SLOT = re.compile(
    r"\{(?:(?P<who>[pqrsvw])~(?P<m>[^/{}]*)/(?P<f>[^/{}]*)"
    r"|=(?P<kind>[a-z_0-9]+):(?P<lit>[^{}]+)"
    r"|(?P<name>[a-z]+\d?_?(?:\.[A-Za-z]+)*)(?::(?P<arg>[^{}\s]*))?)\}"
)


@dataclass(frozen=True)
class Frame:
    key: str
    language: str
    register: str
    options: dict[str, str]
    text: str

    def flag(self, name: str) -> bool:
        return name in self.options

    def __hash__(self) -> int:
        return hash((self.language, self.key))


@cache
def load(language: str) -> tuple[Frame, ...]:
    frames: list[Frame] = []
    for file in sorted(FRAMES.glob(f"{language}_*.txt")):
        for block in re.split(r"^%%% ", file.read_text(encoding="utf-8"), flags=re.M)[1:]:
            head, text = block.split("\n", 1)
            parts = [part.strip() for part in head.split("|")]
            options: dict[str, str] = {}
            for item in " ".join(parts[2:]).split():
                name, _, value = item.partition("=")
                options[name] = value
            frames.append(Frame(parts[0], language, parts[1], options, text.rstrip("\n")))
    return tuple(frames)


def expand(text: str, rng: random.Random) -> str:
    """Chooses among the alternatives, the inner ones after the outer ones."""
    while (start := text.find("[[")) >= 0:
        depth, i, cuts = 1, start + 2, [start + 2]
        while depth:
            if text.startswith("[[", i):
                depth += 1
                i += 2
            elif text.startswith("]]", i):
                depth -= 1
                i += 2
            elif i >= len(text):
                raise ValueError(f"no end of [[ in {text[start : start + 60]!r}")
            else:
                if text[i] == "|" and depth == 1:
                    cuts.append(i + 1)
                i += 1
        ends = [cut - 1 for cut in cuts[1:]] + [i - 2]
        chosen = rng.choice([text[a:b] for a, b in zip(cuts, ends, strict=True)])
        text = text[:start] + chosen + text[i:]
    return text
