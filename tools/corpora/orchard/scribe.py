"""Fills a frame: the slots of one record share persons, places and organisations."""

from __future__ import annotations

import datetime as dt
import random
import re

from . import idents, lists, moments, people, places
from .grammar import SLOT, expand
from .labels import ROLES
from .people import Person, slug

Seg = tuple[str, str | None, str | None]  # text, kind, role

NAME_HOWS = {"", "g", "f", "F", "U", "G", "l", "fg", "i", "in", "n", "gf", "fgs"}
ORG_KIND = {
    "": "company",
    "bank": "bank",
    "hosp": "hospital",
    "school": "school",
    "uni": "university",
    "pub": "public",
    "ngo": "ngo",
    "ins": "insurer",
    "air": "carrier",
    "club": "club",
}
LEGAL = re.compile(
    r"\b(Ltd|Inc|plc|LLC|LLP|Co|Corp|GmbH|AG|KG|SARL|SAS|EURL|SA|BV|S\.?L\.?U?|S\.A\.|S\.r\.l|S\.p\.A|B\.V|N\.V|Lda|Ltda|eG|e\.?[VK])\b.*$"
)
PATTERNS = {
    "tk": ["%####"],
    "cust": ["C-######", "########", "KD%#####", "%#####-##", "CUS-####", "%####-@", "#######"],
    "emp": ["E#####", "%####", "P-######", "EMP-####", "MA%####", "####-@@"],
    "stud": ["S########", "%######", "20##-#####", "s#######", "####/##"],
    "ord": [
        "#########",
        "ORD-######",
        "#%%-#######-#######",
        "INV-20##-####",
        "RE-20##/####",
        "@@####",
        "W########",
        "TCK-#####",
        "B######",
    ],
    "bk": ["@@@@@@", "@#@@#@", "@@#@@#", "%########"],
    "case": ["%##/20##", "20##-######", "CR-##-#####", "@@-####/##", "%# C ###/##", "##/######"],
    "mrn": ["MRN ########", "########", "H######", "%##-##-####", "PAT-#####", "### ### ####", "P00%#####"],
    "ins": [
        "POL-########",
        "@#########",
        "##-####-######",
        "%#########",
        "@@@ ###### @",
        "KV-%#######",
        "%## ### ###/#",
    ],
    "pin": ["######", "####", "### ###", "#####", "######"],
}
MONEY = {
    "us": ["${c}", "${i}", "${c}", "USD {i}", "{i} dollars", "$ {c}"],
    "uk": ["£{c}", "£{i}", "GBP {c}", "{i} pounds", "£{k}k"],
    "ie": ["€{c}", "€{i}", "EUR {i}"],
    "au": ["AUD {i}", "A${c}", "${c}"],
    "ca": ["CA${c}", "${c}", "CAD {i}"],
    "in": ["₹{i}", "Rs. {i}", "INR {c}"],
    "es": ["{e} €", "{j} euros", "{j} €", "{e} EUR", "{e}€"],
    "mx": ["${c}", "${i} MXN", "{i} pesos"],
    "ar": ["$ {e}", "{j} pesos"],
    "fr": ["{f} €", "{j} euros", "{j} €", "{f} EUR", "{f}€"],
    "be": ["{f} €", "{j} euros"],
    "bv": ["€ {e}", "{j} euro", "€{e}"],
    "de": ["{e} €", "{j} Euro", "EUR {e}", "{e} EUR", "{j} €", "{j},- €"],
    "at": ["€ {e}", "{j} Euro", "EUR {e}"],
    "ch": ["CHF {c}", "CHF {i}.–", "Fr. {c}", "{i} Franken"],
    "cr": ["CHF {c}", "{i} francs", "Fr. {c}"],
    "ti": ["CHF {c}", "{i} franchi"],
    "it": ["{e} €", "{j} euro", "€ {e}", "euro {e}", "{e} euro"],
    "pt": ["{e} €", "{j} euros", "{e} EUR", "€{e}"],
    "br": ["R$ {e}", "R$ {j}", "R${e}", "{j} reais"],
    "nl": ["€ {e}", "{j} euro", "€{e}", "EUR {e}", "€ {j},-"],
    "pl": ["{f} zł", "{j} PLN"],
    "se": ["{j} kr", "{f} SEK"],
}
UNITS = {
    "us": "dollars",
    "uk": "pounds",
    "ie": "euros",
    "au": "dollars",
    "ca": "dollars",
    "in": "rupees",
    "mx": "pesos",
    "ar": "pesos",
    "ch": "franken",
    "cr": "francs",
    "ti": "franchi",
    "br": "reais",
    "it": "euro",
    "de": "euro",
    "at": "euro",
    "nl": "euro",
    "bv": "euro",
    "pl": "zloty",
    "se": "kronor",
}
AGE = {
    "en": ["{n} years old", "{n} years old", "{n} yrs old", "{n} y/o"],
    "es": ["{n} años"],
    "fr": ["{n} ans"],
    "de": ["{n} Jahre alt", "{n} Jahre"],
    "it": ["{n} anni"],
    "pt": ["{n} anos"],
    "nl": ["{n} jaar oud", "{n} jaar"],
}


class Scribe:
    def __init__(self, rng: random.Random, language: str, options: dict[str, str]) -> None:
        self.rng = rng
        self.language = language
        self.roles = {k: v for k, v in options.items() if v in ROLES}
        self.sex = {who: "m" for who in options.get("men", "").split(",")} | {
            who: "f" for who in options.get("women", "").split(",")
        }
        self.persons: dict[str, Person] = {}
        self.homes: dict[str, places.Place] = {}
        self.orgs: dict[tuple[str, str], tuple[str, str]] = {}
        self.cache: dict[str, list[Seg]] = {}
        self.words = lists.words(language)
        self.style = rng.choice(moments.STYLES)
        self.birth_style = rng.choice(moments.DOB)
        self.stamp_style = rng.choice(["iso", "space", "iso", "space", "eu", "win"])
        if "country" in options:
            self.homes["a"] = places.make(rng, language, options["country"])
        self.day = moments.day(rng)
        self.now = moments.instant(rng)
        self.tail = rng.random()
        self.hour = rng.randint(6, 18) * 60
        self.title = rng.choice(self.words.get("titles", ["Mr/Ms"]))

    # persons, places, organisations of the record

    def person(self, who: str) -> Person:
        if who not in self.persons:
            taken = {(p.given, p.family) for p in self.persons.values()} | {
                (p.given, "") for p in self.persons.values()
            }
            traps = {segs[0][0] for key, segs in self.cache.items() if key.startswith("trap")}
            while True:
                p = people.make(self.rng, self.language)
                if (p.given, "") not in taken and p.given not in traps and self.sex.get(who, p.sex) == p.sex:
                    break
            self.persons[who] = p
        return self.persons[who]

    def place(self, who: str) -> places.Place:
        if who not in self.homes:
            first = self.homes.get("a")
            country = first.country if first and self.rng.random() < 0.8 else None
            self.homes[who] = places.make(self.rng, self.language, country)
        return self.homes[who]

    @property
    def country(self) -> str:
        return self.place("a").country

    def org(self, index: str, attr: str) -> tuple[str, str]:
        if attr == "any":
            attr = self.rng.choice(["", "", "bank", "hosp", "school", "uni", "pub", "ngo", "ins", "air"])
        key = (index, attr)
        if key not in self.orgs:
            kind = ORG_KIND[attr]
            language = (
                self.language
                if self.rng.random() < (0.8 if self.language == "en" else 0.88)
                else self.rng.choice(lists.LANGUAGES)
            )
            while True:
                name = self.rng.choice(lists.orgs().get((kind, language)) or lists.orgs()["company", language])
                if all(name != other for other, _ in self.orgs.values()):
                    break
            self.orgs[key] = (name, kind)
        return self.orgs[key]

    def domain(self, index: str) -> str:
        name = next((n for (i, a), (n, _) in self.orgs.items() if i == index), None) or self.org(index, "")[0]
        bare = LEGAL.sub("", name).strip()
        joined = slug(bare)
        if len(joined) > 20:
            joined = (
                slug(" ".join([word for word in bare.split() if len(word) > 3 or word.isupper()][:2])) or joined[:20]
            )
        ending = {
            "us": "com",
            "uk": "co.uk",
            "ie": "ie",
            "au": "com.au",
            "ca": "ca",
            "in": "in",
            "br": "com.br",
            "mx": "com.mx",
            "ar": "com.ar",
            "be": "be",
            "bv": "be",
            "cr": "ch",
            "ti": "ch",
        }.get(self.country, self.country)
        if f"dom{index}" not in self.cache:
            self.cache[f"dom{index}"] = [
                (f"{joined}.{self.rng.choice([ending, ending, ending, 'com', 'org', 'io', 'net'])}", None, None)
            ]
        return self.cache[f"dom{index}"][0][0]

    # one slot

    def slot(self, match: re.Match[str]) -> list[Seg]:
        if match["who"]:
            return [(match["m"] if self.person(match["who"]).sex == "m" else match["f"], None, None)]
        if match["kind"]:
            return [(match["lit"], match["kind"], None)]
        name, arg = match["name"], match["arg"]
        key = f"{name}:{arg}"
        if key not in self.cache:
            base, *attrs = name.split(".")
            segs = self.fresh(base, attrs, arg)
            if "up" in attrs:
                segs = [(t.upper(), k, r) for t, k, r in segs]
            if "low" in attrs:
                segs = [(t.lower(), k, r) for t, k, r in segs]
            if base in ("n", "hex", "num", "pick"):
                return segs
            self.cache[key] = segs
        return self.cache[key]

    def fresh(self, base: str, attrs: list[str], arg: str | None) -> list[Seg]:
        rng, language = self.rng, self.language
        attr = next((a for a in attrs if a not in ("up", "low")), "")
        stem = base.rstrip("0123456789")
        index = base[len(stem) :]

        def one(text: str, kind: str | None, role: str | None = None) -> list[Seg]:
            if attr == "sp" and kind not in (None, "money", "date", "dob"):
                text = people.spoken(rng, text, language)
            return [(text, kind, role)]

        if stem in "pqrsvw" and len(stem) == 1:
            return self.of_person(stem, attr)
        if stem in ("a", "b", "c"):
            return self.of_place(stem, attr)
        if stem == "o":
            return self.of_org(index, attr)
        country = self.country
        if stem in ("ph", "mob", "fax"):
            place = self.place("a") if rng.random() < 0.92 else places.make(rng, language)
            if stem == "ph" and rng.random() < 0.4:
                return one(places.phone(rng, place, True), "phone" if place.country in ("us", "ca") else "mobile")
            kind = {"ph": "phone", "mob": "mobile", "fax": "fax"}[stem]
            return one(places.phone(rng, place, stem == "mob"), kind)
        if stem in ("d", "dob", "my"):
            return self.of_date(stem, attr)
        if stem == "t":
            self.hour = min(self.hour + rng.choice([15, 30, 60, 90, rng.randint(5, 200)]), 1430)
            return one(moments.clock(rng, self.hour, language, country), "time")
        if stem == "ts":
            self.now += dt.timedelta(
                milliseconds=rng.choice([rng.randint(1, 900), rng.randint(900, 60_000), rng.randint(60_000, 9_000_000)])
            )
            return [
                (
                    moments.stamp(self.now, self.tail, attr or self.stamp_style),
                    "ts" if attr != "clock" else "time",
                    None,
                )
            ]
        if stem == "age":
            n = rng.randint(18, 91) if arg is None else rng.randint(*map(int, arg.split("-")))
            if attr == "n":
                return [(str(n), "age", None)]
            if attr == "a":
                return [(f"{n}-year-old", "age", None)]
            return [(rng.choice(AGE[language]).format(n=n), "age", None)]
        if stem == "money":
            return self.of_money(attr, arg)
        if stem == "card":
            if attr == "exp":
                m, y = rng.randint(1, 12), rng.randint(2018, 2033)
                return [
                    (
                        rng.choice(
                            [
                                f"{m:02d}/{y % 100:02d}",
                                f"{m:02d}/{y}",
                                f"{m:02d}-{y % 100:02d}",
                                f"{m:02d}/{y % 100:02d}",
                            ]
                        ),
                        "card_exp",
                        None,
                    )
                ]
            if attr == "cvc":
                return [(idents.digits(rng, 3 if rng.random() < 0.9 else 4), "cvc", None)]
            text = idents.card(rng)
            while attr == "sp" and not text.replace(" ", "").replace("-", "").isdigit():
                text = idents.card(rng)
            return one(text, "card")
        makers = {
            "iban": lambda: idents.iban(rng, country),
            "bic": lambda: idents.bic(rng, country),
            "acct": lambda: idents.account(rng, country),
            "sort": lambda: idents.sort_code(rng, country),
            "id": lambda: idents.national(rng, language, country),
            "ssn": lambda: idents.social(rng, language, country),
            "tax": lambda: idents.tax(rng, language, country, attr),
            "pass": lambda: idents.passport(rng, country),
            "lic": lambda: idents.licence(rng, country),
            "plate": lambda: idents.plate(rng, country),
            "vin": lambda: idents.vin(rng),
            "imei": lambda: idents.imei(rng),
            "serial": lambda: idents.serial(rng),
            "uuid": lambda: idents.make_uuid(rng),
            "mac": lambda: idents.mac(rng),
            "ip": lambda: idents.ip(rng),
            "ipv": lambda: idents.ip6(rng),
            "pw": lambda: idents.password(rng),
            "key": lambda: idents.api_key(rng),
            "tok": lambda: idents.token(rng),
            "car": lambda: rng.choice(idents.CARS),
            "dev": lambda: idents.device(rng),
        }
        kinds = {
            "acct": "account",
            "id": "national_id",
            "pass": "passport",
            "lic": "licence",
            "ipv": "ip",
            "pw": "password",
            "key": "api_key",
            "tok": "token",
            "car": "vehicle",
            "dev": "device",
        }
        if stem in makers:
            text = makers[stem]()
            kind = kinds.get(stem, stem)
            if stem in ("id", "ssn") and country in ("nl", "se", "pl", "ie"):
                kind = "national_id" if stem == "id" else "ssn"
            return one(text, kind)
        numbered = {
            "cust": "customer_no",
            "emp": "employee_no",
            "stud": "student_no",
            "ord": "order_no",
            "tk": "order_no",
            "bk": "booking_no",
            "case": "case_no",
            "mrn": "mrn",
            "ins": "insurance",
            "pin": "pin",
        }
        if stem in numbered:
            text = places.fill(rng, rng.choice(PATTERNS[stem]))
            if stem == "mrn" and text.startswith("MRN "):
                text = text[4:]
            return one(text, numbered[stem])
        if stem == "host":
            return [(idents.host(rng, self.domain("")), "host", None)]
        if stem == "url":
            return [(self.url(), "url", None)]
        if stem in ("path", "win"):
            user = people.username(rng, self.person(attr)) if attr else None
            if attr and f"{attr}.u:None" in self.cache:
                user = self.cache[f"{attr}.u:None"][0][0]
            return [(idents.path(rng, user, stem == "win"), "path", None)]
        if stem in ("cond", "med", "rel", "lang", "prod", "dept"):
            kind = {
                "cond": "condition",
                "med": "medication",
                "rel": "religion",
                "lang": "language",
                "prod": "product",
                "dept": "dept",
            }[stem]
            return [(self.word(stem + "s", index, "m"), kind, None)]
        if stem == "event":
            name, _, article = self.word("events", index, None).partition("/")
            lead: list[Seg] = [(article + " ", None, None)] if article and attr != "x" else []
            return [*lead, (name, "event", None)]
        if stem in ("job", "nat"):
            return [
                (
                    self.word(stem + "s", index, attr or rng.choice("mf")),
                    {"job": "job", "nat": "nationality"}[stem],
                    None,
                )
            ]
        if stem in ("country", "incountry"):
            name, _, before = self.word("countries", index, None).partition("/")
            return (
                [(before + " ", None, None), (name, "country", None)]
                if stem == "incountry"
                else [(name, "country", None)]
            )
        if stem in ("city", "region"):
            place = places.make(rng, language, self.country if rng.random() < 0.6 else None)
            town = rng.choice(lists.cities()[place.country])
            return [(town[0] if stem == "city" else town[1], stem, None)]
        if stem in ("trap", "trapf"):
            return [(self.trap(stem, attrs), None, None)]
        if stem == "n":
            low, high = map(int, (arg or "1-99").split("-"))
            return [(str(rng.randint(low, high)), None, None)]
        if stem == "hex":
            return [(idents.alnum(rng, int(arg or 8), "0123456789abcdef"), None, None)]
        if stem == "num":
            return [(places.fill(rng, arg or "####"), None, None)]
        raise KeyError(f"unknown slot {base} {attrs}")

    def trap(self, stem: str, attrs: list[str]) -> str:
        """A name that is not a person's here: of a ship, a server, a storm."""
        held = {p.given for p in self.persons.values()} | {
            s[0][0] for k, s in self.cache.items() if k.startswith("trap")
        }
        origins = [o for o, _ in people.HOME[self.language]]
        if self.rng.random() < 0.35:
            origins = list(lists.family())
        while True:
            origin = self.rng.choice(origins)
            if stem == "trap":
                name = self.rng.choice(
                    lists.given()[origin, self.rng.choice("f" if "w" in attrs else "m" if "m" in attrs else "fm")]
                )
            else:
                name = people.surname(self.rng, origin, "m")
            if name not in held and " " not in name:
                return name

    def word(self, section: str, index: str, sex: str | None) -> str:
        items = self.words[section]
        for _ in range(20):
            text = self.rng.choice(items)
            if not any(seg[0].startswith(text.split("/")[0]) for segs in self.cache.values() for seg in segs if seg[1]):
                break
        if sex and "/" in text:
            return text.split("/")[0 if sex == "m" else 1]
        return text

    def of_person(self, who: str, attr: str) -> list[Seg]:
        rng, p, role = self.rng, self.person(who), self.roles.get(who)
        if attr in NAME_HOWS:
            text, kind = people.named(rng, p, attr)
            return [(text, kind, role)]
        if attr in ("u", "h"):
            user = self.cache.get(f"{who}.user") or [(people.username(rng, p), None, None)]
            self.cache[f"{who}.user"] = user
            return (
                [(user[0][0], "user", None)]
                if attr == "u"
                else [("@" + user[0][0].replace("-", "_").replace(".", "_"), "handle", None)]
            )
        if attr in ("e", "we", "wee", "se"):
            domain = self.domain("2" if attr == "wee" else "") if attr in ("we", "wee") else None
            text = people.email(rng, p, self.language, domain)
            return (
                [(people.spoken(rng, text.lower(), self.language), "email", None)]
                if attr == "se"
                else [(text, "email", None)]
            )
        if attr == "t":
            m, f = self.title.split("/")
            return [(m if p.sex == "m" else f, None, None)]
        if attr == "dr":
            return [
                (
                    {
                        "en": rng.choice(["Dr", "Dr."]),
                        "es": "Dr." if p.sex == "m" else "Dra.",
                        "fr": rng.choice(["Dr", "docteur"]),
                        "de": "Dr.",
                        "it": "dott." if p.sex == "m" else "dott.ssa",
                        "pt": "Dr." if p.sex == "m" else "Dra.",
                        "nl": "dr.",
                    }[self.language],
                    None,
                    None,
                )
            ]
        if attr in ("job", "nat"):
            return [(self.word(attr + "s", "", p.sex), {"job": "job", "nat": "nationality"}[attr], None)]
        if attr == "rel":
            return [(self.word("rels", "", p.sex), "religion", None)]
        raise KeyError(f"unknown attribute of a person: {attr}")

    def of_place(self, who: str, attr: str) -> list[Seg]:
        place = self.place(who)
        if attr == "":
            return [(", ".join(place.lines), "addr", None)]
        if attr == "block":
            return [("\n".join(place.lines), "addr", None)]
        if attr == "st":
            return [(place.street, "street", None)]
        if attr == "pc":
            return [(place.postcode, "postcode", None)]
        if attr == "city":
            return [(place.city, "city", None)]
        if attr == "reg":
            return [(place.region, "region", None)]
        if attr == "co":
            return [
                (
                    places.ABROAD.get(place.country, places.COUNTRY[place.country])
                    if self.language == "en"
                    else places.COUNTRY[place.country],
                    "country",
                    None,
                )
            ]
        raise KeyError(f"unknown attribute of a place: {attr}")

    def of_org(self, index: str, attr: str) -> list[Seg]:
        if attr == "dom":
            return [(self.domain(index), "host", None)]
        if attr == "url":
            return [
                (self.rng.choice(["https://www.", "www.", "https://", "http://"]) + self.domain(index), "url", None)
            ]
        name, kind = self.org(index, attr)
        return [(name, kind, self.roles.get("o" + index))]

    def of_date(self, stem: str, attr: str) -> list[Seg]:
        rng = self.rng
        if stem == "my":
            d = moments.day(rng)
            month = self.words["months"][d.month - 1]
            joined = f"{month} de {d.year}" if self.language in ("es", "pt") else f"{month} {d.year}"
            return [(joined if rng.random() < 0.75 else f"{d.month:02d}/{d.year}", "date", None)]
        if stem == "dob":
            d = moments.day(rng, 2006, 2019) if attr == "kid" else moments.birth(rng)
            attr = "" if attr == "kid" else attr
        else:
            d = self.day
            self.day += dt.timedelta(days=rng.choice([rng.randint(1, 6), rng.randint(3, 30), rng.randint(20, 400)]))
        style = {"sp": "spoken"}.get(attr, attr)
        if not style:
            style = self.birth_style if stem == "dob" else self.style
            if rng.random() < 0.3 or style in ("short", "noyear") and rng.random() < 0.4:
                style = rng.choice(moments.DOB if stem == "dob" else moments.STYLES)
        return [(moments.write(rng, d, self.language, self.country, style), "dob" if stem == "dob" else "date", None)]

    def of_money(self, attr: str, arg: str | None) -> list[Seg]:
        rng = self.rng
        low, high = map(int, arg.split("-")) if arg else rng.choice([(4, 90), (20, 900), (20, 900), (300, 9000)])
        n = rng.randint(low, high)
        if n > 200 and rng.random() < 0.5:
            n = n // 50 * 50
        cents = rng.choice([0, 50, 99, 95, rng.randint(0, 99)])
        if attr == "sp":
            unit = UNITS.get(self.country, "euros")
            return [(f"{n} {unit}", "money", None)]
        english = f"{n:,}"
        dotted = english.replace(",", ".")
        spaced = english.replace(",", " ")
        forms = [f for f in MONEY[self.country] if "{k}" not in f or n >= 2000]
        text = rng.choice(forms)
        for mark, value in (
            ("{c}", f"{english}.{cents:02d}"),
            ("{i}", english),
            ("{k}", str(n // 1000)),
            ("{e}", f"{dotted},{cents:02d}"),
            ("{f}", f"{spaced},{cents:02d}"),
            ("{j}", dotted if self.language != "fr" else spaced),
        ):
            text = text.replace(mark, value)
        return [(text, "money", None)]

    def url(self) -> str:
        rng = self.rng
        tail = rng.choice(
            [
                "",
                f"/orders/{rng.randint(1000, 99999)}",
                f"/u/{people.username(rng, self.person('p'))}",
                f"/reset?token={idents.alnum(rng, 16)}",
                f"/docs/{rng.choice(idents.STEM)}.pdf",
                f"/profile?id={rng.randint(10, 9999)}",
                "/login",
                "/kontakt" if self.language == "de" else "/help",
                f"/t/{idents.alnum(rng, 8)}",
                f"/p/{rng.randint(1, 400)}#reply-{rng.randint(1, 90)}",
            ]
        )
        head = rng.choice(["https://www.", "https://", "http://", "https://portal.", "https://my."])
        return head + self.domain("") + tail

    # the whole frame

    def render(self, text: str) -> list[Seg]:
        text = expand(text, self.rng)
        segs: list[Seg] = []
        pos = 0
        pending = ""

        def put(seg: Seg) -> None:
            nonlocal pending
            if pending and seg[0]:
                first = people.fold(seg[0].lstrip()[:1]).lower()
                vowel = first in "aeiouh" if pending == "d_" else first in "aeiou"
                word = {
                    "d_": "d'" if vowel else "de ",
                    "an_": "an " if vowel else "a ",
                    "An_": "An " if vowel else "A ",
                }[pending]
                segs.append((word, None, None))
                pending = ""
            if seg[0]:
                segs.append(seg)

        for match in SLOT.finditer(text):
            put((text[pos : match.start()], None, None))
            pos = match.end()
            if match["name"] in ("d_", "an_"):
                pending = match["name"]
                continue
            for seg in self.slot(match):
                put(seg)
        put((text[pos:], None, None))
        return dots(segs)


def dots(segs: list[Seg]) -> list[Seg]:
    """No second full stop after a value that ends in one."""
    out: list[Seg] = []
    for text, kind, role in segs:
        if (
            out
            and kind is None
            and out[-1][1]
            and out[-1][0].endswith(".")
            and text.startswith(".")
            and not text.startswith("..")
        ):
            text = text[1:]
        if text:
            out.append((text, kind, role))
    return out
