"""Frames: text with «slots», ‹alternatives|…› and ‹?optional› parts, read into documents with spans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from random import Random

from . import numbers, people

FRAMES = Path(__file__).parent / "frames"
LABELS = (
    "person",
    "address",
    "city",
    "country",
    "postcode",
    "phone number",
    "email",
    "date of birth",
    "date",
    "organisation",
    "job title",
    "username",
    "password",
    "ip address",
    "url",
    "credit card number",
    "bank account number",
    "national id",
    "passport number",
    "driving licence number",
    "vehicle registration",
    "medical condition",
    "age",
    "nationality",
    "customer number",
)
CASED = {
    "person",
    "address",
    "city",
    "country",
    "organisation",
    "job title",
    "medical condition",
    "nationality",
    "date",
    "date of birth",
    "age",
}
NEGATIVE = "!negative"  # a piece of a hard negative: not annotated, and left alone by the audit


@dataclass
class Piece:
    text: str
    label: str | None = None


@dataclass
class Frame:
    name: str
    kind: str
    flags: set[str]
    text: str

    @property
    def negative_slots(self) -> int:
        return self.text.count("«hn")


@dataclass
class Record:
    id: str
    text: str
    entities: list[tuple[int, int, str]]
    extra: dict[str, str] = field(default_factory=dict)
    aligned: bool = False
    unlabelled: str = ""  # the text with spans and hard negatives blanked

    def json(self) -> dict[str, object]:
        spans = [{"start": start, "end": end, "label": label} for start, end, label in self.entities]
        return {"id": self.id, "text": self.text, "entities": spans, **self.extra}


@cache
def frames() -> list[Frame]:
    found = []
    for path in sorted(FRAMES.glob("*.txt")):
        parts = re.split(r"^## (.+)\n", path.read_text(encoding="utf-8"), flags=re.M)
        for head, body in zip(parts[1::2], parts[2::2], strict=True):
            name, *flags = head.split()
            found.append(Frame(f"{path.stem}-{name}", path.stem, set(flags), body.strip("\n")))
    return found


# --- choices within a frame


def parts_of(text: str) -> Iterator[str | list[str]]:
    """The text outside ‹…› as strings, each ‹…› as its alternatives (which may hold further ones)."""
    depth, start = 0, 0
    bars: list[int] = []
    for at, c in enumerate(text):
        if c == "‹":
            if depth == 0:
                yield text[start:at]
                start, bars = at + 1, []
            depth += 1
        elif c == "›":
            depth -= 1
            if depth < 0:
                raise ValueError(f"› without ‹ at …{text[max(0, at - 30) : at]}")
            if depth == 0:
                edges = [start, *[b + 1 for b in bars]]
                yield [text[a:b] for a, b in zip(edges, [*bars, at], strict=True)]
                start = at + 1
        elif c == "|" and depth == 1:
            bars.append(at)
    if depth:
        raise ValueError(f"‹ without › in {text[start : start + 40]}")
    yield text[start:]


def choose(rng: Random, text: str) -> str:
    out = []
    for part in parts_of(text):
        if isinstance(part, str):
            out.append(part)
        elif part[0].startswith("?"):
            chance = re.match(r"\?(?:(\d+):)?", part[0])
            assert chance
            if rng.random() * 100 < int(chance[1] or 50):
                out.append(choose(rng, "|".join(part)[chance.end() :]))
        else:
            out.append(choose(rng, rng.choice(part)))
    return "".join(out)


# --- slots

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
PATHS = [
    "account",
    "orders/track",
    "u/{u}",
    "login",
    "profile/{u}",
    "reset?token={h}",
    "docs/{n}",
    "invoice/{n}.pdf",
    "share/{h}",
    "",
    "help/returns",
    "~{u}",
    "pay?ref={n}",
    "appointments",
    "forms/{n}/edit",
    "careers/{n}",
    "join#step2",
    "members/{u}/settings",
]
OFFICES = [
    "info",
    "office",
    "accounts",
    "support",
    "hello",
    "reception",
    "noreply",
    "bookings",
    "claims",
    "admissions",
    "hr",
    "no-reply",
    "service",
]
CUSTOMER = [
    "########",
    "C-######",
    "K######",
    "CUST-#####",
    "10-###-###",
    "####-####-##",
    "M/####/##",
    "9#########",
    "@@######",
    "### ### ###",
    "KD-####-@",
]
PRONOUNS = {
    "he": ("he", "she"),
    "his": ("his", "her"),
    "him": ("him", "her"),
    "He": ("He", "She"),
    "His": ("His", "Her"),
    "child": ("son", "daughter"),
    "spouse": ("husband", "wife"),
    "sib": ("brother", "sister"),
    "sir": ("Sir", "Madam"),
    "man": ("man", "woman"),
    "sex": ("M", "F"),
    "gender": ("male", "female"),
    "parent": ("father", "mother"),
    "boy": ("boy", "girl"),
    "hisown": ("his", "hers"),
}


def written_date(rng: Random, day: date, form: str, american: bool) -> str:
    n, month, year = day.day, MONTHS[day.month - 1], day.year
    suffix = "th" if 10 < n < 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    if form == "":
        form = rng.choices(["long", "num", "wd", "abbr", "iso", "ord"], [40, 20, 12, 14, 6, 8])[0]
    if form == "prose":
        form = rng.choices(["long", "wd", "short", "ord", "abbr"], [40, 15, 25, 12, 8])[0]
    numeric = [
        f"{n:02d}/{day.month:02d}/{year}",
        f"{n:02d}.{day.month:02d}.{year}",
        f"{n}/{day.month}/{year % 100:02d}",
        f"{n:02d}-{day.month:02d}-{year}",
    ]
    if american:
        numeric = [f"{day.month:02d}/{n:02d}/{year}", f"{day.month}/{n}/{year % 100:02d}", f"{day.month}-{n}-{year}"]
    options = {
        "iso": [f"{day:%Y-%m-%d}"],
        "num": numeric,
        "log": [f"{n:02d}/{month[:3]}/{year}"],
        "long": [f"{month} {n}, {year}"] if american else [f"{n} {month} {year}"],
        "short": [f"{month} {n}"] if american else [f"{n} {month}", f"the {n}{suffix} of {month}"],
        "ord": [f"{month} {n}{suffix}"] if american else [f"{n}{suffix} {month} {year}", f"{n}{suffix} {month}"],
        "wd": [f"{DAYS[day.weekday()]}, {month} {n}", f"{DAYS[day.weekday()][:3]} {month[:3]} {n}"]
        if american
        else [
            f"{DAYS[day.weekday()]} {n} {month}",
            f"{DAYS[day.weekday()][:3]} {n} {month[:3]}",
            f"{DAYS[day.weekday()]}, {n} {month} {year}",
        ],
        "abbr": [f"{month[:3]} {n}, {year}"]
        if american
        else [f"{n} {month[:3]} {year}", f"{n}-{month[:3]}-{year}", f"{n} {month[:3]} {year % 100:02d}"],
        "my": [f"{month} {year}"],
        "compact": [f"{day:%Y%m%d}"],
    }
    return rng.choice(options[form])


class Document:
    """One reading of a frame."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.today = date(2016, 1, 4) + timedelta(days=rng.randrange(4300))
        self.american = rng.random() < 0.28
        self.people: dict[str, people.Person] = {}
        self.places: dict[str, people.Place] = {}
        self.organisations: dict[str, people.Organisation] = {}
        self.memo: dict[str, str] = {}
        self.seconds = rng.randrange(82000)
        self.hard = 0
        self.parents = False

    # one of each per key

    def once(self, key: str, value: str) -> str:
        """The value drawn first under `key`; the frame's later slots of that key repeat it."""
        return self.memo.setdefault(key, value)

    def person(self, key: str) -> people.Person:
        if key not in self.people:
            kin = self.person("p1") if key[0] in "ck" else None
            taken = {p.given for p in self.people.values()} | {p.family for p in self.people.values() if not kin}
            while True:
                one = people.Person(self.rng, self.today, key[0] == "c", kin, self.parents and key == "p1")
                if one.given not in taken and (kin or one.family not in taken):
                    break
            self.people[key] = one
        return self.people[key]

    def organisation(self, key: str) -> people.Organisation:
        if key not in self.organisations:
            country = self.people["p1"].place.code if "p1" in self.people else self.rng.choice(people.ABROAD)
            taken = {o.name for o in self.organisations.values()}
            while True:
                one = people.Organisation(self.rng, key[1], country)
                if one.name not in taken:
                    break
            self.organisations[key] = one
        return self.organisations[key]

    def place(self, key: str) -> people.Place:
        if key not in self.places:
            countries = sorted(people.places()[1])
            self.places[key] = people.Place(self.rng, self.rng.choice([*people.ABROAD, *countries]))
        return self.places[key]

    # slots

    def slot(self, expression: str) -> list[Piece]:
        if expression.startswith("="):
            label, _, text = expression[1:].partition(":")
            if label not in LABELS:
                raise ValueError(f"no label {label}")
            return [Piece(text, label)]
        if ":" in expression and expression.split(":")[0] in {"fill", "n", "hex", "pick"}:
            name, _, rest = expression.partition(":")
            return [Piece(self.noise(name, rest))]
        key, _, form = expression.partition(".")
        if key == "hn":
            return self.negative(form)
        if re.fullmatch(r"[pck]\d", key):
            return self.of_person(key, form)
        if re.fullmatch(r"o[b-jl-nprs-x]\d?", key):
            return self.of_organisation(key, form)
        if re.fullmatch(r"a\d", key):
            return self.of_place(self.place(key), form)
        if re.fullmatch(r"today|[dbyz]\d", key):
            text = written_date(self.rng, self.day(key), form, self.american)
            bare = text.removeprefix("the ")
            return [*([Piece("the ")] if bare != text else []), Piece(bare, "date")]
        return self.loose(key, form)

    def day(self, key: str) -> date:
        if key == "today":
            return self.today
        if key not in self.memo:
            # b1 b2 … lie some days behind today, each before the last, y1 y2 … years; d1 d2 … and z1 z2 … ahead of it
            base = self.today if key[1] == "1" else self.day(f"{key[0]}{int(key[1]) - 1}")
            step = self.rng.randint(1, 25) if key[0] in "bd" else self.rng.randint(250, 1300)
            step *= 1 if key[0] in "dz" else -1
            self.memo[key] = (base + timedelta(days=step)).isoformat()
        return date.fromisoformat(self.memo[key])

    def noise(self, name: str, rest: str) -> str:
        if name == "fill":
            return numbers.fill(self.rng, rest)
        if name == "n":
            return numbers.fill(self.rng, "%" + "#" * (int(rest) - 1))
        if name == "hex":
            return "".join(self.rng.choice("0123456789abcdef") for _ in range(int(rest)))
        return self.rng.choice(rest.split(";"))

    def negative(self, form: str) -> list[Piece]:
        """«hn» after a blank, «hn.line» on its own line, «hn.t», «hn.tline» technical, «hn.code# » behind that mark."""
        pool = "tech" if form.startswith(("t", "code")) else "prose"
        sentence = self.rng.choice(people.sections("negatives")[pool])
        if self.hard <= 0:
            return []
        self.hard -= 1
        lead = "\n" if form.endswith("line") else "\n" + form[4:] if form.startswith("code") else " "
        return [Piece(lead + sentence, NEGATIVE)]

    def of_place(self, place: people.Place, form: str) -> list[Piece]:
        values = {
            "addr": (place.line(), "address"),
            "addrs": (f"{place.street}, {place.city.name}", "address"),
            "addrm": ("\n".join(place.lines()), "address"),
            "street": (place.street, "address"),
            "city": (place.city.name, "city"),
            "pc": (place.postcode, "postcode"),
            "country": (place.country_name, "country"),
            "nat": (place.country.nationality, "nationality"),
            "cityup": (place.city.name.upper(), "city"),
        }
        text, label = values[form]
        return [Piece(text, label)] if text else [Piece("-")]

    def of_organisation(self, key: str, form: str) -> list[Piece]:
        org, rng = self.organisation(key), self.rng
        if form in {"", "up", "low"}:
            return [Piece({"": org.name, "up": org.name.upper(), "low": org.name.lower()}[form], "organisation")]
        if form == "email":
            return [Piece(self.once(key + form, f"{rng.choice(OFFICES)}@{org.domain}"), "email")]
        if form == "url":
            path = self.path(people.plain(rng.choice(people.tokens("handles", None)[""])))
            head = rng.choice(["https://", "https://www.", "www.", "http://", "https://my.", ""])
            return [Piece(self.once(key + form, f"{head}{org.domain}/{path}".rstrip("/")), "url")]
        if form == "home":
            return [Piece(self.once(key + form, rng.choice(["www.", "https://", ""]) + org.domain), "url")]
        if form == "phone":
            return [Piece(self.once(key + form, numbers.phone(rng, org.place.code)), "phone number")]
        return self.of_place(org.place, form)

    def path(self, user: str) -> str:
        rng = self.rng
        return rng.choice(PATHS).format(u=user, h=self.noise("hex", "10"), n=rng.randint(1000, 99999))

    def of_person(self, key: str, form: str) -> list[Piece]:
        one, rng = self.person(key), self.rng
        if form in PRONOUNS:
            return [Piece(PRONOUNS[form][one.female])]
        if form == "t":
            return [Piece(one.title)]
        if form in {"addr", "addrs", "addrm", "street", "city", "pc", "country", "cityup"}:
            return self.of_place(one.place, form)
        head, _, tail = form.partition("-")
        if head == "dob":
            style = {"": "long", "any": rng.choice(["long", "num", "num", "abbr", "iso"])}.get(tail, tail)
            return [Piece(written_date(rng, one.born, style, self.american), "date of birth")]
        if head == "age":
            n = one.age
            text = {
                "": f"{n}",
                "yo": f"{n} years old",
                "hy": f"{n}-year-old",
                "y": rng.choice([f"{n}yo", f"{n} y/o", f"{n} yrs"]),
                "years": f"{n} years",
            }[tail]
            return [Piece(text, "age")]
        if head in {"job", "Job", "ajob"}:
            job = self.once(key + "job", rng.choice(people.tokens("jobs", ";")[""]))
            if head == "Job":
                small = {"of", "and", "in", "for"}
                job = " ".join(w if w in small or not w.islower() else w.capitalize() for w in job.split())
            return [*([Piece(article(job))] if head == "ajob" else []), Piece(job, "job title")]
        if head in {"cond", "Cond"}:
            taken = {v for k, v in self.memo.items() if "cond" in k}
            pool = people.conditions(one, tail)
            text = self.once(key + "cond" + tail, rng.choice([c for c in pool if c not in taken]))
            text = re.sub(r"^an? ", "", text) if head == "Cond" else text
            lead = re.match(r"an? ", text)
            pieces = [Piece(lead[0])] if lead else []
            text = text[lead.end() :] if lead else text
            return [*pieces, Piece(text[0].upper() + text[1:] if head == "Cond" else text, "medical condition")]
        if head in {"nat", "anat"}:
            return [
                *([Piece(article(one.nationality))] if head == "anat" else []),
                Piece(one.nationality, "nationality"),
            ]
        makers: dict[str, tuple[str, Callable[[], str]]] = {
            "email": ("email", lambda: one.email),
            "user": ("username", lambda: one.user),
            "pw": ("password", lambda: people.password(rng)),
            "phone": ("phone number", lambda: numbers.phone(rng, one.place.code)),
            "ip": ("ip address", lambda: numbers.ip_address(rng)),
            "natid": ("national id", lambda: numbers.national_id(rng, one.home, one.born, one.female)),
            "pass": ("passport number", lambda: numbers.passport(rng, one.home)),
            "plate": ("vehicle registration", lambda: numbers.plate(rng, one.place.code)),
            "dl": (
                "driving licence number",
                lambda: numbers.licence(
                    rng,
                    one.place.code,
                    one.born,
                    one.female,
                    people.squash(one.family),
                    people.squash(one.given)[:1].upper(),
                ),
            ),
            "iban": ("bank account number", lambda: numbers.bank_account(rng, one.place.code)),
            "card": ("credit card number", lambda: numbers.card(rng)),
            "cust": ("customer number", lambda: numbers.fill(rng, rng.choice(CUSTOMER))),
            "birthplace": ("city", lambda: one.birthplace),
            "home": ("country", lambda: people.places()[0][one.home].names[0]),
        }
        if head in makers:
            label, make = makers[head]
            return [Piece(self.once(f"{key}{head}{tail}", make()), label)]
        if head == "work":  # an address at the organisation named behind the dash
            org = self.organisation(tail)
            local = rng.choice(
                [
                    f"{people.squash(one.given)}.{people.squash(one.short)}",
                    f"{people.squash(one.given)[0]}.{people.squash(one.short)}",
                ]
            )
            return [Piece(self.once(f"{key}{form}", f"{local}@{org.domain}"), "email")]
        return [Piece(one.written(rng, form), "person")]

    def loose(self, key: str, form: str) -> list[Piece]:
        rng = self.rng
        if key == "time":
            return [
                Piece(
                    f"{rng.randint(6, 21)}:{rng.choice(['00', '05', '15', '20', '30', '40', '45', '10'])}"
                    + (rng.choice(["", " pm"]) if form == "pm" else "")
                )
            ]
        if key == "clock":
            self.seconds = (
                self.seconds + rng.choice([rng.randint(1, 9), rng.randint(10, 700)])
            ) % 86400  # a clock does not run back
            return [Piece(f"{self.seconds // 3600:02d}:{self.seconds // 60 % 60:02d}:{self.seconds % 60:02d}")]
        if key == "money":
            whole = rng.choice([rng.randint(5, 90), rng.randint(90, 4000)])
            sign = self.once("sign", rng.choice("££$$€€"))
            return [Piece(f"{sign}{whole:,}.{rng.randint(0, 99):02d}" if rng.random() < 0.7 else f"{sign}{whole:,}")]
        if key in {"pay", "loan"}:
            amount = rng.randint(28, 130) * 50 if key == "pay" else rng.randint(60, 520) * 1000
            return [Piece(f"{self.once('sign', rng.choice('££$$€€'))}{amount:,}")]
        if key == "amt":
            return [Piece(f"{rng.randint(5, 4000)}.{rng.randint(0, 99):02d}")]
        if re.fullmatch(r"ip\d?", key):
            return [Piece(self.once(key, numbers.ip_address(rng)), "ip address")]
        if re.fullmatch(r"url\d?", key):
            words = people.tokens("handles", None)[""]
            host = rng.choice(
                [
                    f"{rng.choice(words)}{rng.choice(words)}.{rng.choice(['com', 'net', 'io', 'org', 'blog'])}",
                    f"{rng.choice(words)}-{rng.choice(words)}.example.com",
                ]
            )
            text = f"{rng.choice(['https://', 'http://', 'https://www.', 'www.'])}{host}/{self.path(rng.choice(words))}"
            return [Piece(self.once(key, text.rstrip("/")), "url")]
        raise ValueError(f"no slot «{key}{'.' + form if form else ''}»")

    def read(self, frame: Frame) -> list[Piece]:
        text = choose(self.rng, frame.text)
        self.parents = "«c" in frame.text
        if "align" not in frame.flags:  # a part left out may have left blanks
            text = re.sub(r"(?<=\S) {2,}(?=\S)", " ", text)
            text = re.sub(r"(?<=[\w»)\]]) (?=[,.;](?:\s|$))", "", text)
        text = re.sub(r" +$", "", text, flags=re.M)
        text = re.sub(r"\n(«hn\.(?:t?line|code)[^»]*»)(?=\n|$)", r"\1", text)  # these bring their own line break
        pieces: list[Piece] = []
        for i, part in enumerate(re.split(r"«(.+?)»", text)):
            if i % 2 == 0:
                pieces.append(Piece(part))
            else:
                try:
                    found = self.slot(part)
                    if (
                        found
                        and found[0].label == NEGATIVE
                        and found[0].text[0] == " "
                        and "".join(x.text for x in pieces[-2:])[-1:].isalnum()
                    ):
                        found[0].text = "." + found[0].text
                    pieces += found
                except (KeyError, ValueError) as e:
                    raise ValueError(f"{frame.name}: «{part}»: {e!r}") from e
        if "sql" in frame.flags:
            for piece in pieces:
                if piece.label and piece.label != NEGATIVE:
                    piece.text = piece.text.replace("'", "''")
        casing = self.rng.random()
        change = (
            str.lower
            if "low" in frame.flags and casing < 0.2
            else str.upper
            if "up" in frame.flags and casing > 0.88
            else None
        )
        if change:
            for piece in pieces:
                if piece.label is None or piece.label == NEGATIVE or piece.label in CASED:
                    piece.text = change(piece.text.replace("İ", "I"))
        return pieces


def article(word: str) -> str:
    return "an " if word[0] in "aeioAEI" or word.startswith(("upholst", "HR ")) else "a "


def assemble(name: str, pieces: list[Piece]) -> Record:
    text, blank, entities, at = [], [], [], 0
    for piece in pieces:
        text.append(piece.text)
        if piece.label and piece.label != NEGATIVE and piece.text:
            entities.append((at, at + len(piece.text), piece.label))
        blank.append("·" * len(piece.text) if piece.label else piece.text)
        at += len(piece.text)
    return Record(name, "".join(text), entities, unlabelled="".join(blank))
