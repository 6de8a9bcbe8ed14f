#!/usr/bin/env python3
"""Turns coloured terminal output into an SVG picture.

usage: CLICOLOR_FORCE=1 python3 examples/demo.py examples/out | python3 examples/picture.py > docs/demo.svg
"""

import re
import sys
from html import escape

COLUMNS, LINES = 110, 60  # more would not be read in a README
CHAR, LINE, MARGIN = 7.8, 17, 14
COLOURS = {31: "#f47067", 32: "#57ab5a", 33: "#c69026", 34: "#539bf5", 35: "#b083f0", 36: "#39c5cf", 91: "#ff938a", 92: "#6bc46d", 93: "#daaa3f", 94: "#6cb6ff", 95: "#dcbdfb", 96: "#56d4dd"}
SEQUENCE = re.compile(r"\x1b\[([\d;]*)m")


def runs(line: str) -> list[tuple[str, list[int]]]:
    found, codes, at = [], [], 0
    for sequence in SEQUENCE.finditer(line):
        found.append((line[at : sequence.start()], codes))
        codes = [int(code) for code in sequence[1].split(";") if code not in ("", "0")]
        at = sequence.end()
    return [run for run in [*found, (line[at:], codes)] if run[0]]


def span(text: str, codes: list[int], column: int) -> str:
    style = "".join(f' fill="{COLOURS[code]}"' for code in codes if code in COLOURS)
    style += ' font-weight="bold"' if 1 in codes else ""
    style += ' opacity="0.65"' if 2 in codes else ""
    return f'<tspan x="{MARGIN + column * CHAR:.1f}"{style}>{escape(text)}</tspan>'


def row(line: str, number: int) -> str:
    spans, column = [], 0
    for text, codes in runs(line):
        room = COLUMNS - column
        cut = text if len(text) <= room else text[: max(0, room - 1)] + "…"
        spans.append(span(cut, codes, column))
        column += len(cut)
        if column >= COLUMNS:
            break
    return f'<text y="{MARGIN + (number + 1) * LINE}" xml:space="preserve">{"".join(spans)}</text>'


def main() -> None:
    lines = sys.stdin.read().strip("\n").split("\n")[:LINES]
    width, height = COLUMNS * CHAR + 2 * MARGIN, (len(lines) + 1) * LINE + MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" fill="#d0d7de">')
    print(f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#1c2128"/>')
    for number, line in enumerate(lines):
        print(row(line, number))
    print("</svg>")


if __name__ == "__main__":
    main()
