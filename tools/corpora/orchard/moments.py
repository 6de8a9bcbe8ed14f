"""Dates and times in many writings. Nothing depends on today."""

from __future__ import annotations

import datetime as dt
import random

from . import lists

EN_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
EN_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
EN_ORD = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()


def day(rng: random.Random, low: int = 2011, high: int = 2027) -> dt.date:
    start = dt.date(low, 1, 1).toordinal()
    return dt.date.fromordinal(rng.randint(start, dt.date(high, 12, 31).toordinal()))


def birth(rng: random.Random) -> dt.date:
    return day(rng, 1934, 2011)


def en_number(n: int) -> str:
    if n < 20:
        return EN_UNITS[n]
    return EN_TENS[n // 10] + (f" {EN_UNITS[n % 10]}" if n % 10 else "")


def en_ordinal(n: int) -> str:
    if n <= 20:
        return EN_ORD[n - 1]
    return "thirtieth" if n == 30 else f"{EN_TENS[n // 10]} {EN_ORD[n % 10 - 1]}"


def en_year(y: int) -> str:
    if 2000 <= y <= 2009:
        return "two thousand" + (f" and {en_number(y - 2000)}" if y > 2000 else "")
    head, tail = divmod(y, 100)
    return f"{en_number(head)} {en_number(tail) if tail > 9 else 'oh ' + en_number(tail)}"


def suffix(n: int) -> str:
    return "th" if 10 < n % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


STYLES = [
    "iso",
    "slash",
    "dots",
    "dash",
    "long",
    "long",
    "long",
    "abbr",
    "weekday",
    "ordinal",
    "short",
    "noyear",
    "ymd",
    "log",
    "two",
    "monthfirst",
]
DOB = ["iso", "slash", "slash", "dots", "dash", "long", "long", "abbr", "log", "two", "ordinal", "monthfirst"]


def write(rng: random.Random, d: dt.date, language: str, country: str, style: str) -> str:
    words = lists.words(language)
    month, mon = words["months"][d.month - 1], words["mons"][d.month - 1]
    name = words["days"][d.weekday()]
    usa = country == "us"
    if style == "spoken":
        if language == "en":
            if usa:
                return f"{month.lower()} {en_ordinal(d.day)} {en_year(d.year)}"
            return rng.choice(
                [
                    f"the {en_ordinal(d.day)} of {month.lower()} {en_year(d.year)}",
                    f"{en_ordinal(d.day)} {month.lower()} {en_year(d.year)}",
                ]
            )
        if language in ("es", "pt"):
            return f"{d.day} de {month} de {d.year}".lower()
        return f"{d.day} {month} {d.year}".lower()
    if style == "log" and language != "en" and rng.random() < 0.8:
        style = "long"  # the English months of logs are rare in running text of another language
    if style == "iso":
        return d.isoformat()
    if style == "ymd":
        return f"{d:%Y/%m/%d}"
    if style == "compact":
        return f"{d:%Y%m%d}"
    if style == "slash":
        pad = rng.random() < 0.7
        a, b = (d.month, d.day) if usa else (d.day, d.month)
        return f"{a:02d}/{b:02d}/{d.year}" if pad else f"{a}/{b}/{d.year}"
    if style == "two":
        a, b = (d.month, d.day) if usa else (d.day, d.month)
        sep = "." if language == "de" else "/" if language != "nl" else "-"
        return f"{a:02d}{sep}{b:02d}{sep}{d.year % 100:02d}"
    if style == "dots":
        return f"{d.day:02d}.{d.month:02d}.{d.year}" if rng.random() < 0.7 else f"{d.day}.{d.month}.{d.year}"
    if style == "dash":
        return f"{d.month:02d}-{d.day:02d}-{d.year}" if usa else f"{d.day:02d}-{d.month:02d}-{d.year}"
    if style == "log":
        return (
            f"{d.day:02d}-{lists.words('en')['mons'][d.month - 1]}-{d.year}"
            if rng.random() < 0.6
            else f"{d.day:02d} {lists.words('en')['mons'][d.month - 1].upper()} {d.year}"
        )
    if language == "en":
        if style == "long":
            return f"{month} {d.day}, {d.year}" if usa or rng.random() < 0.2 else f"{d.day} {month} {d.year}"
        if style == "monthfirst":
            return f"{month} {d.day}{suffix(d.day)}, {d.year}"
        if style == "abbr":
            return f"{mon} {d.day}, {d.year}" if usa else f"{d.day} {mon} {d.year}"
        if style == "weekday":
            return f"{name}, {month} {d.day}" if usa else f"{name} {d.day} {month} {d.year}"
        if style == "ordinal":
            return (
                f"{d.day}{suffix(d.day)} {month} {d.year}"
                if rng.random() < 0.6
                else f"{d.day}{suffix(d.day)} of {month}, {d.year}"
            )
        if style == "noyear":
            return f"{month} {d.day}{suffix(d.day)}" if usa or rng.random() < 0.3 else f"{d.day} {month}"
        if style == "short":
            return f"{d.month}/{d.day}" if usa else f"{d.day}/{d.month}"
    joined = {
        "es": f"{d.day} de {month} de {d.year}",
        "pt": f"{d.day} de {month} de {d.year}",
        "fr": f"{'1er' if d.day == 1 else d.day} {month} {d.year}",
        "it": f"{'1º' if d.day == 1 else d.day} {month} {d.year}",
        "de": f"{d.day}. {month} {d.year}",
        "nl": f"{d.day} {month} {d.year}",
        "en": "",
    }[language]
    if style in ("long", "ordinal"):
        return joined
    if style == "monthfirst":
        return joined if language != "es" else f"{d.day} de {month} del {d.year}"
    if style == "abbr":
        if language == "de":
            return f"{d.day}. {mon} {d.year}"
        return f"{d.day} {mon} {d.year}"
    if style == "weekday":
        bare = joined.rsplit(" ", 1)[0]
        if language in ("es", "pt"):
            bare = f"{d.day} de {month}"
        comma = {"es": "", "fr": "", "it": "", "nl": "", "pt": ",", "de": ","}[language]
        if language == "de":
            return f"{name}, {d.day}. {month}" if rng.random() < 0.5 else f"{name}, {d.day:02d}.{d.month:02d}.{d.year}"
        return f"{name}{comma} {bare if rng.random() < 0.5 else joined}"
    if style == "noyear":
        if language in ("es", "pt"):
            return f"{d.day} de {month}"
        return (
            f"{d.day}. {month}"
            if language == "de"
            else f"{'1er' if d.day == 1 and language == 'fr' else d.day} {month}"
        )
    if style == "short":
        return (
            f"{d.day:02d}.{d.month:02d}"
            if language == "de"
            else f"{d.day}/{d.month}"
            if language != "nl"
            else f"{d.day}-{d.month}"
        )
    raise ValueError(style)


def clock(rng: random.Random, minutes: int, language: str, country: str) -> str:
    hour, minute = divmod(minutes, 60)
    if language == "en" and rng.random() < (0.85 if country == "us" else 0.5):
        h = hour % 12 or 12
        half = rng.choice(["am", "AM", " a.m", " AM", " am"]) if hour < 12 else rng.choice(["pm", "PM", " PM", " pm"])
        half = half.replace(" a.m", " am")
        if minute == 0 and rng.random() < 0.6:
            return f"{h}{half}"
        return f"{h}{rng.choice([':', ':', '.'])}{minute:02d}{half}"
    if language == "fr" and rng.random() < 0.7:
        return f"{hour}h{minute:02d}" if minute or rng.random() < 0.3 else f"{hour}h"
    if language == "pt" and rng.random() < 0.6:
        return f"{hour}h{minute:02d}" if minute else f"{hour}h"
    if language == "it" and rng.random() < 0.5:
        return f"{hour}.{minute:02d}"
    if language == "nl" and rng.random() < 0.4:
        return f"{hour}.{minute:02d}"
    if language == "de" and rng.random() < 0.25:
        return f"{hour}.{minute:02d}"
    return f"{hour:02d}:{minute:02d}" if rng.random() < 0.5 else f"{hour}:{minute:02d}"


def instant(rng: random.Random) -> dt.datetime:
    d = day(rng, 2016, 2027)
    return dt.datetime(
        d.year, d.month, d.day, rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59), rng.randint(0, 999) * 1000
    )


def stamp(at: dt.datetime, tail: float, style: str) -> str:
    """tail, from 0 to 1, chooses the fraction and the zone: the same for all stamps of a record."""
    mon = lists.words("en")["mons"][at.month - 1]
    name = lists.words("en")["days"][at.weekday()][:3]
    hms = f"{at:%H:%M:%S}"
    milli = f"{at.microsecond // 1000:03d}"

    def pick(*forms: str) -> str:
        return forms[min(int(tail * len(forms)), len(forms) - 1)]

    if style == "iso":
        return f"{at:%Y-%m-%d}T{hms}" + pick("Z", "", f".{milli}Z", "+02:00", "-05:00")
    if style == "space":
        return f"{at:%Y-%m-%d} {hms}" + pick("", f",{milli}", f".{milli}")
    if style == "sys":
        return f"{mon} {at.day:2d} {hms}"
    if style == "web":
        return f"{at.day:02d}/{mon}/{at.year}:{hms} {pick('+0000', '+0200', '-0700')}"
    if style == "http":
        return f"{name}, {at.day:02d} {mon} {at.year} {hms} GMT"
    if style == "win":
        return f"{at:%m/%d/%Y} {at.hour % 12 or 12}:{at:%M:%S} {'AM' if at.hour < 12 else 'PM'}"
    if style == "eu":
        return f"{at:%d.%m.%Y} {hms}"
    if style == "clock":
        return hms + pick("", "", f".{milli}")
    raise ValueError(style)
