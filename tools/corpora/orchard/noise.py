"""What hands do to a text: lower case, capitals, slips of the fingers, lost accents, speech without points."""

from __future__ import annotations

import random
import re

from .people import fold
from .scribe import Seg

FIXED = {
    "password",
    "api_key",
    "token",
    "url",
    "path",
    "iban",
    "bic",
    "uuid",
    "email",
    "host",
    "user",
    "handle",
    "mac",
    "ip",
    "ts",
    "vin",
    "serial",
    "plate",
    "booking_no",
    "passport",
}
CASUAL = {"chat", "sms", "forum", "social"}
PROSE = {
    "mail",
    "ticket",
    "letter",
    "note",
    "forum",
    "social",
    "review",
    "hr",
    "medical",
    "police",
    "school",
    "travel",
    "bank",
    "chat",
    "sms",
    "dialog",
}
PUNCT = str.maketrans({c: " " for c in '.,;:!?()"«»¿¡/'})


def spoken(segs: list[Seg]) -> list[Seg]:
    out: list[Seg] = []
    for text, kind, role in segs:
        if kind in (None, "company") or kind not in FIXED:
            text = re.sub(r"[ ]{2,}", " ", text.translate(PUNCT)).lower()
        if kind:
            text = text.strip()
        elif out and out[-1][0].endswith(" "):
            text = text.lstrip(" ")
        if text:
            out.append((text, kind, role))
    if out and out[-1][1] is None:
        out[-1] = (out[-1][0].rstrip(), None, None)
    return out


def typo(rng: random.Random, text: str, chance: float) -> str:
    def slip(match: re.Match[str]) -> str:
        word = match[0]
        if rng.random() > chance:
            return word
        i = rng.randint(1, len(word) - 2)
        return rng.choice(
            [word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:], word[:i] + word[i + 1] + word[i] + word[i + 2 :]]
        )

    return re.sub(r"(?<![\w@./\\-])[a-zà-ÿ]{5,}(?![\w@/\\])", slip, text)


def apply(rng: random.Random, segs: list[Seg], register: str, raw: bool) -> list[Seg]:
    if register == "call":
        return spoken(segs)
    if raw:
        return segs
    casual = register in CASUAL
    u = rng.random()
    if u < (0.28 if casual else 0.03 if register in PROSE else 0):
        segs = [(t if k in FIXED else t.lower(), k, r) for t, k, r in segs]
    elif u > (0.975 if register in PROSE | {"form", "invoice"} else 1):
        segs = [(t if k in FIXED else t.upper(), k, r) for t, k, r in segs]
    if register in PROSE and rng.random() < (0.35 if casual else 0.12):
        chance = rng.choice([0.02, 0.05, 0.08])
        segs = [(t if k else typo(rng, t, chance), k, r) for t, k, r in segs]
    if rng.random() < (0.15 if casual else 0.02 if register in PROSE else 0):
        segs = [(t if k in FIXED else fold(t), k, r) for t, k, r in segs]
    if casual and rng.random() < 0.15:
        segs = [(t if k else re.sub(r"[.!](?=\s|$)", "", t), k, r) for t, k, r in segs]
    return segs
