"""Records of personal data in seven languages, by the generator in ../corpora/orchard, and its values for other texts.

In:  the generator's drafts: texts with kinds of value.
Out: `Text`s whose spans have a chain of concepts, the part a person plays first, and all that is known to be absent.
Holds: a frame is used in train or in dev, never in both. Lists of values and single sentences with traps are in both.
"""

import hashlib
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .examples import Text

sys.path.append(str(Path(__file__).parents[1] / "corpora"))  # the generators are folders of their own, not installed
from orchard import labels, press, scribe  # noqa: E402

GROUP = "orchard"
PREFIX = "orchard:"  # keeps these concepts apart from the older generator's and the corpora's
NAMES = {PREFIX + concept: words for concept, words in labels.CONCEPTS.items()}
DEV_EVERY = 8
ALSO = {"street": ("address",), "fax": ("phone",)}
# What a record with nothing personal is always said not to hold.
NOTHING = tuple(concept for concept, _ in labels.FIXED_ABSENT)


@dataclass(frozen=True)
class Record:
    text: Text
    language: str
    frame: str


def records(part: str, count: int, seed: int) -> Iterator[Record]:
    """Of `count` drafts those of the part."""
    for draft in press.drafts(count, seed, "all"):
        frame = f"{draft.frame.language} {draft.frame.key}"
        if ("dev" if held_out(frame, DEV_EVERY) else "train") == part:
            nothing = NOTHING if draft.frame.flag("none") else ()
            made = text(GROUP, draft.text, draft.spans, draft.forbidden, (*nothing, *draft.also_absent))
            yield Record(made, draft.frame.language, frame)


def held_out(name: str, every: int) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % every == 0


def text(
    group: str,
    content: str,
    spans: Sequence[tuple[int, int, str, str | None]],
    not_known: Collection[str],
    surely_absent: Collection[str],
) -> Text:
    """`not_known`: concepts that may be there unmarked. `surely_absent` are absent even so."""
    chains = [(start, end, chain(kind, role)) for start, end, kind, role in spans]
    present = {concept for _, _, own in chains for concept in own}
    unsure = labels.not_offered([(kind, role) for _, _, kind, role in spans], set(not_known)) | labels.ROLES
    absent = {_called(one) for one in {*labels.CONCEPTS} - unsure | {*surely_absent}} - present
    return Text(group, content, chains, tuple(sorted(present | absent)))


def chain(kind: str, role: str | None) -> tuple[str, ...]:
    """A street alone is an address too, and a fax number is a phone number."""
    concepts = labels.path(kind, role)
    above = [one for concept in concepts for one in (concept, *ALSO.get(concept, ()))]
    return tuple(_called(one) for one in above)


def _called(concept: str) -> str:
    """A frame may name labels of its own as absent."""
    return PREFIX + concept if concept in labels.CONCEPTS else concept.replace("_", " ")
