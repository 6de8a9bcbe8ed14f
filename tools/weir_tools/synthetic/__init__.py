"""Invented texts full of personal data, with the place of every value.

In:  phrases.txt (sentences and keys by category), frames.txt (what stands around them), values (Faker).
Out: `Record`s: a text, spans in code points, each with its chain of concepts, and all concepts in question.
Holds: a sentence, key, frame or format is used in train or in dev, never in both; every value is annotated.

A name or an address is annotated whole or by its parts, never both in one record: `scheme` says which.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .values import Value, Values

Chain = tuple[str, ...]
PREFIX = "pii:"  # keeps these concepts apart from the corpora's labels and WordNet's

# Concepts above a category, from the near to the general.
ABOVE: dict[str, Chain] = {
    "fax": ("phone",),
    "iban": ("account_number",),
    "credit_card": ("any_account",),
    "account_number": ("any_account",),
    "date_of_birth": ("date",),
    "password": ("secret",),
    "api_key": ("secret",),
    "pin": ("secret",),
    "cvv": ("secret",),
    "http_cookie": ("secret",),
    "ipv4": ("ip",),
    "ipv6": ("ip",),
    "city": ("location",),
    "state": ("location",),
    "county": ("location",),
    "country": ("location",),
}
SAME = {"iban": "account_number"}  # a slot that is no category of its own
EXTRA_NAMES = {
    "secret": ["secret", "credential", "confidential secret", "password or key"],
    "ip": ["ip address of any version", "network address"],
    "location": ["location", "place", "geographical place"],
    "any_account": ["private account number", "card or account number", "financial account", "payment account number"],
}
# The labels of openai/privacy-filter, by concept.
PRIVACY_FILTER = frozenset(
    PREFIX + name for name in ("any_account", "address", "date", "email", "person", "phone", "url", "secret")
)
WHOLE_ONLY = {"person", "address"}
PARTS_ONLY = {"first_name", "last_name", "street_address"}
NO_PII = "n"


@dataclass(frozen=True)
class Category:
    names: list[str]
    keys: dict[str, list[str]]
    sentences: dict[str, list[str]]


@dataclass(frozen=True)
class Record:
    text: str
    spans: list[tuple[int, int, Chain]]
    types: Chain
    template: str  # what the split keeps together
    scheme: str


def _read_phrases(text: str) -> dict[str, Category]:
    found: dict[str, Category] = {}
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "=":
            name, _, names = rest.partition(" | ")
            own = Category([one.strip() for one in names.split(";")], {}, {"train": [], "dev": []})
            found[name] = own
        elif mark in ("k", "d"):
            own.keys["train" if mark == "k" else "dev"] = [one.strip() for one in rest.split(";")]
        elif mark in ("+", "-"):
            own.sentences["train" if mark == "+" else "dev"].append(rest)
    return found


def _read_frames(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"train": [], "dev": []}
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark in ("+", "-"):
            found["train" if mark == "+" else "dev"].append(rest)
    return found


_HERE = Path(__file__).parent
CATEGORIES = _read_phrases((_HERE / "phrases.txt").read_text(encoding="utf-8"))
FRAMES = _read_frames((_HERE / "frames.txt").read_text(encoding="utf-8"))
NAMES = {PREFIX + name: own.names for name, own in CATEGORIES.items()} | {
    PREFIX + name: names for name, names in EXTRA_NAMES.items()
}
SLOT = re.compile(r"\{(\*|[a-z_0-9]+)\}")
CHOICE = re.compile(r"<([^<>{}]*\|[^<>{}]*)>")
OPTION = re.compile(r"\[([ ,][^\[\]]*)\]")

# How a dev record writes rows of keys and values, and how a training record does.
LAYOUTS = {
    "train": (
        "form", "csv", "json", "pairs", "environment", "sql", "nested", "headers", "card", "dictionary", "columns",
        "inputs", "arrows", "told", "brackets", "properties", "assignments", "lines_of_json", "interview", "record", "headings",
    ),  # fmt: skip
    "dev": ("yaml", "table", "xml", "ini", "bullets", "query"),
}


def scheme_types(scheme: str) -> Chain:
    """Every concept that a record of the scheme is annotated for."""
    left_out = WHOLE_ONLY if scheme == "parts" else PARTS_ONLY
    above = {concept for chain in ABOVE.values() for concept in chain}
    return tuple(PREFIX + name for name in sorted((set(CATEGORIES) | above) - left_out))


def records(part: str, count: int, seed: int) -> Iterator[Record]:
    maker = Maker(part, seed)
    for _ in range(count):
        yield maker.record()


class Maker:
    def __init__(self, part: str, seed: int) -> None:
        self._part = part
        self._rng = random.Random(f"{part} {seed}")
        self._values = Values(self._rng)
        self._names = list(CATEGORIES)
        self._next: list[str] = []

    def record(self, scheme: str | None = None) -> Record:
        rng = self._rng
        scheme = scheme or rng.choice(["parts", "whole"])
        page = _Page(self._values, scheme)
        if rng.random() < 0.27:
            layout = rng.choice(LAYOUTS[self._part])
            self._rows(page, layout)
            template = f"rows {layout}"
        else:
            template = rng.choice(FRAMES[self._part])
            frame = template
            while "{*}" in frame:
                frame = frame.replace("{*}", self._sentence(), 1)
            self._write(page, frame)
        return Record(self._cased(page.text), page.spans, scheme_types(scheme), template, scheme)

    def _category(self) -> str:
        """Each category in turn, in a new order each round: the rare are met as often as the frequent."""
        if not self._next:
            self._next = self._rng.sample(self._names, len(self._names))
        return self._next.pop()

    def _sentence(self) -> str:
        return self._rng.choice(CATEGORIES[self._category()].sentences[self._part])

    def _write(self, page: "_Page", template: str) -> None:
        for index, piece in enumerate(SLOT.split(self._chosen(template).replace("\\n", "\n").replace("\\t", "\t"))):
            if index % 2:
                page.slot(piece)
            else:
                page.plain(self._mistyped(piece))

    def _chosen(self, template: str) -> str:
        template = OPTION.sub(lambda found: found[1] if self._rng.random() < 0.5 else "", template)
        return CHOICE.sub(lambda found: self._rng.choice(found[1].split("|")), template)

    def _cased(self, text: str) -> str:
        """One in sixteen records is all in capitals or has none, as people and old systems write."""
        kind = self._rng.random()
        if kind >= 1 / 16:
            return text
        # a letter that has no counterpart of length one stays as it is: spans must not move
        changed = [letter.upper() if kind < 1 / 32 else letter.lower() for letter in text]
        return "".join(new if len(new) == 1 else old for old, new in zip(text, changed, strict=True))

    def _mistyped(self, text: str) -> str:
        """One in thirty pieces has two letters swapped, one left out or one doubled."""
        if len(text) < 8 or self._rng.random() > 0.033:
            return text
        at = self._rng.randrange(1, len(text) - 2)
        if not text[at].isalpha() or not text[at + 1].isalpha():
            return text
        return self._rng.choice(
            [
                text[:at] + text[at + 1] + text[at] + text[at + 2 :],
                text[:at] + text[at + 1 :],
                text[:at] + text[at] + text[at:],
            ]
        )

    # rows of keys and values

    def _rows(self, page: "_Page", layout: str) -> None:
        rng = self._rng
        categories = list(dict.fromkeys(self._category() for _ in range(rng.randint(2, 7))))
        rows = [(rng.choice(CATEGORIES[name].keys[self._part]), name) for name in categories]
        getattr(self, f"_{layout}")(page, rows)

    def _lines(self, page: "_Page", rows: list[tuple[str, str]], before: str, between: str, after: str) -> None:
        for key, slot in rows:
            page.plain(before + key + between)
            page.slot(slot)
            page.plain(after)
            if self._rng.random() < 0.12:
                page.plain(f"{before}{self._rng.choice(['note', 'status', 'version', 'ref', 'count'])}{between}")
                page.slot(NO_PII)
                page.plain(after)

    def _form(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain(self._rng.choice(["", "REGISTRATION FORM\n", "Intake sheet\n", "== Details ==\n"]))
        named = [(self._rng.choice([key, CATEGORIES[slot].names[0].capitalize()]), slot) for key, slot in rows]
        self._lines(page, named, "", self._rng.choice([": ", ":", " : ", ":\t", " ... "]), "\n")

    def _csv(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        self._separated(page, rows, [",", ";"])

    def _separated(self, page: "_Page", rows: list[tuple[str, str]], marks: list[str]) -> None:
        mark = self._rng.choice(marks)
        page.plain(mark.join(key for key, _ in rows) + "\n")
        for _ in range(self._rng.randint(1, 3)):
            for index, (_, slot) in enumerate(rows):
                page.plain(mark if index else "")
                page.slot(slot)
            page.plain("\n")

    def _json(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("{")
        for index, (key, slot) in enumerate(rows):
            page.plain(f'{", " if index else ""}"{key}": "')
            page.slot(slot)
            page.plain('"')
        page.plain(self._rng.choice(["}", ', "version": "1.4.2"}', ', "ok": true}']))

    def _nested(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain('{\n  "data": {\n')
        for key, slot in rows:
            page.plain(f'    "{key}": "')
            page.slot(slot)
            page.plain('",\n')
        page.plain('    "retries": 3\n  }\n}')

    def _pairs(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain(self._rng.choice(["", "level=info ", "event=update ", "INFO "]))
        quote = self._rng.choice(["", '"'])
        self._lines(page, rows, "", "=" + quote, quote + " ")

    def _environment(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        named = [(re.sub(r"\W", "_", key).upper(), slot) for key, slot in rows]
        self._lines(page, named, self._rng.choice(["", "export "]), "=", "\n")

    def _sql(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain(f"INSERT INTO users ({', '.join(key for key, _ in rows)}) VALUES (")
        for index, (_, slot) in enumerate(rows):
            page.plain(", '" if index else "'")
            page.slot(slot)
            page.plain("'")
        page.plain(");")

    def _headers(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("POST /api/v1/users HTTP/1.1\n")
        self._lines(page, rows, "X-", ": ", "\n")

    def _card(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("BEGIN:VCARD\nVERSION:3.0\n")
        named = [(re.sub(r"\W+", "-", key).upper(), slot) for key, slot in rows]
        self._lines(page, named, self._rng.choice(["", "X-", "item1."]), ":", "\n")
        page.plain("END:VCARD")

    def _dictionary(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain(self._rng.choice(["{", "user = {", "row: {", "DEBUG payload {"]))
        for index, (key, slot) in enumerate(rows):
            page.plain(f"{', ' if index else ''}'{key}': '")
            page.slot(slot)
            page.plain("'")
        page.plain(self._rng.choice(["}", ", 'active': True}", ", 'count': 3, 'tags': None}"]))

    def _columns(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        self._separated(page, rows, ["\t", "    ", "  "])

    def _inputs(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        for key, slot in rows:
            page.plain(f'<input name="{key}" value="')
            page.slot(slot)
            page.plain('">' + self._rng.choice(["", "\n"]))

    def _arrows(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        arrow = self._rng.choice([" -> ", " => ", " --> ", " >> "])
        self._lines(page, rows, self._rng.choice(["", ":", "* "]), arrow, self._rng.choice(["\n", ", ", "; "]))

    def _told(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain(self._rng.choice(["", "For the record, ", "On file: ", "As agreed by phone, "]))
        self._lines(page, rows, self._rng.choice(["the ", "", "your "]), " is ", self._rng.choice([", ", "; ", ". "]))

    def _brackets(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain(self._rng.choice(["", "[INFO] ", "audit: "]))
        self._lines(page, rows, "[", self._rng.choice([":", "=", ": "]), "] ")

    def _properties(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        self._lines(page, rows, self._rng.choice(["user.", "app.contact.", "customer/"]), "=", "\n")

    def _assignments(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        named = [(re.sub(r"\W+", "_", key), slot) for key, slot in rows]
        quote = self._rng.choice(['"', "'"])
        start = self._rng.choice(["user.", "const ", "let ", "self.", "$", ""])
        self._lines(page, named, start, f" = {quote}", quote + self._rng.choice([";\n", "\n"]))

    def _lines_of_json(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        for _ in range(self._rng.randint(2, 3)):
            self._json(page, rows)
            page.plain("\n")

    def _interview(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        before, between = self._rng.choice([("Q: ", "?\nA: "), ("- ", "? - "), ("", "?\n> "), ("Clerk: ", "?\nCaller: ")])
        self._lines(page, rows, before, between, "\n")

    def _record(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain(self._rng.choice(["*************************** 1. row ***************************\n", "-[ RECORD 1 ]-\n"]))
        width = max(len(key) for key, _ in rows)
        aligned = [(key.rjust(width), slot) for key, slot in rows]
        self._lines(page, aligned, "", self._rng.choice([": ", " | "]), "\n")

    def _headings(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        before, between = self._rng.choice([("## ", "\n"), ("**", ":** "), ("<b>", "</b> "), ("_", "_ ")])
        self._lines(page, rows, before, between, "\n")

    def _yaml(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("record:\n")
        self._lines(page, rows, "  ", ": ", "\n")

    def _table(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("| " + " | ".join(key for key, _ in rows) + " |\n")
        for _ in range(self._rng.randint(1, 2)):
            for _, slot in rows:
                page.plain("| ")
                page.slot(slot)
                page.plain(" ")
            page.plain("|\n")

    def _xml(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("<row>")
        for key, slot in rows:
            tag = re.sub(r"\W+", "", key)
            page.plain(f"<{tag}>")
            page.slot(slot)
            page.plain(f"</{tag}>")
        page.plain("</row>")

    def _ini(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("[profile]\n")
        self._lines(page, rows, "", " = ", "\n")

    def _bullets(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("Details as taken down:\n")
        self._lines(page, rows, "• ", " – ", "\n")

    def _query(self, page: "_Page", rows: list[tuple[str, str]]) -> None:
        page.plain("PUT /v3/profile ")
        self._lines(page, rows, "&", "=", "")


class _Page:
    """A text that grows, and the spans in it."""

    def __init__(self, values: Values, scheme: str) -> None:
        self.text = ""
        self.spans: list[tuple[int, int, Chain]] = []
        self._values, self._scheme = values, scheme

    def plain(self, text: str) -> None:
        self.text += text

    def slot(self, slot: str) -> None:
        value: Value = self._values.draw(slot)
        at = len(self.text)
        self.text += value.text
        if slot == NO_PII:
            return
        if slot in PARTS_ONLY and self._scheme == "whole":
            whole = "address" if slot == "street_address" else "person"
            self._span(at, at + len(value.text), whole)
        elif slot in WHOLE_ONLY and self._scheme == "parts":
            for start, end, category in value.parts:
                self._span(at + start, at + end, category)
        else:
            self._span(at + value.title, at + len(value.text), slot)

    def _span(self, start: int, end: int, category: str) -> None:
        chain = dict.fromkeys(
            [SAME.get(category, category), *ABOVE.get(category, ()), *ABOVE.get(SAME.get(category, ""), ())]
        )
        self.spans.append((start, end, tuple(PREFIX + one for one in chain)))
