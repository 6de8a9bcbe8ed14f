"""The invented people, places and organisations of one document, and the ways to write them."""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from . import numbers

VALUES = Path(__file__).parent / "values"


class City(NamedTuple):
    name: str
    region: str
    postcode: str


class Country(NamedTuple):
    names: list[str]
    nationality: str


@cache
def sections(name: str) -> dict[str, list[str]]:
    """The lines of a file of values by its [section]."""
    found: dict[str, list[str]] = {"": []}
    at = ""
    for line in (VALUES / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            at = line[1:-1]
            found[at] = []
        elif line and not line.startswith("#"):
            found[at].append(line)
    return {k: v for k, v in found.items() if v}


@cache
def tokens(name: str, sep: str | None) -> dict[str, list[str]]:
    return {k: [t.strip() for line in v for t in line.split(sep) if t.strip()] for k, v in sections(name).items()}


@cache
def places() -> tuple[dict[str, Country], dict[str, list[City]]]:
    countries, cities = {}, {}
    for head, lines in sections("cities").items():
        code, names, nationality = head.split("|") if head.count("|") == 2 else (head, "", "")
        countries[code] = Country(names.split(","), nationality)
        cities[code] = [City(*line.split("|")) for line in lines]
    return countries, cities


def streets() -> dict[str, list[str]]:
    return tokens("streets", ";")


HOMES = {
    "british": "GB GB GB US AU CA NZ ZA",
    "irish": "IE IE GB US AU",
    "french": "FR FR FR BE CH CA",
    "german": "DE DE DE AT CH",
    "spanish": "ES ES ES AR",
    "portuguese": "PT PT BR BR",
    "italian": "IT IT IT CH",
    "dutch": "NL NL NL BE",
    "nordic": "SE NO DK FI",
    "polish": "PL PL PL CZ",
    "russian": "UA HR GB DE UA",
    "greek": "GR GR HU HU",
    "turkish": "TR TR TR DE",
    "arabic": "AE EG EG FR",
    "south_asian": "IN IN IN GB",
    "chinese": "SG SG US GB",
    "japanese": "JP",
    "korean_viet": "KR VN US",
    "west_african": "NG NG GH FR GB",
    "south_east_african": "KE ZA ZA KE",
    "latin_american": "MX MX AR US",
}
ABROAD = [
    "GB",
    "GB",
    "GB",
    "GB",
    "GB",
    "US",
    "US",
    "US",
    "US",
    "US",
    "IE",
    "CA",
    "AU",
    "NZ",
    "ZA",
    "IN",
    "DE",
    "FR",
    "NL",
    "ES",
    "IT",
    "SE",
]
FAMILY_FIRST = {"chinese", "japanese", "korean_viet"}
MAILS = [
    "gmail.com",
    "gmail.com",
    "outlook.com",
    "yahoo.co.uk",
    "icloud.com",
    "proton.me",
    "gmx.de",
    "web.de",
    "orange.fr",
    "libero.it",
    "wp.pl",
    "hotmail.es",
    "example.com",
    "example.org",
    "postbird.net",
    "quietmail.io",
    "tidepost.co.uk",
    "farmail.eu",
    "larkbox.org",
]


SEASONS = ["Summer", "Winter", "Autumn", "Welcome", "Passw0rd", "Monday"]


def plain(text: str) -> str:
    """`text` in lower case ASCII without marks, as addresses and handles write it."""
    swaps = {
        "ß": "ss",
        "ø": "o",
        "Ø": "o",
        "ł": "l",
        "Ł": "l",
        "æ": "ae",
        "œ": "oe",
        "đ": "d",
        "ı": "i",
        "İ": "i",
        "Đ": "d",
        "Æ": "ae",
    }
    text = "".join(swaps.get(c, c) for c in text)
    return "".join(
        c for c in unicodedata.normalize("NFKD", text).lower() if "a" <= c <= "z" or c.isdigit() or c in " -"
    )


def squash(text: str) -> str:
    return plain(text).replace(" ", "").replace("-", "")


def handle(rng: Random, given: str, family: str, year: int) -> str:
    g, f = squash(given) or "kim", squash(family) or "lund"
    words = tokens("handles", None)[""]
    w1, w2 = rng.sample(words, 2)
    style = rng.randrange(14)
    return [
        f"{g}.{f}",
        f"{g[0]}{f}",
        f"{f}{g[0]}",
        f"{g}_{f}",
        f"{g}{year % 100:02d}",
        f"{f}.{g}",
        f"{g[0]}.{f}",
        f"{g[:3]}{f[:3]}",
        f"{w1}_{w2}",
        f"{w1}{rng.randint(2, 999)}",
        f"{w1}.{w2}{rng.randint(1, 99)}",
        f"x_{w1}_x",
        f"{g}-{w1}",
        f"{f[:5]}{rng.randint(10, 99)}",
    ][style]


def password(rng: Random) -> str:
    words = tokens("handles", None)[""]
    w1, w2, w3 = rng.sample(words, 3)
    noise = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return [
        f"{w1.title()}{rng.randint(1, 2030)}!",
        f"{w1}{w2.title()}{rng.randint(10, 99)}",
        f"{w1}-{w2}-{w3}",
        "".join(rng.choice(noise) for _ in range(rng.randint(9, 16))),
        f"{w1[0].upper()}{w1[1:]}#{rng.randint(100, 999)}",
        w1.replace("e", "3").replace("a", "@").replace("o", "0") + str(rng.randint(10, 99)),
        f"{w1}{rng.randint(1, 9)}",
        f"{rng.choice(SEASONS)}{rng.randint(2016, 2027)}{rng.choice(['!', '', '?', '$'])}",
        "".join(rng.choice(noise + "!%&*+=_") for _ in range(10)) + rng.choice(noise),
        f"{rng.randint(100000, 999999)}",
    ][rng.randrange(10)]


class Place:
    """A house somewhere, with its address in the country's own order."""

    def __init__(self, rng: Random, country: str) -> None:
        countries, cities = places()
        self.city = rng.choice(cities[country])
        self.country: Country = countries[country]
        self.code = country
        self.street_name = rng.choice(streets()[country])
        self.postcode = numbers.fill(rng, self.city.postcode)
        self.country_name = rng.choice(self.country.names[:3])
        if country == "GB" and self.country_name == self.country.names[0] and rng.random() < 0.3:
            region = {
                "Cardiff": "Wales",
                "Swansea": "Wales",
                "Aberdeen": "Scotland",
                "Inverness": "Scotland",
                "Belfast": "Northern Ireland",
            }
            self.country_name = region.get(self.city.name, "England")
        self.street = self._street(rng)
        self.tail = self._tail(rng)
        self.with_country = rng.random() < 0.25

    def _street(self, rng: Random) -> str:
        name, code = self.street_name, self.code
        number = str(rng.choice([rng.randint(1, 60), rng.randint(1, 260)]))
        if code in {"GB", "IE", "ZA", "NZ", "NG", "KE", "GH", "SG", "EG"}:
            number += rng.choice(["", "", "", "", "a", "B"])
            lead = rng.choice(
                [
                    "",
                    "",
                    "",
                    f"Flat {rng.randint(1, 40)}, ",
                    f"Unit {rng.randint(1, 30)}, " if code != "GB" else "The Old Forge, ",
                ]
            )
            if code == "SG":
                return f"Blk {number} {name} #{rng.randint(2, 19):02d}-{rng.randint(10, 480)}"
            return f"{lead}{number} {name}"
        if code in {"US", "CA", "AU", "IN", "AE", "KR"}:
            number = str(rng.randint(2, 9800)) if code == "US" else number
            if code == "AU" and rng.random() < 0.3:
                number = f"{rng.randint(1, 12)}/{number}"
            tail = rng.choice(
                [
                    "",
                    "",
                    "",
                    f" Apt {rng.randint(1, 30)}{rng.choice('ABCD')}",
                    f" #{rng.randint(2, 400)}",
                    f", Suite {rng.randint(100, 900)}",
                ]
            )
            if code == "IN":
                return rng.choice(
                    [
                        f"{number}/{rng.choice('ABC')}, {name}",
                        f"H.No. {number}, {name}",
                        f"Flat {rng.randint(101, 904)}, {number} {name}",
                    ]
                )
            return f"{number} {name}{tail if code in {'US', 'CA'} else ''}"
        if code in {"FR"}:
            return f"{number}{rng.choice(['', '', '', ' bis', ' ter'])}{rng.choice([', ', ' '])}{name}"
        if code in {"ES", "IT", "PT", "BR", "AR", "MX"}:
            joint = {"IT": rng.choice([", ", " "]), "ES": ", ", "PT": ", ", "BR": ", "}.get(code, " ")
            tails = {
                "ES": ["", f", {rng.randint(1, 8)}º {rng.choice('ABC')}"],
                "PT": ["", f", {rng.randint(1, 6)}.º Esq"],
                "BR": ["", f" - ap. {rng.randint(11, 900)}"],
                "MX": ["", f" Int. {rng.randint(1, 12)}"],
                "IT": ["", f"/{rng.choice('ABC')}"],
                "AR": ["", f", {rng.randint(1, 12)}º B"],
            }[code]
            return f"{name}{joint}{number}{rng.choice(tails)}"
        if code == "JP":
            return f"{rng.randint(1, 6)}-{rng.randint(1, 28)}-{rng.randint(1, 20)} {name}"
        if code == "TR":
            return f"{name} No: {number}{rng.choice(['', f'/{rng.randint(1, 18)}'])}"
        if code == "VN":
            return f"{number} {name}"
        return f"{name} {number}{rng.choice(['', '', '', 'a', ' B', f'/{rng.randint(1, 30)}'])}"

    def _tail(self, rng: Random) -> str:
        city, code, pc = self.city, self.code, self.postcode
        if code == "US":
            return f"{city.name}, {city.region} {pc}"
        if code in {"CA", "AU"}:
            return f"{city.name} {city.region} {pc}"
        if code in {"GB", "IE", "NZ", "SG", "KR", "VN"}:
            return f"{city.name}{rng.choice([', ', ' '])}{pc}"
        if code == "IN":
            return (
                f"{city.name}{rng.choice([' - ', ' '])}{pc}, {city.region}"
                if rng.random() < 0.5
                else f"{city.name} {pc}"
            )
        if code == "JP":
            return f"{city.name}, {city.region} {pc}"
        if code in {"NG", "KE", "ZA", "GH", "EG"}:
            return f"{city.name}{rng.choice([', ', ' '])}{pc}" if rng.random() < 0.7 else city.name
        if code == "AE":
            return city.name
        if code == "IT":
            return f"{pc} {city.name}{rng.choice(['', f' ({city.region})'])}"
        if code == "BR":
            return f"{city.name} - {city.region}, {pc}"
        if code == "DE" and rng.random() < 0.06:
            return f"D-{pc} {city.name}"
        return f"{pc} {city.name}"

    def lines(self) -> list[str]:
        return [self.street, self.tail] + ([self.country_name] if self.with_country else [])

    def line(self) -> str:
        return ", ".join(self.lines())


class Person:
    """Somebody invented; everything about them agrees."""

    def __init__(
        self, rng: Random, today: date, child: bool = False, kin: Person | None = None, parent: bool = False
    ) -> None:
        given = tokens("given", None)
        family = tokens("family", None)
        self.origin: str = kin.origin if kin else rng.choice(sorted(given))
        name, gender, nick = (rng.choice(given[self.origin]) + "::").split(":")[:3]
        while kin and not child and (gender == "f") == kin.female and rng.random() < 0.8:
            name, gender, nick = (rng.choice(given[self.origin]) + "::").split(":")[:3]
        self.female: bool = gender == "f" or (gender == "u" and rng.random() < 0.5)
        self.given = name.replace("_", " ")
        self.nick = nick or self.given
        self.family: str = kin.family if kin else self._family(rng, family)
        if kin and "~" in kin.raw:
            self.raw = kin.raw
            self.family = kin.raw.split("~")[1 if self.female else 0]
        self.short = self.family.split(" ")[0] if self.double else self.family
        same = [t.split(":") for t in given[self.origin] if t.split(":")[1] == gender and not t.startswith(name + ":")]
        self.middle = rng.choice(same)[0].replace("_", " ") if same else "Lee"
        countries, _ = places()
        home = rng.choice(HOMES[self.origin].split())
        code = kin.place.code if kin else home if rng.random() < 0.6 else rng.choice(ABROAD)
        self.place: Place = kin.place if kin else Place(rng, code)
        self.home = home
        self.nationality = countries[home].nationality
        self.birthplace = rng.choice(places()[1][home]).name
        if child:
            self.born = today - timedelta(days=rng.randint(4 * 365, 13 * 365))
        elif kin:
            self.born = kin.born + timedelta(days=rng.randint(-2200, 2200))
        else:
            low, high = (25, 56) if parent else rng.choice([(19, 62), (19, 62), (19, 62), (60, 90)])
            self.born = today - timedelta(days=rng.randint(low * 365, high * 365))
        self.age = today.year - self.born.year - ((today.month, today.day) < (self.born.month, self.born.day))
        self.title = rng.choice(
            ["Ms", "Ms", "Mrs", "Miss", "Dr", "Ms."] if self.female else ["Mr", "Mr", "Mr", "Dr", "Mr.", "Prof."]
        )
        self.user = handle(rng, self.given, self.short, self.born.year)
        self.full = self._full(rng)
        self.email = self._email(rng)

    raw = ""
    double = False

    def _family(self, rng: Random, family: dict[str, list[str]]) -> str:
        origin = self.origin
        if origin == "latin_american" and rng.random() < 0.5:
            origin = "spanish"
        self.raw = rng.choice(family[origin])
        name = self.raw.split("~")[1 if self.female and "~" in self.raw else 0].replace("_", " ")
        if origin in {"spanish", "latin_american", "portuguese"} and rng.random() < 0.4 and " " not in name:
            self.double = True
            return name + " " + rng.choice([f for f in family[self.origin] if f != self.raw and "_" not in f])
        if self.origin not in FAMILY_FIRST and "-" not in name and " " not in name and rng.random() < 0.04:
            other = rng.choice(family[rng.choice(sorted(family))]).split("~")[0]
            if "_" not in other and "-" not in other:
                return f"{name}-{other}"
        return name

    def _full(self, rng: Random) -> str:
        style = rng.random()
        if self.origin in FAMILY_FIRST and style < 0.45:
            return f"{self.family} {self.given}"
        if style > 0.92 and self.origin not in FAMILY_FIRST:
            return f"{self.given} {self.middle} {self.family}"
        if style > 0.84 and self.origin not in FAMILY_FIRST:
            return f"{self.given} {self.middle[0]}. {self.family}"
        return f"{self.given} {self.family}"

    def _email(self, rng: Random) -> str:
        local = handle(rng, self.given, self.short, self.born.year)
        if rng.random() < 0.2:
            local += str(rng.randint(1, 99))
        return f"{local}@{rng.choice(MAILS)}"

    def initials(self) -> str:
        parts = [p for p in self.full.replace("-", " ").split() if p[0].isupper()]
        return "".join(p[0] for p in parts)

    def written(self, rng: Random, form: str) -> str:
        g, f = self.given, self.family
        if form in {"", "any"}:
            form = rng.choices(
                ["full", "rev", "init", "mid", "low", "up", "given", "famup"], [50, 12, 10, 5, 8, 8, 4, 3]
            )[0]
        if form == "name":  # somebody in a sentence
            form = rng.choices(["full", "given", "nick", "init"], [60, 22, 8, 10])[0]
        forms = {
            "full": self.full,
            "given": g,
            "nick": self.nick,
            "fam": self.short,
            "family": f,
            "rev": f"{f}, {g}",
            "revup": f"{f.upper()}, {g}",
            "low": f"{g} {f}".lower(),
            "up": f"{g} {f}".upper(),
            "famup": f"{g} {f.upper()}",
            "mid": f"{g} {self.middle[0]}. {f}",
            "init": f"{g[0]}. {f}",
            "init2": f"{g[0]}.{self.middle[0]}. {f}",
            "ini": self.initials(),
            "nicklow": self.nick.lower(),
            "givenlow": g.lower(),
            "givenup": g.upper(),
            "nickfam": f"{self.nick} {f}",
            "gf": f"{g} {f}",
            "middle": self.middle,
            "famcap": f.upper(),
        }
        return forms[form]


def conditions(one: Person, wish: str) -> list[str]:
    """What one may have; `wish` is "grave" (one may have died of it), "child" or nothing of these."""
    pool = tokens("conditions", ";")
    if wish == "grave":
        return pool["late"][:6] + [
            "multiple sclerosis",
            "chronic kidney disease",
            "stage II bowel cancer",
            "cystic fibrosis",
        ]
    if wish == "child" or one.age < 18:
        return pool["child"]
    if one.age > 60:
        return pool["adult"] + pool["late"] * 2
    return pool["adult"] + pool["child"] + (pool["women"] if one.female and one.age < 46 else [])


KINDS = {
    "c": "company",
    "b": "bank",
    "r": "insurer",
    "s": "school",
    "h": "health",
    "v": "vet",
    "g": "authority",
    "p": "police",
    "t": "trade",
    "l": "law",
    "w": "craft",
    "d": "department",
    "j": "court",
    "e": "energy",
    "u": "utility",
    "m": "motor",
    "n": "club",
    "x": "travel",
    "f": "carrier",
    "i": "software",
}


class Organisation:
    def __init__(self, rng: Random, kind: str, country: str) -> None:
        self.name = rng.choice(tokens("organisations", ";")[KINDS[kind]])
        self.place = Place(rng, country)
        words = [
            w
            for w in plain(self.name.replace("&", " ")).replace("-", " ").split()
            if w not in {"ltd", "the", "of", "and", "gmbh", "llp", "co", "inc"}
        ]
        stem = rng.choice(
            ["".join(words[:2]), words[0] if len(words[0]) > 4 else "".join(words[:2]), "-".join(words[:2])]
        )
        self.domain = stem + rng.choice([".com", ".com", ".org", ".co.uk", ".net", ".eu", ".io"])
        self.domain_seed = rng.random()
