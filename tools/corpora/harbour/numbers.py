"""Numbers with their check digits: cards, bank accounts, identity papers, plates."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from datetime import date
from random import Random

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def fill(rng: Random, pattern: str) -> str:
    """`#` a digit, `%` a digit from 1, `@` a capital letter; the rest as it is."""
    pick = {"#": string.digits, "%": "123456789", "@": LETTERS}
    return "".join(rng.choice(pick[c]) if c in pick else c for c in pattern)


def luhn(digits: str) -> str:
    """The Luhn check digit to write behind `digits`."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def luhn_ok(digits: str) -> bool:
    return luhn(digits[:-1]) == digits[-1]


def weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(d) * w for d, w in zip(digits, weights, strict=False))


def groups(text: str, sizes: Sequence[int], joint: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    if text[at:]:
        parts.append(text[at:])
    return joint.join(p for p in parts if p)


# --- cards

CARDS = [
    ("4", 16),
    ("4", 16),
    ("51", 16),
    ("54", 16),
    ("2221", 16),
    ("2699", 16),
    ("34", 15),
    ("37", 15),
    ("6011", 16),
    ("6759", 16),
]


def card(rng: Random) -> str:
    prefix, length = rng.choice(CARDS)
    body = prefix + fill(rng, "#" * (length - 1 - len(prefix)))
    number = body + luhn(body)
    sizes = [4, 6, 5] if length == 15 else [4, 4, 4, 4]
    return groups(number, sizes, rng.choice([" ", " ", "-", ""]))


# --- bank accounts

BBAN = {
    "GB": "@@@@##############",
    "IE": "@@@@##############",
    "DE": "##################",
    "FR": "#######################",
    "ES": "####################",
    "IT": "@######################",
    "NL": "@@@@##########",
    "BE": "############",
    "AT": "################",
    "CH": "#################",
    "PT": "#####################",
    "PL": "########################",
    "SE": "####################",
    "NO": "###########",
    "DK": "##############",
    "FI": "##############",
    "CZ": "####################",
    "HU": "########################",
    "GR": "#######################",
    "TR": "######################",
    "RO": "@@@@################",
    "HR": "#################",
    "AE": "###################",
    "UA": "#########################",
    "EG": "#########################",
}
DOMESTIC = {
    "GB": ["########"],
    "US": ["##########", "############", "########"],
    "CA": ["#######", "#####-#######"],
    "AU": ["#########", "### ### ###"],
    "NZ": ["0#-####-#######-00"],
    "IN": ["##############", "###########"],
    "NG": ["##########"],
    "KE": ["#############"],
    "GH": ["#############"],
    "ZA": ["##########"],
    "SG": ["###-#####-#"],
    "JP": ["#######"],
    "MX": ["##################"],
    "BR": ["#####-#", "########-#"],
    "AR": ["######################"],
    "KR": ["###-######-##-###"],
    "VN": ["#############"],
}


def iban_check(country: str, bban: str) -> str:
    digits = "".join(str(int(c, 36)) for c in bban + country + "00")
    return f"{98 - int(digits) % 97:02d}"


def iban_ok(text: str) -> bool:
    plain = text.replace(" ", "").upper()
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def iban(rng: Random, country: str) -> str:
    bban = fill(rng, BBAN[country])
    plain = country + iban_check(country, bban) + bban
    style = rng.random()
    if style < 0.55:
        return groups(plain, [4] * 9, " ")
    return plain.lower() if style > 0.96 else plain


def bank_account(rng: Random, country: str) -> str:
    if country in BBAN and (country not in DOMESTIC or rng.random() < 0.6):
        return iban(rng, country)
    return fill(rng, rng.choice(DOMESTIC.get(country, ["##########"])))


# --- national identity numbers

Maker = Callable[[Random, date, bool], str]


def _mod11(digits: str, weights: Sequence[int]) -> int:
    return weighted(digits, weights) % 11


def _again(rng: Random, pattern: str, check: Callable[[str], str | None]) -> str:
    """Digits of `pattern` with the check that `check` gives; None from it means other digits."""
    while True:
        body = fill(rng, pattern)
        mark = check(body)
        if mark is not None:
            return body + mark


def _gb(rng: Random, born: date, female: bool) -> str:
    if rng.random() < 0.6:
        nino = (
            rng.choice("ABCEGHJKLMNPRSTWXYZ")
            + rng.choice("ABCEGHJKLMNPRSTWXYZ")
            + fill(rng, "######")
            + rng.choice("ABCD")
        )
        while nino[:2] in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}:
            nino = rng.choice("ABCEGHJKLMPRSTWXY") + nino[1:]
        return groups(nino, [2, 2, 2, 2, 1], " ") if rng.random() < 0.6 else nino

    def check(body: str) -> str | None:
        rest = 11 - _mod11(body, range(10, 1, -1))
        return None if rest == 10 else str(rest % 11)

    return groups(_again(rng, "%########", check), [3, 3, 4], rng.choice([" ", " ", ""]))


def _us(rng: Random, born: date, female: bool) -> str:
    area = rng.choice([n for n in range(1, 900) if n != 666])
    return groups(
        f"{area:03d}{rng.randint(1, 99):02d}{rng.randint(1, 9999):04d}", [3, 2, 4], rng.choice(["-", "-", "-", " "])
    )


def _ie(rng: Random, born: date, female: bool) -> str:
    body = fill(rng, "%######")
    second = rng.choice(["", "A", "B"])
    total = weighted(body, range(8, 1, -1)) + (9 * " ABCDEFGHI".index(second) if second else 0)
    return body + "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] + second


def _fr(rng: Random, born: date, female: bool) -> str:
    body = f"{2 if female else 1}{born:%y%m}{rng.randint(1, 95):02d}{rng.randint(1, 600):03d}{rng.randint(1, 900):03d}"
    key = f"{97 - int(body) % 97:02d}"
    return groups(body + key, [1, 2, 2, 2, 3, 3, 2], rng.choice([" ", " ", ""]))


def _de(rng: Random, born: date, female: bool) -> str:
    digits = rng.sample(range(10), 9)
    body = digits + [digits[rng.randrange(1, 9)]]
    if body[0] == 0:
        body[0], body[1] = body[1], body[0]
    product = 10
    for digit in body:
        product = (((digit + product) % 10) or 10) * 2 % 11
    return groups("".join(map(str, body)) + str((11 - product) % 10), [2, 3, 3, 3], rng.choice([" ", " ", ""]))


def _es(rng: Random, born: date, female: bool) -> str:
    body = fill(rng, "%#######")
    return body + rng.choice(["", "", "-"]) + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


_CF_ODD = dict(
    zip(
        string.digits + string.ascii_uppercase,
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21]
        + [1, 0, 5, 7, 9, 13, 15, 17, 19, 21]
        + [2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23],
        strict=True,
    )
)


def codice_fiscale_check(body: str) -> str:
    total = sum(_CF_ODD[c] if i % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65) for i, c in enumerate(body))
    return chr(65 + total % 26)


def _it(rng: Random, born: date, female: bool) -> str:
    day = born.day + (40 if female else 0)
    body = (
        fill(rng, "@@@@@@")
        + f"{born:%y}{'ABCDEHLMPRST'[born.month - 1]}{day:02d}"
        + fill(rng, rng.choice("AFGHL") + "###")
    )
    return body + codice_fiscale_check(body)


def _nl(rng: Random, born: date, female: bool) -> str:
    def check(body: str) -> str | None:
        rest = _mod11(body, range(9, 1, -1))
        return None if rest == 10 else str(rest)

    number = _again(rng, "%#######", check)
    return groups(number, [4, 2, 3], ".") if rng.random() < 0.3 else number


def _pl(rng: Random, born: date, female: bool) -> str:
    month = born.month + (20 if born.year >= 2000 else 0)
    body = f"{born:%y}{month:02d}{born.day:02d}{rng.randint(0, 999):03d}{rng.randrange(0 if female else 1, 10, 2)}"
    return body + str(-weighted(body, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)


def _se(rng: Random, born: date, female: bool) -> str:
    body = f"{born:%y%m%d}{rng.randint(10, 99)}{rng.randrange(0 if female else 1, 10, 2)}"
    century = rng.choice(["", "", str(born.year // 100)])
    return century + body[:6] + "-" + body[6:] + luhn(body)


def _no(rng: Random, born: date, female: bool) -> str:
    while True:
        series = rng.randint(500, 749) if born.year >= 2000 else rng.randint(100, 499)
        series -= (series % 2) != (0 if female else 1)
        body = f"{born:%d%m%y}{series:03d}"
        one = -_mod11(body, [3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11
        two = -_mod11(body + str(one), [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11
        if one < 10 and two < 10:
            return body[:6] + rng.choice(["", " "]) + body[6:] + f"{one}{two}"


def _dk(rng: Random, born: date, female: bool) -> str:
    series = rng.randint(400, 999) if born.year >= 2000 else rng.randint(0, 399)
    return f"{born:%d%m%y}-{series:03d}{rng.randrange(0 if female else 1, 10, 2)}"


def _fi(rng: Random, born: date, female: bool) -> str:
    serial = rng.randint(1, 449) * 2 + (0 if female else 1)
    head = f"{born:%d%m%y}"
    mark = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(f"{head}{serial:03d}") % 31]
    return f"{head}{'A' if born.year >= 2000 else '-'}{serial:03d}{mark}"


def _be(rng: Random, born: date, female: bool) -> str:
    serial = rng.randint(1, 498) * 2 - (0 if female else 1)
    body = f"{born:%y%m%d}{serial:03d}"
    key = 97 - int(("2" if born.year >= 2000 else "") + body) % 97
    return f"{body[:2]}.{body[2:4]}.{body[4:6]}-{body[6:]}.{key:02d}" if rng.random() < 0.7 else f"{body}{key:02d}"


def _pt(rng: Random, born: date, female: bool) -> str:
    body = rng.choice("12") + fill(rng, "#######")
    rest = 11 - _mod11(body, range(9, 1, -1))
    return groups(body + str(0 if rest > 9 else rest), [3, 3, 3], rng.choice([" ", ""]))


def _br(rng: Random, born: date, female: bool) -> str:
    body = fill(rng, "%########")
    for _ in range(2):
        rest = _mod11(body, range(len(body) + 1, 1, -1))
        body += str(0 if rest < 2 else 11 - rest)
    return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"


_D = [
    [
        (i + j) % 5 if i < 5 and j < 5 else (i + j) % 5 + 5 if i < 5 else (i - j) % 5 + 5 if j < 5 else (i - j) % 5
        for j in range(10)
    ]
    for i in range(10)
]
_P = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
for _ in range(6):
    _P.append([_P[-1][_P[1][k]] for k in range(10)])


def verhoeff_ok(digits: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _D[check][_P[place % 8][int(digit)]]
    return check == 0


def _in(rng: Random, born: date, female: bool) -> str:
    body = rng.choice("23456789") + fill(rng, "##########")
    number = next(body + d for d in string.digits if verhoeff_ok(body + d))
    return groups(number, [4, 4, 4], rng.choice([" ", " ", ""]))


def _tr(rng: Random, born: date, female: bool) -> str:
    body = fill(rng, "%########")
    n = [int(c) for c in body]
    tenth = (sum(n[0::2]) * 7 - sum(n[1::2])) % 10
    return body + str(tenth) + str((sum(n) + tenth) % 10)


def _za(rng: Random, born: date, female: bool) -> str:
    body = f"{born:%y%m%d}{rng.randint(0, 4999) if female else rng.randint(5000, 9999):04d}08"
    return body + luhn(body)


def _ca(rng: Random, born: date, female: bool) -> str:
    body = rng.choice("1234567") + fill(rng, "#######")
    return groups(body + luhn(body), [3, 3, 3], rng.choice([" ", "-"]))


def _au(rng: Random, born: date, female: bool) -> str:
    weights = [1, 4, 3, 7, 5, 8, 6, 9, 10]
    while True:
        number = fill(rng, "%########")
        if _mod11(number, weights) == 0:
            return groups(number, [3, 3, 3], " ")


def _ch(rng: Random, born: date, female: bool) -> str:
    body = "756" + fill(rng, "#########")
    return groups(body + str(-weighted(body, [1, 3] * 6) % 10), [3, 4, 4, 2], ".")


def _at(rng: Random, born: date, female: bool) -> str:
    while True:
        serial, tail = fill(rng, "%##"), f"{born:%d%m%y}"
        check = (weighted(serial, [3, 7, 9]) + weighted(tail, [5, 8, 4, 2, 1, 6])) % 11
        if check < 10:
            return f"{serial}{check} {tail}"


def _ae(rng: Random, born: date, female: bool) -> str:
    body = f"784{born.year}" + fill(rng, "#######")
    return groups(body + luhn(body), [3, 4, 7, 1], "-")


def _cz(rng: Random, born: date, female: bool) -> str:
    month = born.month + (50 if female else 0)
    while True:
        body = f"{born:%y}{month:02d}{born.day:02d}{rng.randint(1, 999):03d}"
        if int(body) % 11 < 10:
            return body[:6] + "/" + body[6:] + str(int(body) % 11)


def _gr(rng: Random, born: date, female: bool) -> str:
    body = f"{born:%d%m%y}{rng.randint(100, 999)}{rng.randrange(0 if female else 1, 10, 2)}"
    return body + luhn(body)


def _jp(rng: Random, born: date, female: bool) -> str:
    body = fill(rng, "%##########")
    rest = weighted(body, [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11
    return groups(body + str(0 if rest < 2 else 11 - rest), [4, 4, 4], rng.choice([" ", ""]))


def _sg(rng: Random, born: date, female: bool) -> str:
    first = "T" if born.year >= 2000 else "S"
    body = f"{born:%y}" + fill(rng, "#####")
    total = weighted(body, [2, 7, 6, 5, 4, 3, 2]) + (4 if first == "T" else 0)
    return first + body + "JZIHGFEDCBA"[total % 11]


def _kr(rng: Random, born: date, female: bool) -> str:
    century = (4 if female else 3) if born.year >= 2000 else (2 if female else 1)
    body = f"{born:%y%m%d}{century}" + fill(rng, "#####")
    return body[:6] + "-" + body[6:] + str((11 - weighted(body, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11) % 10)


def _nz(rng: Random, born: date, female: bool) -> str:
    def check(body: str) -> str | None:
        rest = _mod11("0" * (8 - len(body)) + body, [3, 2, 7, 6, 5, 4, 3, 2])
        return "0" if rest == 0 else None if rest == 1 else str(11 - rest)

    return groups(_again(rng, "%#######", check), [3, 3, 3], "-")


NATIONAL: dict[str, Maker] = {
    "GB": _gb,
    "US": _us,
    "IE": _ie,
    "FR": _fr,
    "DE": _de,
    "ES": _es,
    "IT": _it,
    "NL": _nl,
    "PL": _pl,
    "SE": _se,
    "NO": _no,
    "DK": _dk,
    "FI": _fi,
    "BE": _be,
    "PT": _pt,
    "BR": _br,
    "IN": _in,
    "TR": _tr,
    "ZA": _za,
    "CA": _ca,
    "AU": _au,
    "CH": _ch,
    "AT": _at,
    "AE": _ae,
    "CZ": _cz,
    "GR": _gr,
    "JP": _jp,
    "SG": _sg,
    "KR": _kr,
    "NZ": _nz,
}
NATIONAL_PLAIN = {
    "KE": "3#######",
    "NG": "%##########",
    "GH": "GHA-#########-#",
    "EG": "",
    "AR": "3#.###.###",
    "MX": "",
    "HU": "### ### ###",
    "VN": "0###########",
    "RO": "",
    "UA": "3#########",
    "HR": "###########",
}


def national_id(rng: Random, country: str, born: date, female: bool) -> str:
    if country in NATIONAL:
        return NATIONAL[country](rng, born, female)
    if country == "EG":
        return f"{3 if born.year >= 2000 else 2}{born:%y%m%d}" + fill(rng, "#######")
    if country == "MX":
        return fill(rng, "@@@@") + f"{born:%y%m%d}" + ("M" if female else "H") + fill(rng, "@@@@@") + fill(rng, "##")
    if country == "RO":
        body = f"{(6 if female else 5) if born.year >= 2000 else (2 if female else 1)}{born:%y%m%d}" + fill(
            rng, "12###"
        )
        rest = _mod11(body, [2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9])
        return body + str(1 if rest == 10 else rest)
    return fill(rng, NATIONAL_PLAIN[country])


# --- passports, licences, plates

PASSPORT = {
    "GB": "5########",
    "US": "A########",
    "CA": "@@######",
    "AU": "PA#######",
    "NZ": "LM######",
    "FR": "2#@@#####",
    "DE": "C@##@####",
    "IE": "P@#######",
    "ES": "XA@######",
    "IT": "Y@#######",
    "NL": "N@###@##%",
    "BE": "E@######",
    "CH": "X#######",
    "AT": "U#######",
    "PT": "C@######",
    "BR": "FX######",
    "IN": "%#######",
    "PL": "EH#######",
    "SE": "9#######",
    "NO": "3#######",
    "DK": "2########",
    "TR": "U########",
    "JP": "T@#######",
    "KR": "M########",
    "SG": "K#######@",
    "NG": "A0#######",
    "GH": "G#######",
    "KE": "AK######",
    "ZA": "A0#######",
    "EG": "A########",
    "MX": "G########",
    "AR": "AA@######",
    "GR": "AN#######",
    "AE": "N########",
}


def passport(rng: Random, country: str) -> str:
    if country == "IN":
        return rng.choice("KLMNPRSTUVZ") + fill(rng, "%#######")
    number = fill(rng, PASSPORT.get(country, "########"))
    return number[:2] + " " + number[2:] if rng.random() < 0.08 else number


def licence(rng: Random, country: str, born: date, female: bool, family: str, initials: str) -> str:
    if country == "GB":
        plain = "".join(c for c in family.upper() if "A" <= c <= "Z")
        month = born.month + (50 if female else 0)
        year = f"{born:%y}"
        tail = f"{year[0]}{month:02d}{born.day:02d}{year[1]}{(initials + '99')[:2]}"
        number = (plain + "99999")[:5] + tail + fill(rng, "9@@")
        return number[:5] + " " + number[5:11] + " " + number[11:] if rng.random() < 0.35 else number
    patterns = {
        "US": ["@#######", "#########", "@###-####-####", "@############", "##-###-####"],
        "CA": ["@####-#####-#####", "#######", "######-###"],
        "FR": ["1#@@#####", "############"],
        "DE": ["B##@##@##@#", "K###@####@#"],
        "IT": ["U1@#####%@", "TO#######@"],
        "ES": ["########-@"],
        "IE": ["###-###-###", "#########"],
        "NL": ["5#########"],
        "AU": ["########", "#########"],
        "IN": ["MH%# 20###00####", "KA-0%20###00####"],
        "PL": ["#####/##/####"],
        "BR": ["0##########"],
        "ZA": ["########@@@@"],
        "NZ": ["@@######"],
        "CH": ["############"],
        "BE": ["##########"],
        "NG": ["@@@#####AA##"],
        "KE": ["DL-#######"],
        "SE": ["######-####"],
        "AT": ["########"],
        "PT": ["L-####### #"],
        "JP": ["############"],
        "TR": ["######"],
        "MX": ["@###########"],
    }
    return fill(rng, rng.choice(patterns.get(country, ["@@#######", "########"])))


PLATES = {
    "GB": ["@@#% @@@", "@@#%@@@", "@%## @@@"],
    "US": ["%@@@###", "@@@-####", "@@@ ####", "###-@@@"],
    "CA": ["@@@@ ###", "@@@ ###"],
    "DE": ["KS-@@ %##", "HRO-@ ####", "WÜ-@@ %###", "HL @@ %##"],
    "FR": ["@@-###-@@", "@@ ### @@"],
    "IT": ["@@ ### @@", "@@###@@"],
    "ES": ["#### B@@", "####F@@"],
    "NL": ["@-###-@@", "%-@@@-##", "@@-##%-@"],
    "IE": ["1#%-C-#####", "191-G-####", "22% D %####"],
    "PL": ["DW #@@##", "LU ####@"],
    "SE": ["@@@ ##%", "@@@ ##@"],
    "NO": ["BT #####"],
    "DK": ["@@ ## ###"],
    "FI": ["@@@-###"],
    "BE": ["1-@@@-###", "2-@@@-###"],
    "CH": ["ZH %#####", "VD ######"],
    "AT": ["G %##@@", "IL ###@"],
    "PT": ["##-@@-##", "@@-##-@@"],
    "BR": ["@@@%@##", "@@@-####"],
    "IN": ["MH %# @@ ####", "KL07@@####", "UP 32 @@ ####"],
    "AU": ["%@@-%@@", "@@@ ##%"],
    "NZ": ["@@@###"],
    "ZA": ["ND ###-###", "@@@ ### GP", "@@ ## @@ L"],
    "NG": ["@@@-###@@"],
    "KE": ["KD@ ###@"],
    "GH": ["AS %###-2#"],
    "TR": ["16 @@@ ##%", "35 @@ ####"],
    "CZ": ["%B# ####"],
    "HU": ["@@@-###"],
    "GR": ["NI@-####"],
    "JP": [],
    "MX": ["@@@-##-##"],
    "AR": ["A@ ### @@"],
    "RO": ["CJ-##-@@@"],
}


def plate(rng: Random, country: str) -> str:
    text = fill(rng, rng.choice(PLATES.get(country) or ["@@ ### @@", "@@-#####"]))
    return text.lower() if rng.random() < 0.06 else text


# --- telephone and network

PHONES = {
    "GB": [
        "07### ######",
        "+44 7### ######",
        "0%%3 ### ####",
        "(01%##) ######",
        "+44 (0)20 7### ####",
        "020 8### ####",
        "07#########",
    ],
    "US": ["(%3#) 555-01##", "%1#-%##-####", "+1 %1# %## ####", "%4#.%##.####", "1-%1#-%##-####", "%1#%######"],
    "CA": ["(%0#) %##-####", "+1 %0#-%##-####", "%0#-%##-####"],
    "IE": ["08% ### ####", "+353 8% ### ####", "(021) 4## ####"],
    "FR": ["06 ## ## ## ##", "+33 6 ## ## ## ##", "02.##.##.##.##", "07########"],
    "DE": ["0151 ########", "+49 17# #######", "0561/######", "(0381) ## ## ##"],
    "ES": ["6## ### ###", "+34 6## ## ## ##", "9%# ## ## ##"],
    "IT": ["3%# #######", "+39 3## ### ####", "035 ######"],
    "NL": ["06-########", "+31 6 ########", "030 ### ## ##"],
    "PL": ["5## ### ###", "+48 6## ### ###", "(71) ### ## ##"],
    "SE": ["07#-### ## ##", "+46 7# ### ## ##"],
    "NO": ["9## ## ###", "+47 4## ## ###"],
    "DK": ["## ## ## ##", "+45 ## ## ## ##"],
    "FI": ["04# ### ####", "+358 4# #######"],
    "BE": ["04## ## ## ##", "+32 4## ## ## ##"],
    "CH": ["07% ### ## ##", "+41 7% ### ## ##"],
    "AT": ["0664 #######", "+43 660 ### ####"],
    "PT": ["9%# ### ###", "+351 9## ### ###"],
    "BR": ["(41) 9####-####", "+55 81 9####-####"],
    "IN": ["9#########", "+91 9#### #####", "0%0-########"],
    "AU": ["04## ### ###", "+61 4## ### ###", "(03) 5### ####"],
    "NZ": ["02% ### ####", "+64 2% ### ####"],
    "ZA": ["08# ### ####", "+27 8# ### ####"],
    "NG": ["080########", "+234 80# ### ####"],
    "KE": ["07## ######", "+254 7## ######"],
    "GH": ["024 ### ####", "+233 24 ### ####"],
    "TR": ["05## ### ## ##", "+90 5## ### ## ##"],
    "GR": ["69## ######", "+30 69# ### ####"],
    "CZ": ["7## ### ###", "+420 7## ### ###"],
    "HU": ["06 30 ### ####", "+36 30 ### ####"],
    "JP": ["090-####-####", "+81 90 #### ####"],
    "KR": ["010-####-####", "+82 10 #### ####"],
    "SG": ["9### ####", "+65 8### ####"],
    "AE": ["05% ### ####", "+971 5% ### ####"],
    "EG": ["010########", "+20 10 #### ####"],
    "MX": ["33 #### ####", "+52 55 #### ####"],
    "AR": ["+54 9 341 ### ####", "0341 15-###-####"],
    "VN": ["09## ### ###", "+84 9# ### ## ##"],
    "RO": ["07## ### ###", "+40 7## ### ###"],
    "UA": ["050 ### ## ##", "+380 67 ### ## ##"],
    "HR": ["09# ### ####", "+385 91 ### ####"],
}


def phone(rng: Random, country: str) -> str:
    return fill(rng, rng.choice(PHONES.get(country, ["+38# ## ### ####"])))


def ip_address(rng: Random) -> str:
    style = rng.random()
    if style < 0.3:
        return f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
    if style < 0.45:
        return f"192.168.{rng.randint(0, 40)}.{rng.randint(2, 254)}"
    if style < 0.8:
        return f"{rng.choice([31, 45, 62, 77, 81, 94, 109, 138, 151, 178, 188, 203, 213])}." + ".".join(
            str(rng.randint(1, 254)) for _ in range(3)
        )
    head = rng.choice(["2001:db8", "2a02:8109", "fe80:", "2a01:4f8", "2c0f:f248"])
    words = ":".join(f"{rng.randint(1, 65535):x}" for _ in range(rng.randint(2, 4)))
    return head + "::" + words if not head.endswith(":") else head + ":" + words
