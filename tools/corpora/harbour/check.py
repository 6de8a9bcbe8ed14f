"""Checks of the lists, the frames and the records; and an audit of what the spans may have missed."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator

from . import numbers, people
from .template import LABELS, Record, frames

LEAST = {"given": 400, "family": 400, "streets": 200, "cities": 150, "organisations": 200, "jobs": 80, "conditions": 60}
PLACEHOLDER = re.compile(r"[«»‹›]|\{\{|\}\}|\bNone\b|::\.")
TRAILING = ".,;:!?-–/'\"&"


def values(name: str) -> list[str]:
    separators: dict[str, str | None] = {"given": None, "family": None, "cities": "\n"}
    return [t for found in people.tokens(name, separators.get(name, ";")).values() for t in found]


def lists() -> Iterator[str]:
    for name, least in LEAST.items():
        if (found := len(set(values(name)))) < least:
            yield f"{name}: {found} values, {least} wanted"
    personal = [f for f in frames() if "clean" not in f.flags]
    if len(personal) < 120:
        yield f"{len(personal)} frames with personal data, 120 wanted"
    seen = set()
    for frame in frames():
        if frame.name in seen:
            yield f"two frames {frame.name}"
        seen.add(frame.name)


def check(records: list[Record], kind: str) -> Iterator[str]:
    ids = set()
    for record in records:
        if record.id in ids:
            yield f"{record.id}: twice"
        ids.add(record.id)
        for problem in spans(record):
            yield f"{record.id}: {problem}"
        if PLACEHOLDER.search(record.text):
            yield f"{record.id}: placeholder left"
        if kind == "documents":
            if len(re.findall(r"\w+", record.text)) < 30 or len(record.text.split()) > 200:
                yield f"{record.id}: {len(record.text.split())} words"
            if not record.aligned and (found := re.search(r".{,20}(?<=\S)  +(?=\S).{,20}", record.text)):
                yield f"{record.id}: two blanks in {found[0]!r}"
            if "-json-" in record.id and not valid_json(record.text):
                yield f"{record.id}: no JSON"
            if "-log-" not in record.id and (
                found := re.search(r".{,20}(?: [.,;:](?:\s|$)|(?<!\.)\.\.(?!\.)|,,|\?\.|!\.).{,20}", record.unlabelled)
            ):
                yield f"{record.id}: odd punctuation in {found[0]!r}"


def valid_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


SHAPES = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "url": re.compile(r"(?:https?://)?[\w-]+(?:\.[\w-]+)+(?:/\S*)?"),
    "username": re.compile(r"[\w.-]+"),
    "password": re.compile(r"\S+"),
    "age": re.compile(r"\d+(?: years| yrs|yo| y/o| years old|-year-old)?", re.I),
    "phone number": re.compile(r"[+(]?\d[\d ()./-]+\d"),
    "customer number": re.compile(r"[A-Z\d][A-Z\d /-]+[A-Z\d]"),
}


def ip_ok(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def spans(record: Record) -> Iterator[str]:
    end = 0
    for start, stop, label in sorted(record.entities):
        value = record.text[start:stop]
        if label not in LABELS:
            yield f"unknown label {label}"
        if not 0 <= start < stop <= len(record.text):
            yield f"span {start}:{stop} outside the text"
        if start < end:
            yield f"{label} {value!r} overlaps another span"
        end = stop
        if value != value.strip():
            yield f"{label} {value!r} has white space at an end"
        if label != "password" and value[-1:] in TRAILING:
            yield f"{label} {value!r} ends in punctuation"
        if label not in {"password", "phone number"} and value[:1] in '.,;:!?("':
            yield f"{label} {value!r} begins with punctuation"
        if re.match(r"\w", record.text[stop : stop + 1]) and re.match(r"\w", value[-1:]):
            yield f"{label} {value!r} ends within a word"
        if start and re.match(r"\w", record.text[start - 1]) and re.match(r"\w", value[:1]):
            yield f"{label} {value!r} begins within a word"
        if label in SHAPES and not SHAPES[label].fullmatch(value):
            yield f"{label} {value!r} has an odd shape"
        if label == "ip address" and not ip_ok(value):
            yield f"{label} {value!r} is none"
        digits = re.sub(r"\D", "", value)
        if label == "credit card number" and not numbers.luhn_ok(digits):
            yield f"card {value!r} fails Luhn"
        if label == "bank account number" and re.match(r"[A-Za-z]{2}\d\d", value) and not numbers.iban_ok(value):
            yield f"IBAN {value!r} fails its check"


OCCUPATIONS = [
    "manager",
    "driver",
    "nurse",
    "doctor",
    "teacher",
    "engineer",
    "officer",
    "clerk",
    "agent",
    "technician",
    "assistant",
    "director",
    "receptionist",
    "constable",
    "consultant",
    "plumber",
    "head",
    "chef",
    "lawyer",
    "solicitor",
    "sergeant",
    "inspector",
    "surgeon",
    "secretary",
    "chairman",
    "chair",
    "president",
    "treasurer",
    "landlord",
    "tenant",
    "caretaker",
    "analyst",
    "developer",
    "supervisor",
    "adviser",
    "advisor",
    "guard",
    "coach",
    "captain",
    "skipper",
    "editor",
    "trainer",
    "pilot",
    "principal",
    "headteacher",
    "carer",
    "dentist",
    "therapist",
    "GP",
    "lecturer",
    "professor",
    "accountant",
    "cashier",
    "courier",
    "postman",
    "electrician",
    "carpenter",
    "gardener",
    "cleaner",
    "administrator",
    "coordinator",
    "coroner",
    "judge",
    "mayor",
    "vicar",
    "priest",
]
MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
SUSPECTS = {
    "date": re.compile(
        rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {MONTH}\b|\b{MONTH} \d{{1,2}}\b|\b\d{{4}}-\d\d-\d\d\b"
        rf"|\b\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{2,4}}\b|\b{MONTH} (?:19|20)\d\d\b"
    ),
    "email": re.compile(r"\S+@\S+\.\w+"),
    "url": re.compile(r"https?:|www\.|\b[a-z-]+\.(?:com|org|net|io)\b"),
    "age": re.compile(r"\b\d+[- ]?(?:years?[- ]old|y/?o)\b|\baged \d+"),
    "ip": re.compile(r"\b\d+\.\d+\.\d+\.\d+\b"),
    "long number": re.compile(r"\b\d[\d -]{8,}\d\b"),
    "work": re.compile(r"(?i)\b(?:" + "|".join(OCCUPATIONS) + r")s?\b"),
    "country": re.compile(
        r"\b(?:UK|USA|US|EU|England|Scotland|Wales|Britain|NHS|HMRC|DVLA|FBI|NATO|WHO|Google|Microsoft|Amazon|Apple|Facebook|WhatsApp|PayPal|Visa|Mastercard)\b"
    ),
}


def known_words() -> re.Pattern[str]:
    words: set[str] = set()
    for token in values("given"):
        words.update(t.replace("_", " ") for t in (token.split(":")[0], *token.split(":")[2:]))
    for token in values("family"):
        words.update(t.replace("_", " ") for t in token.split("~"))
    countries, cities = people.places()
    for country in countries.values():
        words.update([*country.names, country.nationality])
    words.update(c.name for found in cities.values() for c in found)
    words.update(values("organisations"))
    words.update(values("jobs"))
    words.update(values("conditions"))
    return re.compile(
        r"(?<!\w)(?:" + "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True) if len(w) > 2) + r")(?!\w)"
    )


def audit(records: list[Record]) -> Iterator[str]:
    known, seen = known_words(), set()
    for record in records:
        frame = re.sub(r"^harbour-\d+-\d+-|-hard$", "", record.id)
        for name, pattern in [("known", known), *SUSPECTS.items()]:
            for match in pattern.finditer(record.unlabelled):
                if (frame, name, match[0]) not in seen:
                    seen.add((frame, name, match[0]))
                    around = record.text[max(0, match.start() - 30) : match.end() + 30].replace("\n", "⏎")
                    yield f"{frame}: {name} {match[0]!r} in …{around}…"
