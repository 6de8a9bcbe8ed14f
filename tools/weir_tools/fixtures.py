"""Writes tests/fixtures/weir-mini-parity.json: what the reference decoder finds in invented texts.

usage: python -m weir_tools.fixtures FOLDER OUT.json

Every name, address and number is made up. Spans are those of the tokens, before they snap outward
to grapheme clusters.
"""

import argparse
import json
from pathlib import Path

from . import decode
from .pack import Pack

PERSONAL = ["person", "email address", "city"]
WIDE = ["person", "organization", "location", "phone number", "email address", "date", "username"]
CASES: list[tuple[str, list[str]]] = [
    ("Please mail Anna Kowalski in Berlin at anna.kowalski@mail.example before Friday.", PERSONAL),
    ("Dr. Tomasz Okafor-Lindqvist lives in Porto and works for Hallow & Finch Ltd.", WIDE),
    ("Call Mei Tanaka on +00 555 0142 77 or write to mei@tanaka.example.", WIDE),
    ("user=jdoe_42 ip=192.0.2.17 action=login status=ok", ["username", "ip address"]),
    ("The patient, Rosa Delgado, born 3 May 1984, was seen in Lyon.", ["person", "date of birth", "city"]),
    ("Nothing personal is said here.", PERSONAL),
    ("O'Brien met van der Berg; neither spoke.", ["person"]),
    ('{"name": "Ivo Petrov", "mail": "ivo@petrov.example", "note": "renewal\\nTuesday"}', PERSONAL),
    ("🙂 Ana Ruiz 👩‍👩‍👧 moved to Oslo 🇳🇴 last week", PERSONAL),
    ("Zoë Müller and José Ñandú flew to São Paulo.", PERSONAL),
    ("Zoe\u0308 Mu\u0308ller wrote to jose\u0301@nandu.example", PERSONAL),
    ("Наталья Орлова живёт в Твери.", PERSONAL),
    ("田中美咲さんは大阪に住んでいます。", PERSONAL),
    ("ليلى حداد تعيش في عمّان", PERSONAL),
    ("Naïve [SEP] tokens [CLS] in the text must stay text, said Otto Blum.", ["person"]),
    ("PAYMENT FROM GRETA HOLM, REF 00-1234, STOCKHOLM", ["person", "city", "reference number"]),
    ("Grüße aus Köln, Ihr Jörg Weiß", PERSONAL),
    ("Kettle Labs hired Sam Abara as head of research in Accra in June 2031.", WIDE),
    ("x", ["person"]),
    ("  \t leading space, then Bo Li\u200b and a zero-width one", ["person"]),
    ("Ask Ines Prado about warfarin and aspirin for her asthma.", ["drug", "disease", "person"]),
    (
        " ".join(
            f"Ticket {number}: {person} from {city} asked whether the parcel had left, and wrote again to "
            f"{mail} because nobody had answered the first letter within a week."
            for number, (person, city, mail) in enumerate(
                [
                    ("Nadia Brandt", "Turin", "nadia@brandt.example"),
                    ("Kofi Larsen", "Bergen", "k.larsen@post.example"),
                    ("Priya Novak", "Madrid", "priya_novak@inbox.example"),
                    ("Luca Adeyemi", "Dublin", "luca@adeyemi.example"),
                    ("Hana Moreau", "Vienna", "hana.moreau@mail.example"),
                    ("Owen Castillo", "Tallinn", "owen@castillo.example"),
                    ("Mira Schulz", "Lisbon", "mira@schulz.example"),
                ],
                start=11,
            )
        ),
        PERSONAL,
    ),
]


def case(pack: Pack, text: str, labels: list[str]) -> dict:
    ids, offsets = pack.tokens(text)
    scores = pack.scores([ids], [labels])[0]
    calibration = pack.manifest["calibration"]

    def place(span: decode.TokenSpan) -> dict:
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        return {
            "label": labels[span.label],
            "start": start,
            "end": end,
            "start_byte": len(text[:start].encode()),
            "end_byte": len(text[:end].encode()),
        }

    spans = []
    for span in decode.decode(scores, calibration["o_bias"]):
        score = decode.probability(span.gain, calibration["gain_slope"], calibration["gain_intercept"])
        label_score = decode.probability(span.margin, calibration["slope"], calibration["intercept"])
        figures = {"gain": span.gain, "margin": span.margin, "score": score, "label_score": min(label_score, score)}
        spans.append(place(span) | {name: round(value, 4) for name, value in figures.items()})
    marks = [place(span) for span in decode.marks(scores, calibration["o_bias"])]
    windows = decode.window_starts(len(ids), pack.width, pack.halo)
    return {
        "text": text,
        "labels": labels,
        "token_ids": ids,
        "window_starts": windows,
        "spans": spans,
        "marks": marks,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("out", type=Path)
    chosen = arguments.parse_args()
    pack = Pack(chosen.folder)
    files = {file["path"]: file["sha256"] for file in pack.manifest["files"]}
    cases = [case(pack, text, labels) for text, labels in CASES]
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n  ".join(json.dumps(one, ensure_ascii=False) for one in cases)
    head = json.dumps({"backbone_sha256": files["backbone.onnx"], "score_tolerance": 0.02})[1:-1]
    chosen.out.write_text(f'{{{head}, "cases": [\n  {lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
