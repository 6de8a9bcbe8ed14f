"""Chooses frames and makes records."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from . import labels, lists, noise
from .grammar import FRAMES, Frame, load
from .scribe import Scribe, Seg

SHARE = {"en": 0.46, "es": 0.09, "fr": 0.09, "de": 0.09, "it": 0.09, "pt": 0.09, "nl": 0.09}
NOTHING = 0.10
HARD = 0.26


TECH = {"applog", "syslog", "code", "http", "sql", "csv", "json", "yaml"}


def shared(language: str) -> list[Frame]:
    """The English logs and traces without personal data, which one meets in every country."""
    if language == "en":
        return []
    return [replace(f, language=language) for f in load("en") if f.flag("none") and f.register in TECH][
        lists.LANGUAGES.index(language) % 2 :: 2
    ]


# registers in which a stray remark does not sound odd
ROOMY = {"mail", "note", "forum", "social", "review", "chat", "sms", "travel", "ticket"}
LEAD = {
    "en": ["By the way: ", "PS: ", "In other news: ", "And another thing: "],
    "es": ["Por cierto: ", "PD: ", "Otra cosa: "],
    "fr": ["Au fait : ", "PS : ", "Autre chose : "],
    "de": ["Übrigens: ", "PS: ", "Noch was: "],
    "it": ["A proposito: ", "PS: ", "Altra cosa: "],
    "pt": ["A propósito: ", "PS: ", "Outra coisa: "],
    "nl": ["Trouwens: ", "PS: ", "Nog iets: "],
}


class Deck:
    """Every card once before any card again."""

    def __init__(self, cards: list[Frame], seed: str) -> None:
        self.cards, self.rng, self.pile = cards, random.Random(seed), list[Frame]()

    def take(self) -> Frame:
        if not self.pile:
            self.pile = list(self.cards)
            self.rng.shuffle(self.pile)
        return self.pile.pop()


@cache
def hard_lines(language: str) -> tuple[tuple[frozenset[str], str], ...]:
    out = []
    for line in (FRAMES / f"hard-{language}.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            head, mark, body = line.partition(" :: ")
            out.append((frozenset(head.split(",")), body) if mark else (frozenset(), line))
    return tuple(out)


LINE_END = re.compile(r"(?:^|[a-zà-ÿ)])[.!](?=\n|$)")
SENTENCE_END = re.compile(r"[a-zà-ÿ]{4,}[.!](?= [A-ZÀ-Ý¿¡][a-zà-ÿ])")


def places_for(segs: list[Seg]) -> list[tuple[int, int]]:
    """(segment, offset) after the ends of sentences."""
    out: list[tuple[int, int]] = []
    for i, (text, kind, _) in enumerate(segs):
        if kind is None:
            out += [
                (i, m.end())
                for m in LINE_END.finditer(text)
                if ("\n" in text[m.start() :] or i == len(segs) - 1) and (m[0][0] not in ".!" or i)
            ]
            out += [(i, m.end()) for m in SENTENCE_END.finditer(text)]
    return out


def insert(segs: list[Seg], at: tuple[int, int], more: list[Seg], own_line: bool) -> list[Seg]:
    i, n = at
    text = segs[i][0]
    glue = "\n\n" if own_line else " "
    return [*segs[:i], (text[:n] + glue, None, None), *more, (text[n:], None, None), *segs[i + 1 :]]


def join(segs: list[Seg]) -> tuple[str, list[tuple[int, int, str, str | None]]]:
    text, spans = "", []
    for piece, kind, role in segs:
        if kind:
            spans.append((len(text), len(text) + len(piece), kind, role))
        text += piece
    return text, spans


RELATIVE = (
    "today tomorrow yesterday tonight weekend week month hoy mañana ayer semana mes demain hier semaine mois aujourd "
    "heute morgen gestern woche monat oggi domani ieri settimana mese hoje amanhã ontem vandaag gisteren maand tmrw"
).split()


@cache
def calendar() -> re.Pattern[str]:
    words = {w.lower() for code in lists.LANGUAGES for key in ("months", "days") for w in lists.words(code)[key]}
    return re.compile(r"\b(" + "|".join(sorted(words | set(RELATIVE))) + r")\b", re.I)


NUMBERS = set("order_no serial case_no booking_no employee_no customer_no student_no mrn insurance".split())


def unsharp(frame: Frame, rest: str) -> set[str]:
    """Concepts whose absence nobody could vouch for in this text; rest is what lies outside the spans."""
    out: set[str] = set()
    if frame.register in noise.PROSE | {"call", "form"}:
        out |= {"job", "event", "product", "location"}
    if frame.register == "http":
        out |= {"product", "path"}
    if calendar().search(rest):
        out |= {"date", "timestamp"}
    if "{num:" in frame.text or frame.register in TECH and "{n:" in frame.text:
        out |= {
            "order_no",
            "serial",
            "case_no",
            "booking_no",
            "employee_no",
            "customer_no",
            "student_no",
            "mrn",
            "insurance",
        }
    if "{hex:" in frame.text:
        out |= {"token", "api_key", "uuid", "password", "secret", "device"}
    return out


@dataclass(frozen=True)
class Draft:
    """A record before its labels are worded."""

    id: str
    frame: Frame
    text: str
    spans: list[tuple[int, int, str, str | None]]  # start, end, kind, role
    forbidden: set[str]  # concepts whose absence nobody could vouch for
    hard: bool
    rng: random.Random  # as the text left it

    @property
    def present(self) -> list[tuple[str, str | None]]:
        return [(kind, role) for _, _, kind, role in self.spans]

    @property
    def also_absent(self) -> list[str]:
        """What the frame says that its text does not hold: concepts, or labels of its own with _ for blanks."""
        return list(filter(None, self.frame.options.get("not", "").split(",")))


def draft(frame: Frame, number: int, seed: int, hard: bool) -> Draft | None:
    """None where a sentence with a trap was wanted and the frame has no place for one."""
    rng = random.Random(f"orchard {seed} {number} {frame.language} {frame.key}")
    scribe = Scribe(rng, frame.language, frame.options)
    segs = scribe.render(frame.text)
    forbidden = set(filter(None, frame.options.get("noask", "").split(",")))
    is_hard = frame.flag("hard")
    if hard and not is_hard:
        spots = places_for(segs)
        lines = rng.sample(hard_lines(frame.language), 2 if rng.random() < 0.3 else 1)
        if not spots:
            return None
        is_hard = True
        i, at = rng.choice(spots)
        last = segs[i][0][at : at + 1] in ("", "\n")
        leads = [lead for lead in LEAD[frame.language] if last or not lead.startswith("P")]
        more: list[Seg] = [(rng.choice(leads), None, None)] if rng.random() < 0.5 else []
        for blocked, line in lines:
            forbidden |= blocked
            more += [*scribe.render(line), (" ", None, None)]
        more.pop()
        segs = insert(segs, (i, at), more, own_line=segs[i][0][at:].startswith("\n\n") and rng.random() < 0.5)
    segs = noise.apply(rng, segs, frame.register, frame.flag("raw"))
    text, spans = join(segs)
    forbidden |= unsharp(frame, " ".join(piece for piece, kind, _ in segs if kind is None))
    name = f"orchard-{frame.language}-{frame.key}-{seed}-{number:06d}"
    return Draft(name, frame, text, spans, forbidden, is_hard, rng)


def worded(made: Draft) -> dict[str, Any]:
    words = labels.draw(made.rng, made.present)
    entities = [{"start": a, "end": b, "labels": words[kind, role]} for a, b, kind, role in made.spans]
    gone = labels.absent(made.rng, made.present, made.forbidden, made.frame.flag("none"), made.hard)
    taken = {w for ws in words.values() for w in ws}
    for concept in made.also_absent:
        gone.append(labels.wording(made.rng, concept) if concept in labels.CONCEPTS else concept.replace("_", " "))
    gone = [w for w in dict.fromkeys(gone) if w not in taken]
    return {"id": made.id, "text": made.text, "entities": entities, "absent": gone}


def records(count: int, seed: int, language: str) -> Iterator[dict[str, Any]]:
    return map(worded, drafts(count, seed, language))


def drafts(count: int, seed: int, language: str) -> Iterator[Draft]:
    rng = random.Random(f"orchard order {seed} {language}")
    chosen = lists.LANGUAGES if language == "all" else [language]
    decks: dict[tuple[str, str], Deck] = {}
    for code in chosen:
        every = list(load(code))
        groups = {
            "nothing": [f for f in every if f.flag("none")] + shared(code),
            "hard": [f for f in every if f.flag("hard") and not f.flag("none")],
            "prose": [
                f
                for f in every
                if not f.flag("raw") and f.register in ROOMY and not f.flag("hard") and not f.flag("none")
            ],
            "plain": [f for f in every if not f.flag("hard") and not f.flag("none")],
        }
        for name, frames in groups.items():
            decks[code, name] = Deck(frames, f"orchard deck {seed} {code} {name}")
    for number in range(count):
        code = rng.choices(chosen, [SHARE[c] for c in chosen])[0]
        u = rng.random()
        name = "nothing" if u < NOTHING else "plain"
        if NOTHING <= u < NOTHING + HARD:
            name = "hard" if rng.random() < 0.4 else "prose"
        made = None
        while made is None:
            made = draft(decks[code, name].take(), number, seed, name in ("hard", "prose"))
        yield made
