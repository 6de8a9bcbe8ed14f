"""The figures in CARD.md, between two marks, and its pictures, from what `evaluate` wrote."""

import re
from pathlib import Path

BEGIN, END = "<!-- figures: written by weir_tools.export -->", "<!-- end of figures -->"
PICTURE = "calibration.svg"
CURVE_PICTURE = "curve.svg"
DEFAULT_THRESHOLD = 0.4  # as in src/tenant/file.rs

# What the curve shows: the files that a line is the mean of.
CURVES = {
    "unseen templates, 55 categories": "personal",
    "unseen templates, 8 labels": "private",
    "held-out documents": "held-out-",
    "never trained on": "withheld-",
}


def write(folder: Path, measured: dict) -> None:
    card = folder / "CARD.md"
    if not card.exists() or not measured:
        return
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    # a function, so that no backslash of the figures is read as an escape
    card.write_text(pattern.sub(lambda _: f"{BEGIN}\n{_figures(measured)}\n{END}", card.read_text()))
    (folder / PICTURE).write_text(picture(measured["reliability"]))
    if "curves" in measured:
        (folder / CURVE_PICTURE).write_text(curve_picture(curves(measured["curves"])))


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
        + [_interval(own[key]) for key in ("f1", "f1_macro", "f1_untyped", "character_recall")]
        + [f"{own['over_redaction']:.3f}" if 'over_redaction' in own else ""]
        for name, own in sets
    ]
    head = ["set", "records", "entities", "precision", "recall", "F1", "macro F1", "F1, any label"]
    head += ["characters found", "over-redaction"]
    return "\n".join(
        [
            _how(measured) + " Strict spans; all labels that a set annotates are asked for at once; in brackets the 95% interval"
            " (bootstrap over documents: neighbouring sentences of a corpus, or records of one template, count as one)."
            " Characters found: of the entities' characters, those that any span covers, whatever its label."
            " Over-redaction: of the other characters, white space left out, those that a span covers.",
            "",
            _table(head, rows),
            "",
            _zero_shot(measured),
            "Share of the characters of personal values that some span covers, whatever its label:"
            f" {_interval(measured['personal']['character_recall'])} with 55 categories asked for,"
            f" {_interval(measured['private']['character_recall'])} with the 8.",
            "",
            *_threshold(measured),
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
            _fitted_on(measured),
            "",
            "`score`: an entity of some asked label has the span's start and end"
            f" (expected calibration error {measured['expected_calibration_error']:.3f}).",
            "",
            _reliability(measured["reliability"]),
            "",
            "`label_score`: the entity has this label"
            f" (expected calibration error {measured['label_expected_calibration_error']:.3f}).",
            "",
            _reliability(measured["label_reliability"]),
            "",
            *_unseen(measured),
            f"![Share of spans that are right, by score]({PICTURE})",
            "",
            *_halos(measured),
        ]
    )


def _fitted_on(measured: dict) -> str:
    known = "Fitted on every other record of the unseen templates and the held-out documents"
    if "unseen_reliability" not in measured:
        return (
            f"{known}, measured on the rest: spans of the common path before any threshold. On labels of a kind that"
            " training did not have both are too sure of themselves."
        )
    return (
        f"{known}, and, counting as much, of the corpora that were never trained on (the half of each that is not reported"
        " above); measured on the rest: spans of the common path before any threshold. First labels of kinds that training had."
    )


def _unseen(measured: dict) -> list[str]:
    if "unseen_reliability" not in measured:
        return []
    return [
        "Labels of kinds that training did not have:"
        f" `score` (expected calibration error {measured['unseen_expected_calibration_error']:.3f}),",
        "",
        _reliability(measured["unseen_reliability"]),
        "",
        f"`label_score` (expected calibration error {measured['unseen_label_expected_calibration_error']:.3f}).",
        "",
        _reliability(measured["unseen_label_reliability"]),
        "",
    ]


def _reliability(rows: list[dict]) -> str:
    return _table(
        ["score", "spans", "mean score", "share that is right"],
        [[f"{row['from']} to {row['to']}", row["spans"], f"{row['said']:.3f}", f"{row['was']:.3f}"] for row in rows],
    )


def _how(measured: dict) -> str:
    if "curves" in measured:
        return (
            "What `weir eval` finds with its default settings: the default threshold, the patterns that labels"
            " switch on."
        )
    return (
        "**An inner figure**: what the Python reference of version 0.4.0's decoder finds before any threshold and"
        " without patterns. `weir eval` goes by a threshold, and finds less where it is not reached; these figures"
        " are to be measured again with it (`python -m weir_tools.evaluate … --weir PROGRAM`)."
    )


def curves(measured: dict) -> dict[str, list[dict]]:
    """Means over the sets of each line, by threshold."""
    lines = {}
    for line, files in CURVES.items():
        own = [points for name, points in measured.items() if name == files or name.startswith(files)]
        if own:
            keys = ("threshold", "character_recall", "over_redaction")
            lines[line] = [{key: sum(point[key] for point in at) / len(at) for key in keys} for at in zip(*own)]
    return lines


def _threshold(measured: dict) -> list[str]:
    if "curves" not in measured:
        return []
    lines = curves(measured["curves"])
    head = ["threshold", *(f"{line}: found / over" for line in lines)]
    rows = []
    for at, point in enumerate(next(iter(lines.values()))):
        threshold = round(point["threshold"], 2)
        if round(threshold * 100) % 10:
            continue
        cells = [f"{own[at]['character_recall']:.3f} / {own[at]['over_redaction']:.3f}" for own in lines.values()]
        name = f"{threshold:.1f}" + (" (default)" if threshold == DEFAULT_THRESHOLD else "")
        rows.append([name, *cells])
    text = (
        "`weir eval --curve`: of the entities' characters those found, and of the others those taken for entities,"
        " means over the sets of a kind. The default is where a lower threshold begins to take more characters that"
        " are none than it finds of entities in held-out documents."
    )
    return ["### Threshold", "", text, "", _table(head, rows), "", f"![Characters found against over-redaction]({CURVE_PICTURE})", ""]


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
    text = (
        f"F1 on the {measured['long_texts']} held-out texts longer than one window, by halo (the reference decoder"
        " of `tools/`, no threshold):"
    )
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


LINE_COLOURS = ("#2b6cb0", "#2f855a", "#b7791f", "#c53030")


def curve_picture(lines: dict[str, list[dict]], width: int = 420, height: int = 280, edge: int = 44) -> str:
    """Characters found by over-redaction, a line for each kind of set, a ring at the default threshold."""
    widest = max((point["over_redaction"] for own in lines.values() for point in own), default=0.0)
    most = max(0.02, -(-widest // 0.02) * 0.02)

    def at(point: dict) -> tuple[str, str]:
        x = edge + point["over_redaction"] / most * width
        return f"{x:.1f}", f"{edge / 2 + (1 - point['character_recall']) * height:.1f}"

    bottom, right = edge / 2 + height, edge + width
    parts = []
    for step in range(6):
        y = bottom - step / 5 * height
        parts.append(f'<line x1="{edge}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{edge - 6}" y="{y + 4:.1f}" text-anchor="end">{step * 20}%</text>')
    for step in range(round(most / 0.02) + 1):
        x = edge + step * 0.02 / most * width
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{step * 2}%</text>')
    for number, (colour, (name, own)) in enumerate(zip(LINE_COLOURS, lines.items(), strict=False)):
        places = " ".join(",".join(at(point)) for point in own)
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for point in own:
            x, y = at(point)
            default = abs(point["threshold"] - DEFAULT_THRESHOLD) < 1e-3
            size, fill = (5, "white") if default else (1.8, colour)
            parts.append(f'<circle cx="{x}" cy="{y}" r="{size}" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>')
        y = bottom - 14 * (len(lines) - number)
        parts.append(f'<text x="{right - 8}" y="{y:.1f}" text-anchor="end" fill="{colour}">{name}</text>')
    whole = (width + 1.5 * edge, height + 1.9 * edge)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole[0]:.0f}" height="{whole[1]:.0f}"'
            ' font-family="sans-serif" font-size="11">',
            '<rect width="100%" height="100%" fill="white"/>',
            *parts,
            f'<text x="{edge + width / 2:.0f}" y="{bottom + 36:.1f}" text-anchor="middle">'
            "over-redaction: characters of no entity that are covered (ring: default threshold)</text>",
            f'<text x="12" y="{edge / 2 + height / 2:.0f}" text-anchor="middle"'
            f' transform="rotate(-90 12 {edge / 2 + height / 2:.0f})">characters of entities found</text>',
            "</svg>\n",
        ]
    )
