"""The figures in CARD.md, between two marks, from what `weir_tools.evaluate` wrote."""

import re
from pathlib import Path

BEGIN, END = "<!-- figures: written by weir_tools.export -->", "<!-- end of figures -->"


def write(card: Path, measured: dict) -> None:
    if not card.exists() or not measured:
        return
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    # a function, so that no backslash of the figures is read as an escape
    card.write_text(pattern.sub(lambda _: f"{BEGIN}\n{_figures(measured)}\n{END}", card.read_text()))


def _figures(measured: dict) -> str:
    total, untyped = measured["total"], measured["untyped"]
    sources = [
        [name, row["gold"], *(f"{row[figure]:.3f}" for figure in ("precision", "recall", "f1"))]
        for name, row in [*measured["sources"].items(), ("**all**", total), ("all, any label", untyped)]
    ]
    chances = [
        [f"{row['from']}–{row['to']}", row["spans"], f"{row['said']:.3f}", f"{row['was']:.3f}"]
        for row in measured["reliability"]
    ]
    halos = [[halo, f"{f1:.3f}"] for halo, f1 in measured["f1_of_long_by_halo"].items()]
    return "\n".join(
        [
            f"{measured['records']:,} records, {measured['tokens']:,} tokens; strict spans, micro-averaged; all types"
            " that the corpus annotates are asked for at once.",
            "",
            _table(["corpus", "entities", "precision", "recall", "F1"], sources),
            "",
            "How far a score can be trusted. The calibration was fitted on these same records, so this is the best"
            f" case (expected calibration error {measured['expected_calibration_error']:.3f}):",
            "",
            _table(["score", "spans", "mean score", "share that is right"], chances),
            "",
            f"F1 on the {measured['records_of_more_than_one_window']} texts longer than one window, by halo:",
            "",
            _table(["halo", "F1"], halos),
        ]
    )


def _table(head: list[str], rows: list[list[object]]) -> str:
    lines: list[list[object]] = [[*head], ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
