"""Persons: names of many origins, and the e-mail addresses, usernames and handles that go with them."""

from __future__ import annotations

import random
import re
import unicodedata
from dataclasses import dataclass, field

from . import lists

HOME: dict[str, list[tuple[str, float]]] = {
    "en": [("english", 30), ("celtic", 12)],
    "es": [("spanish", 55)],
    "fr": [("french", 50)],
    "de": [("german", 48)],
    "it": [("italian", 52)],
    "pt": [("portuguese", 55)],
    "nl": [("dutch", 48)],
}
PARTICLES = {
    "da",
    "de",
    "del",
    "della",
    "den",
    "der",
    "des",
    "di",
    "do",
    "dos",
    "du",
    "el",
    "la",
    "las",
    "le",
    "lo",
    "los",
    "ten",
    "ter",
    "van",
    "von",
    "zu",
    "al",
    "'t",
}
MOOD = [
    "moss",
    "otter",
    "pixel",
    "velvet",
    "rusty",
    "tofu",
    "nimbus",
    "gravel",
    "maple",
    "turbo",
    "sleepy",
    "cobalt",
    "pickle",
    "lunar",
    "static",
    "honey",
    "crispy",
    "north",
    "zebra",
    "quiet",
]
THING = [
    "goat",
    "kettle",
    "fox",
    "rider",
    "moth",
    "wave",
    "badger",
    "cactus",
    "piano",
    "rocket",
    "noodle",
    "heron",
    "lantern",
    "wolf",
    "biscuit",
    "anchor",
    "cloud",
    "gamer",
    "baker",
    "owl",
]
SHORT = {
    "Abigail": "Abby",
    "Amelia": "Millie",
    "Beatrice": "Bea",
    "Charlotte": "Lottie",
    "Eleanor": "Nell",
    "Georgina": "Georgie",
    "Harriet": "Hattie",
    "Josephine": "Josie",
    "Kimberly": "Kim",
    "Madeline": "Maddie",
    "Nicola": "Nicky",
    "Penelope": "Penny",
    "Savannah": "Sav",
    "Tabitha": "Tabby",
    "Winifred": "Winnie",
    "Frederick": "Fred",
    "Jeremy": "Jem",
    "Kenneth": "Ken",
    "Leonard": "Lenny",
    "Oliver": "Ollie",
    "Rupert": "Rupe",
    "Stanley": "Stan",
    "Wilfred": "Wilf",
    "Rafael": "Rafa",
    "Santiago": "Santi",
    "Dolores": "Lola",
    "Montserrat": "Montse",
    "Inmaculada": "Inma",
    "Guadalupe": "Lupe",
    "Joaquín": "Quino",
    "Vicente": "Chente",
    "Catarina": "Cati",
    "Manuel": "Manel",
    "Mathilde": "Mathou",
    "Thibault": "Titi",
    "Élodie": "Lolo",
    "Joséphine": "José",
    "Franziska": "Franzi",
    "Ursula": "Uschi",
    "Manfred": "Manni",
    "Ulrich": "Uli",
    "Gerhard": "Gerd",
    "Antonella": "Anto",
    "Leonardo": "Leo",
    "Salvatore": "Totò",
    "Eleonora": "Ele",
    "Willemijn": "Mijn",
    "Bastiaan": "Bas",
    "Geertruida": "Truus",
    "Małgorzata": "Gosia",
    "Wojciech": "Wojtek",
    "Agnieszka": "Aga",
    "Konstantinos": "Kostas",
    "Dimitrios": "Mitsos",
    "Oluwaseun": "Seun",
    "Chukwuemeka": "Emeka",
    "Abhishek": "Abhi",
}
DIGITS = {
    "en": "zero one two three four five six seven eight nine".split(),
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve".split(),
    "fr": "zéro un deux trois quatre cinq six sept huit neuf".split(),
    "de": "null eins zwei drei vier fünf sechs sieben acht neun".split(),
    "it": "zero uno due tre quattro cinque sei sette otto nove".split(),
    "pt": "zero um dois três quatro cinco seis sete oito nove".split(),
    "nl": "nul een twee drie vier vijf zes zeven acht negen".split(),
}
AT_DOT = {
    "en": ("at", "dot", "dash", "underscore"),
    "es": ("arroba", "punto", "guion", "guion bajo"),
    "fr": ("arobase", "point", "tiret", "tiret bas"),
    "de": ("at", "punkt", "minus", "unterstrich"),
    "it": ("chiocciola", "punto", "trattino", "trattino basso"),
    "pt": ("arroba", "ponto", "hífen", "underscore"),
    "nl": ("apenstaartje", "punt", "streepje", "laag streepje"),
}


def fold(text: str) -> str:
    """Without diacritics."""
    for a, b in (
        ("ß", "ss"),
        ("ø", "o"),
        ("Ø", "O"),
        ("ł", "l"),
        ("Ł", "L"),
        ("đ", "d"),
        ("Đ", "D"),
        ("ı", "i"),
        ("œ", "oe"),
        ("æ", "ae"),
    ):
        text = text.replace(a, b)
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", fold(text).lower())


@dataclass
class Person:
    sex: str
    origin: str
    given: str
    family: str
    second: str = ""
    main: str = ""
    email: dict[str, str] = field(default_factory=dict)


def make(rng: random.Random, language: str) -> Person:
    origins = [o for o, _ in HOME[language]]
    weights = [w for _, w in HOME[language]]
    others = [o for o in lists.family() if o not in origins]
    origins += others
    weights += [48 / len(others)] * len(others)
    origin = rng.choices(origins, weights)[0]
    sex = rng.choice("fm")
    first = rng.choice(lists.given()[origin, sex])
    second = ""
    last = surname(rng, origin, sex)
    if rng.random() < 0.12:
        # people marry and move: a given name of one origin with a family name of another
        last = surname(rng, rng.choice(list(lists.family())), sex)
    elif origin in ("spanish", "portuguese") and rng.random() < 0.4:
        other = surname(rng, origin, sex)
        last = f"{last} {other}" if other != last else last
    elif rng.random() < 0.05 and " " not in last and "-" not in last:
        other = surname(rng, origin, sex).split()[-1]
        last = f"{last}-{other}" if other != last else last
    if rng.random() < 0.08 and origin not in ("chinese", "japanese", "korean"):
        second = rng.choice(lists.given()[origin, sex])
        if second == first:
            second = ""
        elif origin in ("french", "german", "korean") and rng.random() < 0.5:
            first, second = f"{first}-{second}", ""
    return Person(sex, origin, first, last, second)


def surname(rng: random.Random, origin: str, sex: str) -> str:
    name = rng.choice(lists.family()[origin])
    if "/" in name:
        masculine, feminine = name.split("/")
        return feminine if sex == "f" else masculine
    return name


def initial(name: str) -> str:
    return name[0].upper()


def full(rng: random.Random, p: Person) -> str:
    """The usual way to write the whole name, chosen once for a record."""
    if not p.main:
        u = rng.random()
        last = p.family
        if p.origin in ("chinese", "korean", "vietnamese") and u < 0.3:
            p.main = f"{last} {p.given}"
        elif p.second:
            p.main = rng.choice([f"{p.given} {p.second} {last}", f"{p.given} {initial(p.second)}. {last}"])
        elif u < 0.05:
            p.main = f"{p.given} {last.upper()}"
        elif u < 0.10:
            p.main = f"{p.given} {rng.choice('ABCDEFGHJKLMNPRSTVW')}. {last}"
        elif u < 0.13 and " " not in last and "-" not in p.given:
            p.main = f"{last.upper()} {p.given}"
        else:
            p.main = f"{p.given} {last}"
    return p.main


def named(rng: random.Random, p: Person, how: str) -> tuple[str, str]:
    """(text, kind) of a person named in one of the ways."""
    if how == "":
        return full(rng, p), "full"
    if how == "g":
        return p.given, "given"
    if how == "f":
        return p.family, "family"
    if how == "F":
        return p.family.upper(), "family"
    if how == "U":
        return f"{p.given} {p.family}".upper(), "full"
    if how == "G":
        return p.given.upper(), "given"
    if how == "l":
        return f"{p.given} {p.family}".lower(), "full"
    if how == "fg":
        comma = rng.choices([", ", ","], [9, 1])[0]
        last = p.family.upper() if rng.random() < 0.25 else p.family
        return f"{last}{comma}{p.given}", "full"
    if how == "gf":
        return f"{p.given} {p.family}", "full"
    if how == "fgs":
        return f"{p.family} {p.given}", "full"
    if how == "i":
        first = "".join(f"{initial(part)}." for part in re.split(r"[ -]", p.given))
        return f"{first} {p.family}", "inifam"
    if how == "in":
        marks = [initial(p.given)] + ([initial(p.second)] if p.second else []) + [initial(p.family.split()[-1])]
        return "".join(marks), "initials"
    if how == "n":
        short = SHORT.get(p.given)
        if not short:
            short = nick(p)
        return short, "nick"
    raise ValueError(how)


def nick(p: Person) -> str:
    base = re.split(r"[ -]", p.given)[0]
    if len(base) <= 4:
        return base + ("y" if base[-1] not in "aeiouyáéíóú" else "-" + base[0].upper())
    cut = base[:3] if base[2] in "bcdfgklmnprstvz" else base[:4]
    return cut + {"f": "i", "m": "o"}[p.sex] if cut[-1] not in "aeiouy" else cut


def username(rng: random.Random, p: Person) -> str:
    g, f = slug(p.given.split("-")[0]), slug(p.family.split()[-1])
    year = rng.randint(70, 99) if rng.random() < 0.6 else rng.randint(0, 12)
    plain = [
        f"{g}.{f}",
        f"{g[0]}{f}",
        f"{f}{g[0]}{rng.randint(1, 9)}",
        f"{g}_{f}",
        f"{g}{year:02d}",
        f"{f}.{g}",
        f"{g[0]}.{f}{rng.randint(2, 99)}",
        f"{g}{f[:2]}",
        f"{f[:6]}{g[:2]}",
        f"{f[:4]}{g[:2]}{rng.randint(1, 40):02d}".upper(),
    ]
    wild = [
        f"{rng.choice(MOOD)}{rng.choice(THING)}{rng.randint(1, 999)}",
        f"{rng.choice(MOOD)}_{rng.choice(THING)}",
        f"{rng.choice(MOOD)}-{rng.choice(THING)}",
        f"the{rng.choice(THING)}of{f}",
        f"{rng.choice(THING)}{year:02d}",
        f"x{rng.choice(MOOD)}{g}x",
        f"{rng.choice(MOOD).capitalize()}{rng.choice(THING).capitalize()}",
    ]
    return rng.choice(plain if rng.random() < 0.6 else wild)


def email(rng: random.Random, p: Person, language: str, domain: str | None) -> str:
    g, f = slug(p.given.split("-")[0]), slug(p.family)
    if domain:
        local = rng.choice([f"{g}.{f}", f"{g[0]}.{f}", f"{g[0]}{f}", g, f"{f}.{g}", f"{g}_{f}"])
        return f"{local}@{domain}"
    hosts = lists.mailhosts()[language if rng.random() < 0.85 else "en"]
    local = rng.choice(
        [
            f"{g}.{f}",
            f"{g}{f}",
            f"{g[0]}.{f}",
            f"{f}.{g}",
            f"{g}{rng.randint(1, 99)}",
            f"{g}_{f}{rng.randint(50, 99)}",
            f"{g}-{f}",
            f"{rng.choice(MOOD)}.{rng.choice(THING)}",
            f"{f}{rng.randint(100, 9999)}",
            f"{g}.{f}+{rng.choice(THING)}",
        ]
    )
    text = f"{local}@{rng.choice(hosts)}"
    if rng.random() < 0.04:
        text = text.title() if rng.random() < 0.5 else text.upper()
    return text


def spoken(rng: random.Random, text: str, language: str) -> str:
    """The characters as one says them: digits as words, letters of codes apart, signs by name."""
    at, dot, dash, under = AT_DOT[language]
    digits = DIGITS[language]
    out: list[str] = []
    word = ""
    code = bool(re.search(r"\d", text)) and "@" not in text

    def flush() -> None:
        nonlocal word
        if word:
            out.append(" ".join(word) if code else word)
            word = ""

    oh = language == "en" and rng.random() < 0.5
    for c in text:
        if c.isalpha():
            word += c.lower()
            continue
        flush()
        if c.isdigit():
            out.append("oh" if oh and c == "0" else digits[int(c)])
        elif c == "@":
            out.append(at)
        elif c == ".":
            if not code:
                out.append(dot)
        elif c == "_":
            out.append(under)
        elif c == "-" and "@" in text:
            out.append(dash)
        elif c == "+":
            out.append(
                {"en": "plus", "de": "plus", "nl": "plus", "fr": "plus", "it": "più", "es": "más", "pt": "mais"}[
                    language
                ]
            )
    flush()
    if language == "en" and code and rng.random() < 0.4:
        for i in range(len(out) - 1, 0, -1):
            if out[i] == out[i - 1] and out[i] in (*digits, "oh") and (i + 1 >= len(out) or out[i + 1] != out[i]):
                out[i - 1 : i + 1] = [f"double {out[i]}"]
                break
    return " ".join(out)
