#!/usr/bin/env python3
"""Shows the output of the examples, and checks it: called by demo.sh. Python's own library is enough;
with pyarrow the tables are looked into as well.

usage: demo.py OUT
"""

import gzip
import json
import os
import re
import sys
import textwrap
from collections import Counter, defaultdict
from pathlib import Path

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    pa = None

INPUT = Path(__file__).parent / "in"
TABLES = (".parquet", ".arrow")

# What must not be in any output. All are found by patterns or the deny list, so that no model
# decides whether the demo passes. The last ones are in records that must become dead letters.
PLANTED = [
    "ana.ruiz@mail.example", "marit@halvorsen.example", "fiona.gallagher@northwind.example",
    "grace.okafor@okafor.example", "leila@haddad.example", "registrar@museum.example", "tanaka@yubin.example",
    "4111 1111 1111 1111", "5555 5555 5555 4444", "378282246310005", "4111111111111111",
    "DE89 3704 0044 0532 0130 00", "FR14 2004 1010 0505 0001 3M02 606", "NO93 8601 1117 947",
    "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG", "ghp_EXAMPLEexample", "eyJhbGciOiJIUzI1NiIs", "BEGIN PRIVATE KEY",
    "078-05-1120", "02:1A:7F:33:9C:D4", "0x52908400098527886E0F", "198.51.100.7 port", "Olu Bankole",
    "mueller@altbau.example", "o.nobody@unrouted.example", "4000 0566 5566 5556", "stray@broken.example",
]
PLANTED_IN_TABLES = ["219-09-9999", "6011 1111 1111 1117", "marchetti@clearwater.example"]

# Names of people that the model finds in what the demo shows, by the part of the input where they stand. They must not
# be in its redactions: a title without its name is a leak.
KNOWN = {
    "acme/prose": [
        "Bennet", "Mrs. Long", "Long has", "Morris", "Bingley", "To Sherlock", "Irene Adler", "Livesey", "Ishmael",
    ],
    "acme/chat": [
        "Ana Ruiz", "Luis Ortega", "Okafor", "Halvorsen", "Imogen", "Priya", "Callum Reid", "Adeyemi", "Fiona Gallagher",
    ],
}

# Documents that are shown: object, and ids or None for the lines with the most kinds of entities.
SHOWN = [
    ("acme/prose/pride-and-prejudice.txt", None),
    ("acme/chat/support.jsonl", ["chat-003", "chat-010", "chat-012", "chat-025"]),
    ("acme/mail/inbox.jsonl", ["mail-007"]),
    ("ops/logs/app.log", None),
    ("ops/logs/sshd.log.gz", None),
    ("shop/orders.jsonl", ["o-1005"]),
    ("clinic/visits.parquet", None),
    ("museum/catalogue.jsonl", ["m-005", "m-007", "m-014", "m-017"]),
]
COLOURS = [33, 36, 35, 32, 34, 91, 93, 96, 95, 92, 94]
WIDTH = 100


class Style:
    def __init__(self) -> None:
        self.on = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.on = self.on or bool(os.environ.get("CLICOLOR_FORCE"))
        self.labels: dict[str, int] = {}

    def paint(self, text: str, *codes: int) -> str:
        return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[0m" if self.on and text else text

    def bold(self, text: str) -> str:
        return self.paint(text, 1)

    def dim(self, text: str) -> str:
        return self.paint(text, 2)

    def mark(self, text: str, label: str, named: bool) -> str:
        """A span: coloured by its label; in brackets where there is no colour."""
        colour = COLOURS[self.labels.setdefault(label, len(self.labels)) % len(COLOURS)]
        name = f"|{label}" if named else ""
        return self.paint(text, 1, colour) + self.paint(name, 2, colour) if self.on else f"«{text}{name}»"


def content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def table(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with pa.OSFile(str(path)) as source:
        return pa.ipc.open_file(source).read_all().to_pylist()


def records_of(path: Path) -> list:
    """Documents of an input file: dict or text for each, None where it is neither."""
    if path.suffix in TABLES:
        return table(path)
    if path.suffix == ".txt":
        return [path.read_text(encoding="utf-8")]
    documents = []
    for line in content(path).rstrip(b"\n").split(b"\n"):
        try:
            text = line.decode()
            documents.append(json.loads(text) if ".jsonl" in path.name else text)
        except ValueError:
            documents.append(None)
    return documents


def value_at(document: object, field: str) -> str | None:
    if not isinstance(document, dict):
        return document
    if not field.startswith("/"):
        return document.get(field)
    for part in field.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        document = document[int(part)] if isinstance(document, list) else document.get(part)
    return document


class Output:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = sorted(path for path in folder.rglob("*") if path.is_file())
        self.entities: dict[str, list[dict]] = defaultdict(list)
        self.entity_file: dict[str, Path] = {}
        for path in self.of("entities"):
            for record in json_lines(path):
                self.entities[record["source"]["object"]].append(record)
                self.entity_file[record["source"]["object"]] = path
        self.dead_letters = [record for path in self.of("dead_letters") for record in json_lines(path)]

    def of(self, kind: str) -> list[Path]:
        return [path for path in self.files if path.relative_to(self.folder).parts[0] == kind]

    def redacted(self, name: str) -> dict[str, object]:
        """Redacted documents of an input object, by document id."""
        stem = str(self.entity_file[name].relative_to(self.folder / "entities"))
        files = self.of("redactions")
        best = max(files, key=lambda path: shared_prefix(str(path.relative_to(self.folder / "redactions")), stem))
        documents = self.entities[name]
        if best.suffix in TABLES:
            rows = table(best)
            return {record["document_id"]: rows[record["source"]["record"]] for record in documents}
        if ".jsonl" in best.name:
            return {str(record["id"]): record for record in json_lines(best)}
        text = content(best).decode()
        if name.endswith(".txt"):
            return {documents[0]["document_id"]: text}
        lines = text.removesuffix("\n").split("\n")
        inputs = len(records_of(INPUT / name))
        if len(lines) == inputs:
            return {record["document_id"]: lines[record["source"]["record"]] for record in documents}
        if len(lines) == len(documents):
            return {record["document_id"]: line for record, line in zip(documents, lines, strict=True)}
        sys.exit(f"error: {best} has {len(lines)} lines, {name} has {inputs} and {len(documents)} of them were delivered")


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in content(path).decode().splitlines() if line]


def shared_prefix(a: str, b: str) -> int:
    return len(os.path.commonprefix([a, b]))


def replaced(before: str, spans: list[dict], after: str, document: object, field: str) -> list[tuple[int, int]] | None:
    """Where each span went. From the record's own list if it has one, else by the text between."""
    if isinstance(document, dict) and "redactions" in document:
        changes = [change for change in document["redactions"] if change["field"] == field]
        places = {(change["source_start"], change["source_end"]): (change["start"], change["end"]) for change in changes}
        return [places.get((span["start"], span["end"])) for span in spans]
    between, at = [], 0
    for span in spans:
        between.append(re.escape(before[at : span["start"]]))
        at = span["end"]
    match = re.fullmatch("(.*?)".join([*between, re.escape(before[at:])]), after, re.DOTALL)
    return [match.span(number + 1) for number in range(len(spans))] if match else None


def marked(text: str, spans: list[tuple[int, int, str]], style: Style, named: bool, window: tuple[int, int]) -> str:
    shown, at = "", window[0]
    for start, end, label in spans:
        if start < window[0] or end > window[1]:
            continue
        shown += text[at:start] + style.mark(text[start:end], label, named)
        at = end
    return (shown + text[at : window[1]]).replace("\n", "⏎")


def show(output: Output, style: Style) -> list[str]:
    problems = []
    for name, ids in SHOWN:
        if name not in output.entities:
            problems.append(f"no entities of {name}")
            continue
        if name.endswith(TABLES) and pa is None:
            continue
        print("\n" + style.bold(name))
        inputs, after_by_id = records_of(INPUT / name), output.redacted(name)
        for record in chosen(output.entities[name], ids):
            document = inputs[record["source"].get("record") or 0]
            redacted = after_by_id[record["document_id"]]
            fields: dict[str, list[dict]] = defaultdict(list)
            for entity in record["entities"]:
                fields[entity["field"]].append(entity)
            for field, spans in fields.items():
                before, after = value_at(document, field), value_at(redacted, field)
                if before is None or after is None:
                    problems.append(f"{name}: no field {field} in document {record['document_id']}")
                    continue
                places = replaced(before, spans, after, redacted, field)
                if places is None or None in places:
                    problems.append(f"{name}: text outside of the entities changed in document {record['document_id']}")
                    continue
                where = record["document_id"] if ids else ""
                show_field(style, where, field, before, after, spans, places)
    return problems


def chosen(records: list[dict], ids: list[str] | None) -> list[dict]:
    if ids:
        return [record for record in records if record["document_id"] in ids]
    # One for each set of labels, the richest first.
    seen: dict[frozenset, dict] = {}
    for record in records:
        seen.setdefault(frozenset(entity["label"] for entity in record["entities"]), record)
    return [record for labels, record in sorted(seen.items(), key=lambda item: -len(item[0])) if labels][:6]


def show_field(style: Style, where: str, field: str, before: str, after: str, spans: list[dict], places: list) -> None:
    title = " ".join(part for part in (where, "" if field == "text" else field) if part)
    pairs = list(zip(spans, places, strict=True))
    shown = 0
    for start, end in lines_of(before):
        inside = [(span, place) for span, place in pairs if start <= span["start"] and span["end"] <= end]
        if not inside or shown == 4:
            continue
        shown += 1
        # The line after redaction begins and ends as far from its first and last span.
        first, last = inside[0], inside[-1]
        window = (first[1][0] - (first[0]["start"] - start), last[1][1] + (end - last[0]["end"]))
        if title:
            print("  " + style.dim(title))
        print("  - " + marked(before, [(s["start"], s["end"], s["label"]) for s, _ in inside], style, True, (start, end)))
        print("  + " + marked(after, [(*p, s["label"]) for s, p in inside], style, False, window))


def lines_of(text: str) -> list[tuple[int, int]]:
    """Lines, and sentences of a long line."""
    found = []
    for line in re.finditer(r"[^\n]+", text):
        if len(line[0]) < 260:
            found.append(line.span())
            continue
        at = line.start()
        for stop in re.finditer(r"[.;?!] ", line[0]):
            found.append((at, line.start() + stop.end()))
            at = line.start() + stop.end()
        found.append((at, line.end()))
    return found


def summary(output: Output, style: Style) -> None:
    print("\n" + style.bold("Summary"))
    tenants: dict[str, list[dict]] = defaultdict(list)
    for records in output.entities.values():
        for record in records:
            tenants[record["tenant"]].append(record)
    print(style.dim(f"  {'tenant':8} {'documents':>9} {'entities':>9} {'by model':>9} {'by pattern':>11}   labels"))
    for tenant, records in sorted(tenants.items()):
        entities = [entity for record in records for entity in record["entities"]]
        by_model = sum(entity["recognizer"] == "model" for entity in entities)
        labels = ", ".join(f"{label} {count}" for label, count in Counter(e["label"] for e in entities).most_common())
        head = f"  {tenant:8} {len(records):9,} {len(entities):9,} {by_model:9,} {len(entities) - by_model:11,}   "
        print(textwrap.fill(head + labels, WIDTH, subsequent_indent=" " * len(head)))
    documents = sum(map(len, tenants.values()))
    entities = sum(len(record["entities"]) for records in tenants.values() for record in records)
    print(style.bold(f"  {'all':8} {documents:9,} {entities:9,}"))
    print("\n" + style.bold("Dead letters"))
    for (code, stage), count in sorted(Counter((letter["code"], letter["stage"]) for letter in output.dead_letters).items()):
        places = [place(letter["source"]) for letter in output.dead_letters if letter["code"] == code]
        print(f"  {code:16} {stage:8} {count:3}   {', '.join(places[:4])}")
    print("\n" + style.bold("Files"))
    for kind in ("entities", "redactions", "dead_letters"):
        files = output.of(kind)
        print(f"  {kind:14} {len(files):3} files {sum(path.stat().st_size for path in files):9,} bytes   {output.folder / kind}")


def place(source: dict) -> str:
    return source["object"] + (f":{source['record']}" if source.get("record") is not None else "")


def lost(output: Output) -> list[str]:
    """Every input record is delivered or a dead letter, once."""
    problems = []
    for path in sorted(path for path in INPUT.rglob("*") if path.is_file()):
        name = path.relative_to(INPUT).as_posix()
        if path.suffix in TABLES and pa is None:
            continue
        dead = [letter for letter in output.dead_letters if letter["source"]["object"] == name]
        whole = any(letter["source"].get("record") is None for letter in dead)
        found, expected = len(output.entities[name]) + len(dead), len(records_of(path))
        if found != expected and not (whole and not output.entities[name]):
            problems.append(f"{name}: {expected} records in, {found} accounted for")
    codes = {letter["code"] for letter in output.dead_letters}
    if codes != {"not_json", "not_utf8", "unknown_tenant"}:
        problems.append(f"dead letters have the codes {sorted(codes)}, not not_json, not_utf8 and unknown_tenant")
    return problems


def leaks(output: Output) -> list[str]:
    """Planted values in any output file. A value that is not in the input would prove nothing."""
    problems = []
    inputs = "\n".join(searchable(path) for path in INPUT.rglob("*") if path.is_file())
    values = PLANTED + (PLANTED_IN_TABLES if pa else [])
    problems += [f"planted value {number} is not in the input" for number, value in enumerate(values) if value not in inputs]
    for path in output.files:
        # The museum's policy asks for the values in its entity records (emit_text): that is what they are for.
        if "entities/museum" in path.as_posix():
            continue
        text = searchable(path)
        # Numbers only: the value itself would go to the terminal, and to a log.
        problems += [f"planted value {number} is in {path}" for number, value in enumerate(values) if value in text]
    return problems


def known_names(output: Output) -> list[str]:
    """Known names in the redactions of what is shown."""
    problems = []
    for part, names in KNOWN.items():
        inputs = "\n".join(searchable(path) for path in (INPUT / part).iterdir())
        redacted = [path for path in output.of("redactions") if part in path.as_posix()]
        text = "\n".join(map(searchable, redacted))
        if not redacted:
            problems.append(f"no redactions of {part}")
        for number, name in enumerate(names):
            if name not in inputs:
                problems.append(f"known name {number} is not in {part}")
            if name in text:
                problems.append(f"known name {number} of {part} is in its redactions")
    return problems


def searchable(path: Path) -> str:
    if path.suffix in TABLES:
        return "\n".join(str(value) for row in table(path) for value in row.values()) if pa else ""
    return content(path).decode(errors="replace")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    output, style = Output(Path(sys.argv[1])), Style()
    problems = show(output, style)
    summary(output, style)
    problems += lost(output) + leaks(output) + known_names(output)
    print("\n" + style.bold("Checks"))
    if pa is None:
        print("  tables not looked into: python3 has no pyarrow")
    for problem in problems:
        print(style.paint(f"  failed: {problem}", 31))
    if problems:
        sys.exit(1)
    count = len(PLANTED) + (len(PLANTED_IN_TABLES) if pa else 0)
    names = sum(map(len, KNOWN.values()))
    text = f"  {count} planted values and {names} known names, none in the output; every record delivered or dead-lettered"
    print(style.paint(text, 32))


if __name__ == "__main__":
    main()
