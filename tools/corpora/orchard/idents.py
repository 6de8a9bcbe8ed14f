"""Invented numbers of papers, accounts, cards, vehicles and devices, most with the right check digit; secrets."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable

from .places import fill

UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def luhn(body: str) -> str:
    total = 0
    for i, c in enumerate(reversed(body)):
        n = int(c) * (2 if i % 2 == 0 else 1)
        total += n - 9 if n > 9 else n
    return body + str(-total % 10)


def digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(n))


def birthbits(rng: random.Random) -> tuple[int, int, int]:
    return rng.randint(1940, 2006), rng.randint(1, 12), rng.randint(1, 28)


def dni(rng: random.Random) -> str:
    n = rng.randint(10_000_000, 79_999_999)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[n % 23]
    if rng.random() < 0.25:
        n = rng.randint(1_000_000, 9_999_999)
        first = rng.choice("XYZ")
        letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(f"{'XYZ'.index(first)}{n}") % 23]
        return rng.choice([f"{first}{n}{letter}", f"{first}-{n}-{letter}"])
    return rng.choice([f"{n}{letter}", f"{n}-{letter}", f"{n:,}".replace(",", ".") + f"-{letter}", f"{n} {letter}"])


def nir(rng: random.Random) -> str:
    y, m, _ = birthbits(rng)
    place = f"{rng.randint(1, 95):02d}{rng.randint(1, 990):03d}{rng.randint(1, 999):03d}"
    body = f"{rng.choice('12')}{y % 100:02d}{m:02d}{place}"
    key = 97 - int(body) % 97
    if rng.random() < 0.6:
        return f"{body[0]} {body[1:3]} {body[3:5]} {body[5:7]} {body[7:10]} {body[10:]} {key:02d}"
    return f"{body}{key:02d}"


def codice(rng: random.Random) -> str:
    y, m, d = birthbits(rng)
    cons = "BCDFGLMNPRSTVZ"
    body = "".join(rng.choice(cons) for _ in range(6)) + f"{y % 100:02d}{'ABCDEHLMPRST'[m - 1]}"
    body += f"{d + rng.choice([0, 40]):02d}{rng.choice('ABCDFGHL')}{rng.randint(100, 989)}"
    odd = dict(
        zip(
            "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            [
                1,
                0,
                5,
                7,
                9,
                13,
                15,
                17,
                19,
                21,
                1,
                0,
                5,
                7,
                9,
                13,
                15,
                17,
                19,
                21,
                2,
                4,
                18,
                20,
                11,
                3,
                6,
                8,
                12,
                14,
                16,
                10,
                22,
                25,
                24,
                23,
            ],
            strict=True,
        )
    )
    total = sum(odd[c] if i % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65) for i, c in enumerate(body))
    return body + chr(65 + total % 26)


def weighted(body: str, weights: list[int], mod: int) -> int:
    return sum(int(c) * w for c, w in zip(body, weights, strict=True)) % mod


def nif_pt(rng: random.Random) -> str:
    body = rng.choice("12") + digits(rng, 7)
    check = 11 - weighted(body, list(range(9, 1, -1)), 11)
    body += str(0 if check > 9 else check)
    return body if rng.random() < 0.6 else f"{body[:3]} {body[3:6]} {body[6:]}"


def cpf(rng: random.Random) -> str:
    body = digits(rng, 9)
    for start in (10, 11):
        check = weighted(body, list(range(start, 1, -1)), 11)
        body += str(0 if check < 2 else 11 - check)
    return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}" if rng.random() < 0.8 else body


def bsn(rng: random.Random) -> str:
    while True:
        body = digits(rng, 8)
        check = weighted(body, list(range(9, 1, -1)), 11)
        if check < 10 and body[0] != "0":
            return body + str(check) if rng.random() < 0.8 else f"{body[:4]}.{body[4:6]}.{body[6:]}{check}"


def pesel(rng: random.Random) -> str:
    y, m, d = birthbits(rng)
    body = f"{y % 100:02d}{m + (20 if y > 1999 else 0):02d}{d:02d}{digits(rng, 4)}"
    return body + str(-weighted(body, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3], 10) % 10)


def national(rng: random.Random, language: str, country: str) -> str:
    y, m, d = birthbits(rng)
    if rng.random() < 0.12:
        country = rng.choice(["pl", "se", "dk", "bv", "in", "ie", "es", "mx"])
    if country == "es" or (language == "es" and country not in ("mx", "ar")):
        return dni(rng)
    if country == "mx":
        four = "".join(rng.choice("BCDFGLMNPRSTV") + ("AEO"[i % 3] if i == 1 else "") for i in range(3))[:4]
        return (
            f"{four}{y % 100:02d}{m:02d}{d:02d}{rng.choice('HM')}{rng.choice(['DF', 'JC', 'PL', 'OC'])}"
            + "".join(rng.choice("BCDFGLMNPR") for _ in range(3))
            + f"0{rng.randint(1, 9)}"
        )
    if country == "ar":
        return f"{rng.randint(11_000_000, 46_999_999):,}".replace(",", ".")
    if country == "pl":
        return pesel(rng)
    if country == "se":
        body = f"{y % 100:02d}{m:02d}{d:02d}{digits(rng, 3)}"
        return f"{y // 100}{body[:6]}-{luhn(body)[6:]}"
    if country == "dk":
        return f"{d:02d}{m:02d}{y % 100:02d}-{digits(rng, 4)}"
    if country in ("be", "bv"):
        body = f"{y % 100:02d}{m:02d}{d:02d}{rng.randint(1, 997):03d}"
        check = 97 - int(("2" if y > 1999 else "") + body) % 97
        return f"{body[:2]}.{body[2:4]}.{body[4:6]}-{body[6:]}.{check:02d}"
    if country in ("ch", "cr", "ti"):
        return ahv(rng)
    if country == "fr":
        return rng.choice([digits(rng, 12), "".join(rng.choice("BCDFGHJKLMNPRTVWXZ0123456789") for _ in range(9))])
    if country in ("de", "at"):
        return fill(rng, "L#@##@##@") if rng.random() < 0.5 else fill(rng, "L#@##T##@#")
    if country == "it":
        return fill(rng, "CA#####@@") if rng.random() < 0.7 else fill(rng, "A@ #######")
    if country == "pt":
        return f"{rng.randint(1_000_000, 39_999_999):08d} {rng.randint(0, 9)} Z{rng.choice('XYZ')}{rng.randint(0, 9)}"
    if country == "br":
        return f"{rng.randint(10, 59)}.{digits(rng, 3)}.{digits(rng, 3)}-{rng.choice('0123456789X')}"
    if country == "nl":
        return bsn(rng)
    if country == "in":
        return fill(rng, "%### #### ####")
    if country == "ie":
        n = digits(rng, 7)
        return n + "WABCDEFGHIJKLMNOPQRSTUV"[weighted(n, list(range(8, 1, -1)), 23)] + rng.choice(["", "A", "T"])
    return rng.choice([fill(rng, "%########"), fill(rng, "@@######@"), fill(rng, "%###-####-####")])


def ahv(rng: random.Random) -> str:
    body = "756" + digits(rng, 9)
    check = -sum(int(c) * (1 if i % 2 == 0 else 3) for i, c in enumerate(body)) % 10
    return f"756.{body[3:7]}.{body[7:11]}.{body[11]}{check}"


def social(rng: random.Random, language: str, country: str) -> str:
    y, m, d = birthbits(rng)
    if country == "us":
        text = f"{rng.randint(101, 665):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"
        return text if rng.random() < 0.8 else text.replace("-", rng.choice(["", " "]))
    if country == "uk":
        head = rng.choice("ABCEHJKLMN") + rng.choice("ABCEHJKLMPRSTWX")
        text = f"{head} {digits(rng, 2)} {digits(rng, 2)} {digits(rng, 2)} {rng.choice('ABCD')}"
        return text if rng.random() < 0.6 else text.replace(" ", "")
    if country == "ca":
        body = luhn(rng.choice("123456") + digits(rng, 7))
        return f"{body[:3]} {body[3:6]} {body[6:]}" if rng.random() < 0.6 else f"{body[:3]}-{body[3:6]}-{body[6:]}"
    if country == "es" or country == "ar":
        body = f"{rng.randint(1, 50):02d}{digits(rng, 8)}"
        check = int(body) % 97
        return f"{body[:2]}/{body[2:]}/{check:02d}" if rng.random() < 0.5 else f"{body}{check:02d}"
    if country == "mx":
        return digits(rng, 11)
    if language == "fr" and country == "fr":
        return nir(rng)
    if country in ("ch", "cr", "ti"):
        return ahv(rng)
    if country == "de":
        return f"{rng.randint(10, 89)} {d:02d}{m:02d}{y % 100:02d} {rng.choice(UPPER)} {digits(rng, 3)}"
    if country == "at":
        return f"{digits(rng, 4)} {d:02d}{m:02d}{y % 100:02d}"
    if country == "it":
        return codice(rng)
    if country == "pt":
        return rng.choice("12") + digits(rng, 10)
    if country == "br":
        body = "1" + digits(rng, 10)
        return f"{body[:3]}.{body[3:8]}.{body[8:10]}-{body[10]}"
    if country == "nl":
        return bsn(rng)
    if country in ("be", "bv", "pl", "se"):
        return national(rng, language, country)
    if country == "fr":
        return nir(rng)
    return national(rng, language, country)


def tax(rng: random.Random, language: str, country: str, whose: str = "") -> str:
    """The number of a person ("p"), of an organisation ("o"), or either."""
    forms: dict[str, dict[str, Callable[[random.Random], str]]] = {
        "p": {
            "es": dni,
            "it": codice,
            "pt": nif_pt,
            "br": cpf,
            "nl": bsn,
            "de": lambda r: fill(r, r.choice(["%# ### ### ###", "%##########"])),
            "fr": lambda r: fill(r, r.choice(["%# ## ### ### ###", "%############"])),
        },
        "o": {
            "es": lambda r: fill(r, r.choice(["B%#######", "ESB%#######", "B-%#######", "A%#######"])),
            "it": lambda r: fill(r, r.choice(["0%#########", "IT0%#########"])),
            "pt": lambda r: fill(r, r.choice(["5########", "PT5########", "5## ### ###"])),
            "br": lambda r: fill(r, "%#.###.###/0001-##"),
            "nl": lambda r: fill(r, "NL%########B0%"),
            "de": lambda r: fill(r, r.choice(["DE%########", "DE %## ### ###"])),
            "at": lambda r: fill(r, "ATU%#######"),
            "fr": lambda r: fill(r, r.choice(["FR## %## ### ###", "FR##%########"])),
            "be": lambda r: fill(r, "BE 0%##.###.###"),
            "bv": lambda r: fill(r, "BE 0%##.###.###"),
        },
    }
    if country in forms.get(whose, {}):
        return forms[whose][country](rng)
    if country == "us":
        return (
            f"{rng.randint(10, 98)}-{digits(rng, 7)}"
            if rng.random() < 0.6
            else f"9{digits(rng, 2)}-{rng.randint(70, 88)}-{digits(rng, 4)}"
        )
    if country == "uk":
        return rng.choice([digits(rng, 10), fill(rng, "##### #####"), fill(rng, "GB### #### ##")])
    if country == "ie":
        return national(rng, language, "ie")
    if country == "au":
        return fill(rng, "%## ### ###")
    if country == "ca":
        return fill(rng, "%########RT0001")
    if country == "in":
        return fill(rng, "@@@P@####@")
    if country == "es":
        return rng.choice([dni(rng), fill(rng, "B%#######"), fill(rng, "ESB%#######")])
    if country == "mx":
        return (
            fill(rng, "@@@@")
            + f"{rng.randint(50, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
            + fill(rng, "@#@")
        )
    if country == "ar":
        return fill(rng, "20-%#######-#")
    if country == "fr":
        return rng.choice([fill(rng, "%# ## ### ### ###"), fill(rng, "%############"), fill(rng, "FR## %## ### ###")])
    if country == "de":
        return rng.choice(
            [fill(rng, "%# ### ### ###"), fill(rng, "%##########"), fill(rng, "DE%########"), fill(rng, "%#/###/#####")]
        )
    if country == "at":
        return rng.choice([fill(rng, "%# ###/####"), fill(rng, "ATU%#######")])
    if country == "it":
        return codice(rng) if rng.random() < 0.6 else rng.choice(["IT", ""]) + fill(rng, "0%#########")
    if country == "pt":
        return nif_pt(rng)
    if country == "br":
        return cpf(rng) if rng.random() < 0.7 else fill(rng, "%#.###.###/0001-##")
    if country == "nl":
        return rng.choice([fill(rng, "NL%########B0%"), bsn(rng)])
    if country in ("be", "bv"):
        return fill(rng, "BE 0%##.###.###")
    if country in ("ch", "cr", "ti"):
        return fill(rng, "CHE-%##.###.###")
    return fill(rng, "%##-###-##-##")


IBAN = {
    "de": "##################",
    "at": "################",
    "ch": "#################",
    "fr": "##########@############",
    "es": "####################",
    "it": "@######################",
    "pt": "#####################",
    "nl": "@@@@##########",
    "be": "############",
    "ie": "@@@@##############",
    "uk": "@@@@##############",
    "pl": "########################",
    "se": "####################",
}
ISO = {"uk": "GB", "cr": "CH", "ti": "CH", "bv": "BE"}


def iban(rng: random.Random, country: str) -> str:
    base = {"cr": "ch", "ti": "ch", "bv": "be"}.get(country, country)
    if base not in IBAN:
        base = rng.choice(["uk", "ie", "de", "nl", "es", "fr"])
    code = ISO.get(base, base.upper())
    body = fill(rng, IBAN[base])
    if base == "nl":
        body = rng.choice(["WATR", "POLD", "SPKO"]) + body[4:]
    number = "".join(str(int(c, 36)) for c in body + code + "00")
    text = f"{code}{98 - int(number) % 97:02d}{body}"
    if rng.random() < 0.6:
        return " ".join(text[i : i + 4] for i in range(0, len(text), 4))
    return text


def bic(rng: random.Random, country: str) -> str:
    code = ISO.get(country, country.upper())
    return fill(rng, "@@@@") + code + rng.choice(["2L", "21", "MM", "33", "XX", "22"]) + rng.choice(["", "", "XXX"])


def account(rng: random.Random, country: str) -> str:
    pattern = {
        "uk": ["########"],
        "us": ["%#########", "%###########"],
        "br": ["%####-#", "%#####-#"],
        "in": ["%#############"],
        "au": ["%########"],
        "ca": ["%######", "%###-###"],
        "mx": ["01%###############"],
    }.get(country, ["%#########", "%#######", "%## ### ###"])
    return fill(rng, rng.choice(pattern))


def sort_code(rng: random.Random, country: str) -> str:
    if country in ("uk", "ie"):
        return fill(rng, "##-##-##") if rng.random() < 0.8 else fill(rng, "## ## ##")
    if country == "us":
        return fill(rng, "0########")
    if country == "au":
        return fill(rng, "###-###")
    if country == "in":
        return fill(rng, "@@@@0######")
    if country in ("de", "at"):
        return fill(rng, "%## ### ##")
    return fill(rng, "%####")


def card(rng: random.Random) -> str:
    u = rng.random()
    if u < 0.12:
        body = luhn("3" + rng.choice("47") + digits(rng, 12))
        return f"{body[:4]} {body[4:10]} {body[10:]}" if rng.random() < 0.6 else body
    body = (
        luhn(rng.choice(["4", "51", "52", "54", "55", "6011", "2221"]).ljust(4, "3") + digits(rng, 11))
        if rng.random() < 0.4
        else luhn(rng.choice("45") + rng.choice("12345") + digits(rng, 13))
    )
    if u < 0.22:
        mask = rng.choice(["****", "XXXX", "xxxx"])
        sep = rng.choice([" ", "-"])
        return (
            sep.join([mask, mask, mask, body[-4:]])
            if rng.random() < 0.6
            else f"{body[:4]}{sep}{body[4:6]}{mask[:2]}{sep}{mask}{sep}{body[-4:]}"
        )
    return rng.choice([" ", " ", "-", ""]).join(body[i : i + 4] for i in range(0, 16, 4))


def passport(rng: random.Random, country: str) -> str:
    pattern = {
        "us": ["%########", "A########"],
        "uk": ["%########"],
        "ie": ["P@#######"],
        "au": ["P@#######", "N#######"],
        "ca": ["@@######"],
        "in": ["@#######"],
        "es": ["PA@######", "XD@######"],
        "mx": ["G########"],
        "fr": ["##@@#####"],
        "de": ["C@#@####@", "C#@@#@###"],
        "it": ["YA#######", "YB#######"],
        "pt": ["C######", "@######"],
        "br": ["F@######"],
        "nl": ["N@#@@####", "B@@#####%"],
        "pl": ["E@ #######"],
    }.get(country, ["@@#######"])
    return fill(rng, rng.choice(pattern))


def licence(rng: random.Random, country: str) -> str:
    if country == "uk":
        return (
            "".join(rng.choice(UPPER) for _ in range(5))
            + fill(rng, "%")
            + f"{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
            + fill(rng, "#@@9@@")
        )
    pattern = {
        "us": ["@###-####-####", "@########", "########"],
        "de": ["@##%#@####1", "J###XY###42"],
        "fr": ["##%#########"],
        "it": ["U1#@######@", "TO#######@"],
        "nl": ["%#########"],
        "es": ["########@"],
        "pt": ["@-%#####", "L-%###### #"],
        "br": ["###########"],
        "ca": ["@####-#####-#####"],
        "au": ["%########"],
        "in": ["MH%#20##00#####"],
        "ie": ["%########"],
    }.get(country, ["@@#######"])
    return fill(rng, rng.choice(pattern))


PLATE = {
    "us": ["#@@@###", "@@@-####", "@@@ ####", "###-@@@"],
    "uk": ["@@## @@@", "@@##@@@", "@### @@@"],
    "ie": ["##1-D-#####", "##2-G-####"],
    "au": ["#@@-#@@", "@@@-###"],
    "ca": ["@@@@ ###", "@@@-###"],
    "in": ["MH 12 @@ ####", "KA-05-@@-####"],
    "es": ["#### BC@", "####-L@@", "####H@@"],
    "mx": ["@@@-##-##", "@##-@@@"],
    "ar": ["@@ ### @@"],
    "fr": ["@@-###-@@", "@@ ### @@", "@@-###-@@"],
    "be": ["1-@@@-###"],
    "bv": ["1-@@@-###", "2-@@@-###"],
    "ch": ["ZH ######", "BE ######"],
    "cr": ["VD ######", "GE ######"],
    "ti": ["TI ######"],
    "de": ["M-@@ ####", "HH @@ ###", "B-@ ####", "KS-@@ ###", "DD @@ ##"],
    "at": ["G-### @@", "W-##### @"],
    "it": ["@@###@@", "@@ ### @@"],
    "pt": ["##-@@-##", "@@-##-@@"],
    "br": ["@@@#@##", "@@@-####"],
    "nl": ["@@-###-@", "##-@@@-#", "@-###-@@"],
    "pl": ["WA #####"],
    "se": ["@@@ ##@"],
}


def plate(rng: random.Random, country: str) -> str:
    return fill(rng, rng.choice(PLATE[country]))


CARS = [
    "Ford Focus",
    "Toyota Corolla",
    "Renault Clio",
    "VW Golf",
    "Fiat Panda",
    "Seat Ibiza",
    "Peugeot 208",
    "Opel Corsa",
    "Škoda Octavia",
    "Honda Civic",
    "BMW 320d",
    "Volvo V60",
    "Nissan Leaf",
    "Citroën C3",
    "Dacia Duster",
    "Mercedes Vito",
    "Kia Ceed",
    "Mazda MX-5",
    "Chevrolet Tahoe",
    "Hyundai i20",
    "Mini Cooper",
    "Audi A4 Avant",
    "Suzuki Swift",
    "Ford Transit",
    "Yamaha MT-07",
    "Alfa Romeo Giulia",
]
USERS = ["/home/{u}", "/Users/{u}", "/var/www/{u}", "/srv/share/{u}"]
STEM = [
    "report",
    "invoice",
    "export",
    "backup",
    "scan",
    "contract",
    "photo",
    "payroll",
    "notes",
    "settings",
    "dump",
    "letter",
    "thesis",
    "claims",
]
EXT = ["pdf", "csv", "log", "txt", "docx", "xlsx", "jpg", "json", "sql", "zip", "yaml"]
HOSTS = ["db", "web", "srv", "app", "mail", "vpn", "nas", "print", "edge", "build", "cache", "proxy"]


def path(rng: random.Random, user: str | None, windows: bool) -> str:
    stem = rng.choice(STEM) + rng.choice(
        ["", f"_{rng.randint(2015, 2026)}", f"-{rng.randint(1, 99)}", "_final", "_old"]
    )
    ext = rng.choice(EXT)
    if windows:
        root = (
            f"C:\\Users\\{user}"
            if user
            else rng.choice(["D:\\Data", "\\\\fileserver\\shared", "C:\\ProgramData\\Agent", "E:\\backup"])
        )
        return root + "\\" + rng.choice(["Documents", "Desktop", "AppData\\Local", "scans", "out"]) + f"\\{stem}.{ext}"
    root = (
        rng.choice(USERS).format(u=user)
        if user
        else rng.choice(["/var/log", "/opt/app/data", "/etc/agent", "/mnt/storage", "/tmp", "/srv/exports"])
    )
    return root + rng.choice(["", "/docs", "/2024", "/old", "/inbox"]) + f"/{stem}.{ext}"


def host(rng: random.Random, domain: str) -> str:
    name = rng.choice(HOSTS)
    n = rng.randint(1, 24)
    return rng.choice(
        [
            f"{name}-{n:02d}",
            f"{name}{n}",
            f"{name}-{rng.choice(['eu', 'us', 'ap'])}-{n}",
            f"{name}{n:02d}.{domain}",
            f"{name}.{domain}",
            f"{name}-{n}.internal",
            f"{rng.choice(['LAPTOP', 'DESKTOP', 'PC'])}-{fill(rng, '@#@@##@')}",
            f"{name}-{n}.{rng.choice(['lan', 'local', 'corp'])}",
        ]
    )


def ip(rng: random.Random) -> str:
    return rng.choice(
        [
            f"10.{rng.randint(0, 254)}.{rng.randint(0, 254)}.{rng.randint(1, 254)}",
            f"192.168.{rng.randint(0, 99)}.{rng.randint(1, 254)}",
            f"{rng.randint(11, 223)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
            f"172.{rng.randint(16, 31)}.{rng.randint(0, 254)}.{rng.randint(1, 254)}",
        ]
    )


def ip6(rng: random.Random) -> str:

    def part() -> str:
        return f"{rng.randint(1, 65535):x}"

    return rng.choice(
        [
            f"2001:db8:{part()}::{part()}",
            f"fe80::{part()}:{part()}ff:fe{part()[:2]}:{part()}",
            "2a02:" + ":".join(part() for _ in range(7)),
            f"2001:{part()}:{part()}:{part()}::{rng.randint(1, 99)}",
        ]
    )


def mac(rng: random.Random) -> str:
    raw = f"{rng.getrandbits(48):012x}"
    if rng.random() < 0.15:
        return ".".join(raw[i : i + 4] for i in (0, 4, 8))
    text = rng.choice([":", ":", "-"]).join(raw[i : i + 2] for i in range(0, 12, 2))
    return text.upper() if rng.random() < 0.4 else text


def make_uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def imei(rng: random.Random) -> str:
    body = luhn("35" + digits(rng, 12))
    return body if rng.random() < 0.7 else f"{body[:2]}-{body[2:8]}-{body[8:14]}-{body[14]}"


def serial(rng: random.Random) -> str:
    return fill(
        rng, rng.choice(["C02@#@#@@#@#", "SN-########", "@@##@####@", "R58M#####@@", "####-####-@@@@", "@@@#######@"])
    )


def device(rng: random.Random) -> str:
    return rng.choice(
        [
            alnum(rng, 16, "0123456789abcdef"),
            fill(rng, "DEV-####-@@"),
            "d_" + alnum(rng, 12),
            alnum(rng, 24, "0123456789ABCDEF"),
            fill(rng, "@@@@-####-@@##"),
        ]
    )


def vin(rng: random.Random) -> str:
    head = rng.choice(["WVW", "VF1", "1FT", "ZFA", "JTD", "WDB", "VSS", "SAL"])
    return head + "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789") for _ in range(8)) + digits(rng, 6)


PASSWORDS = [
    "kettle",
    "Summer",
    "dragon",
    "Tiger",
    "letmein",
    "Winter",
    "coffee",
    "Sunshine",
    "passw0rd",
    "monkey",
    "Bluebird",
    "Trustno1",
    "amigo",
    "Sommer",
]


def password(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return (
            rng.choice(PASSWORDS)
            + rng.choice(["!", "#", "$", "_", "@", ""])
            + str(rng.randint(1, 2099))
            + rng.choice(["!", "?!", "", "*", ""]).replace("?!", "#")
        )
    chars = string.ascii_letters + string.digits + "!#$%&*+-=@^_"
    body = "".join(rng.choice(chars) for _ in range(rng.randint(7, 14)))
    return rng.choice(string.ascii_letters) + body + rng.choice(string.ascii_letters + string.digits)


def alnum(rng: random.Random, n: int, chars: str = string.ascii_letters + string.digits) -> str:
    return "".join(rng.choice(chars) for _ in range(n))


def api_key(rng: random.Random) -> str:
    # prefixes are put together here so that no scanner takes this file for a leak
    return rng.choice(
        [
            "sk" + "_live_" + alnum(rng, 24),
            "AK" + "IA" + alnum(rng, 16, string.ascii_uppercase + string.digits),
            "gh" + "p_" + alnum(rng, 36),
            "AI" + "za" + alnum(rng, 35),
            alnum(rng, 32, "0123456789abcdef"),
            "key-" + alnum(rng, 32, "0123456789abcdef"),
            "pk" + "_test_" + alnum(rng, 24),
            "SG." + alnum(rng, 22) + "." + alnum(rng, 43),
        ]
    )


def token(rng: random.Random) -> str:
    return rng.choice(
        [
            "eyJhbGciOiJIUzI1NiJ9.eyJ" + alnum(rng, 30) + "." + alnum(rng, 43),
            "xo" + "xb-" + digits(rng, 11) + "-" + alnum(rng, 24),
            alnum(rng, 40),
            alnum(rng, 64, "0123456789abcdef"),
            "ya29." + alnum(rng, 40),
            alnum(rng, 24) + "==",
        ]
    )
