"""The figures in CARD.md, between two marks, and the picture of the calibration, from what `evaluate` wrote."""

import re
from pathlib import Path

BEGIN, END = "<!-- figures: written by weir_tools.export -->", "<!-- end of figures -->"
PICTURE = "calibration.svg"


def write(folder: Path, measured: dict) -> None:
    card = folder / "CARD.md"
    if not card.exists() or not measured:
        return
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    # a function, so that no backslash of the figures is read as an escape
    card.write_text(pattern.sub(lambda _: f"{BEGIN}\n{_figures(measured)}\n{END}", card.read_text()))
    (folder / PICTURE).write_text(picture(measured["reliability"]))


def _figures(measured: dict) -> str:
    sets = [
        ("unseen templates, 55 categories at once", measured["personal"]),
        ("unseen templates, the 8 labels of privacy-filter", measured["private"]),
        *((name, measured["passages"]) for name in ("held-out passages, absent labels too",) if "passages" in measured),
        *((f"never trained on: {corpus}", own) for corpus, own in measured["zero_shot"].items()),
        *((f"held-out documents: {corpus}", own) for corpus, own in measured["held_out"].items()),
    ]
    rows = [
        [name, own["records"], own["entities"], f"{own['precision']:.3f}", f"{own['recall']:.3f}"]
        + [_interval(own[key]) for key in ("f1", "f1_macro", "f1_untyped")]
        for name, own in sets
    ]
    head = ["set", "records", "entities", "precision", "recall", "F1", "macro F1", "F1, any label"]
    return "\n".join(
        [
            "Strict spans; all labels that a set annotates are asked for at once; in brackets the 95% interval"
            " (bootstrap over documents: neighbouring sentences of a corpus, or records of one template, count as one).",
            "",
            _table(head, rows),
            "",
            _zero_shot(measured),
            "Share of the characters of personal values that some span covers, whatever its label:"
            f" {_interval(measured['personal']['character_recall'])} with 55 categories asked for,"
            f" {_interval(measured['private']['character_recall'])} with the 8.",
            "",
            "### By label",
            "",
            "Unseen templates, 55 categories:",
            "",
            _labels(measured["personal"]),
            "",
            "Unseen templates, 8 labels:",
            "",
            _labels(measured["private"]),
            "",
            *(f"Never trained on, {name}:\n\n{_labels(own)}\n" for name, own in measured["zero_shot"].items()),
            "### How far a score can be trusted",
            "",
            "Fitted on every other record of the unseen templates and the held-out documents, measured on the rest"
            f" (expected calibration error {measured['expected_calibration_error']:.3f}). On labels of a kind that"
            " training did not have it is too sure of itself.",
            "",
            _table(
                ["score", "spans", "mean score", "share that is right"],
                [
                    [f"{row['from']} to {row['to']}", row["spans"], f"{row['said']:.3f}", f"{row['was']:.3f}"]
                    for row in measured["reliability"]
                ],
            ),
            "",
            f"![Share of spans that are right, by score]({PICTURE})",
            "",
            *_halos(measured),
        ]
    )


def _zero_shot(measured: dict) -> str:
    if "zero_shot_mean" not in measured:
        return ""
    return (
        f"Mean over the corpora that were never trained on: F1 {measured['zero_shot_mean']:.3f},"
        f" any label {measured['zero_shot_untyped_mean']:.3f}.\n"
    )


def _labels(own: dict) -> str:
    rows = [
        [label, row["gold"], *(f"{row[figure]:.3f}" for figure in ("precision", "recall", "f1"))]
        for label, row in sorted(own["labels"].items(), key=lambda one: -one[1]["f1"])
    ]
    return _table(["label", "entities", "precision", "recall", "F1"], rows)


def _halos(measured: dict) -> list[str]:
    if "f1_of_long_by_halo" not in measured:
        return []
    halos: list[list[object]] = [[halo, f"{f1:.3f}"] for halo, f1 in measured["f1_of_long_by_halo"].items()]
    text = f"F1 on the {measured['long_texts']} held-out texts longer than one window, by halo:"
    return [text, "", _table(["halo", "F1"], halos)]


def _interval(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def _table(head: list[str], rows: list[list[object]]) -> str:
    lines: list[list[object]] = [[*head], ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def picture(rows: list[dict], side: int = 240, edge: int = 36) -> str:
    """A point for each bin, its area by the number of spans; on the diagonal a score says what is."""

    def at(said: float, was: float) -> tuple[str, str]:
        return f"{edge + said * side:.1f}", f"{edge / 2 + (1 - was) * side:.1f}"

    most = max((row["spans"] for row in rows), default=1)
    points = []
    for row in rows:
        x, y = at(row["said"], row["was"])
        points.append(f'<circle cx="{x}" cy="{y}" r="{2.5 + 6 * (row["spans"] / most) ** 0.5:.1f}" fill="#2b6cb0"/>')
    line = " ".join(",".join(at(row["said"], row["was"])) for row in rows)
    (left, bottom), (right, top) = at(0, 0), at(1, 1)
    whole = side + 1.5 * edge
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole:.0f}" height="{whole:.0f}"'
            ' font-family="sans-serif" font-size="11">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#999"/>',
            f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{top}" stroke="#999" stroke-dasharray="4 3"/>',
            f'<polyline points="{line}" fill="none" stroke="#2b6cb0"/>',
            *points,
            f'<text x="{edge + side / 2:.0f}" y="{whole - 14:.0f}" text-anchor="middle">score, 0 to 1</text>',
            f'<text x="14" y="{edge / 2 + side / 2:.0f}" text-anchor="middle"'
            f' transform="rotate(-90 14 {edge / 2 + side / 2:.0f})">share that is right, 0 to 1</text>',
            "</svg>\n",
        ]
    )
