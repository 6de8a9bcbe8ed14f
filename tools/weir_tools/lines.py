"""Short lines: names wherever one meets them, what stands there without being one, and lines of logs.

In:  lines/*.txt, a template a line in the grammar of ../corpora/orchard; `concepts :: template` where these may be there
     unmarked.
Out: `Text`s as `personal` makes them. Of traps and logs it is certain that they hold no person, address and so on.
Holds: a template is used in train or in dev, never in both.
"""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from . import personal
from .examples import Text

Segment = tuple[str, str | None, str | None]  # text, kind, part played
FOLDER = Path(__file__).parent / "lines"
DEV_EVERY = 8
FILES = ("names", "traps", "logs")
# So often each: two names for a trap, since persons are rarer where nobody looks for them.
SHARES = (0.4, 0.25, 0.35)
# What may be there and nobody marked: trades in passing, the dates, hosts and numbers of a line of a log.
UNMARKED = {
    "names": frozenset("job event product location dept condition date timestamp vehicle".split()),
    "traps": frozenset("job event product location dept condition vehicle".split()),
    "logs": frozenset(
        "date timestamp time host path url product event job dept location device serial uuid token api_key secret"
        " password pin order_no booking_no case_no customer_no employee_no student_no mrn insurance age money ip"
        " language region username handle imei mac vehicle".split()
    ),
}
ABSENT: dict[str, tuple[str, ...]] = {
    "names": (),
    "traps": ("person", "full_name", "given", "family"),
    "logs": (
        "person", "full_name", "given", "family", "address", "street", "phone", "mobile", "fax", "dob", "organisation",
        "company", "city", "postcode", "national_id", "passport", "card", "account",
    ),
}  # fmt: skip


def texts(part: str, count: int, seed: int) -> Iterator[Text]:
    templates = {name: _read(name, part) for name in FILES}
    for number in range(count):
        rng = random.Random(f"lines {part} {seed} {number}")
        name = rng.choices(FILES, SHARES)[0]
        yield make(name, rng.choice(templates[name]), rng)


def make(name: str, template: str, rng: random.Random) -> Text:
    blocked, mark, body = template.partition(" :: ")
    not_known = {*UNMARKED[name], *(blocked.split(",") if mark else ())}
    segs = personal.scribe.Scribe(rng, "en", {}).render((body if mark else template).replace("\\n", "\n").replace("\\t", "\t"))
    if name != "logs":
        segs = _cased(segs, rng)
    text, spans = personal.press.join(segs)
    held = {concept for _, _, kind, role in spans for concept in personal.labels.path(kind, role)}
    sure = ABSENT[name]
    if held & {"person", "address", "phone", "dob"}:
        sure = ()  # what borders on these is not sure, as in any other record
    return personal.text(name, text, spans, not_known, sure)


def _cased(segs: list[Segment], rng: random.Random) -> list[Segment]:
    """As hands write: mostly as it is, sometimes all small, sometimes all capitals."""
    chance = rng.random()
    if chance < 0.2:
        return [(text.lower(), kind, role) for text, kind, role in segs]
    if chance < 0.3:
        return [(text.upper(), kind, role) for text, kind, role in segs]
    return segs


def _read(name: str, part: str) -> list[str]:
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in itertools.dropwhile(lambda line: line.startswith("#"), lines) if line.strip()]
    return [line for line in kept if personal.held_out(line, DEV_EVERY) == (part == "dev")]
