"""What one training example asks: a window of tokens, a set of labels, the right class of each token.

In:  texts whose spans carry a chain of concepts, the most specific first ("physicist", "scientist", "person").
Out: `Example`s: a random set of label names, and for each span the most specific name that was asked for.
Holds: a label is a negative only where the text was annotated for it; a span whose every name was left
       out is "outside"; a span cut by the window's edge is judged neither way.
Does not know: vectors, batches.
"""

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tokenizers import Tokenizer

BEGIN, INSIDE, END, SINGLE = range(4)
IGNORED = -100
WINDOW = 126
# How many labels an example asks at most: one of these. All 55 categories of personal data are asked at once in use.
MOST = (12, 30, 70)
# The share of those examples a scheme fits that ask its labels and no others.
SCHEME_ASKED = 0.3
# Where general labels stand beside specific ones, what is not asked is left to the general one, not to "outside".
NEVER_DROPPED = {"wordnet", "multiconer2"}

Chain = tuple[str, ...]
Span = tuple[int, int, Chain]


@dataclass(frozen=True, slots=True)
class Text:
    """A text before it is cut: spans in code points, each with its chain of concepts."""

    group: str  # what it is drawn with: a corpus or a family of corpora
    text: str
    spans: list[Span]
    types: tuple[str, ...]  # the concepts that it was annotated for


@dataclass(frozen=True, slots=True)
class Item:
    group: str
    ids: list[int]
    spans: list[Span]  # in tokens, end exclusive
    types: tuple[str, ...]
    cut: list[tuple[int, int]] = field(default_factory=list)  # tokens of spans that the edge cuts
    sparse: bool = False  # tokens outside the spans were not looked at by the annotator


@dataclass(frozen=True, slots=True)
class Example:
    ids: list[int]
    labels: list[str]
    spans: list[tuple[int, int, int]]  # start, end, index of the label
    # for each span: names of all it is said to be, so that none of them is taken for a near miss
    also: list[set[str]]
    ignored: list[tuple[int, int]]
    sparse: bool
    open: bool = False  # nobody annotated these labels: right is what the model said that training began with


def windows(tokenizer: Tokenizer, texts: Sequence[Text], sparse: bool = False) -> list[Item]:
    """Cuts texts into windows; a span that no window holds whole is in none of them."""
    items = []
    for first in range(0, len(texts), 1000):
        own = texts[first : first + 1000]
        for text, encoding in zip(
            own, tokenizer.encode_batch([one.text for one in own], add_special_tokens=False), strict=True
        ):
            spans = _token_spans(encoding.offsets, text.spans)
            for at in range(0, len(encoding.ids), WINDOW):
                end = min(at + WINDOW, len(encoding.ids))
                inside = [(s - at, e - at, chain) for s, e, chain in spans if at <= s and e <= end]
                cut = [
                    (max(s, at) - at, min(e, end) - at)
                    for s, e, _ in spans
                    if s < end and e > at and not (at <= s and e <= end)
                ]
                items.append(Item(text.group, encoding.ids[at:end], inside, text.types, cut, sparse))
    return items


def _token_spans(offsets: list[tuple[int, int]], spans: Sequence[Span]) -> list[Span]:
    found = []
    for start, end, chain in spans:
        own = [index for index, (a, b) in enumerate(offsets) if a < end and b > start and b > a]
        if own:
            found.append((own[0], own[-1] + 1, chain))
    return found


# Every ASCII digit as 0: what the model reads where a rule says `reuse = "digits"`.
FOLD = str.maketrans("123456789", "0" * 9)


def both_ways(tokenizer: Tokenizer, texts: Sequence[Text], sparse: bool = False) -> list[Item]:
    """The windows of texts as they are and with their digits folded: half of what is drawn is folded."""
    folded = [replace(text, text=text.text.translate(FOLD)) for text in texts]
    changed = [new.text != old.text for old, new in zip(texts, folded, strict=True)]
    same = windows(tokenizer, [text for text, own in zip(texts, changed, strict=True) if not own], sparse)
    plain = windows(tokenizer, [text for text, own in zip(texts, changed, strict=True) if own], sparse)
    return [*same, *same, *plain, *windows(tokenizer, [new for new, own in zip(folded, changed, strict=True) if own], sparse)]


class Names:
    """What a concept may be called in a label set."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, concept: str, names: Sequence[str]) -> None:
        self._names[concept] = list(dict.fromkeys(names))

    def all(self, concept: str) -> list[str]:
        return self._names.get(concept, [concept])

    def draw(self, concept: str, rng: random.Random) -> str:
        names = self.all(concept)
        return names[0] if len(names) == 1 or rng.random() < 0.4 else rng.choice(names)


class Asker:
    """Draws the label set of an example."""

    def __init__(
        self, names: Names, relatives: "Relatives | None" = None, schemes: Sequence[frozenset[str]] = ()
    ) -> None:
        """`schemes`: label sets that are in use, asked as they are where a text was annotated for all of it."""
        self._names, self._relatives, self._schemes = names, relatives, schemes

    def ask(self, item: Item, rng: random.Random, called: dict[str, str]) -> Example:
        """`called`: the names of concepts that were drawn before; what is drawn here is added."""
        chains = [chain for _, _, chain in item.spans]
        asked = self._scheme(item, rng) or self._some(item, chains, rng)
        names: dict[str, str] = {}  # name -> concept; two concepts of one name cannot be told apart
        for concept in sorted(asked):
            if concept not in called:
                called[concept] = self._names.draw(concept, rng)
            names.setdefault(called[concept], concept)
        labels = list(names)
        rng.shuffle(labels)
        index = {names[label]: number for number, label in enumerate(labels)}
        spans, also, ignored = [], [], list(item.cut)
        for start, end, chain in item.spans:
            chosen = next((concept for concept in chain if concept in index), None)
            if chosen is not None:
                spans.append((start, end, index[chosen]))
                also.append({name for concept in chain for name in self._names.all(concept)})
            elif item.sparse or any(name in names for concept in chain for name in self._names.all(concept)):
                ignored.append((start, end))  # its name stands in the set, for another concept
        return Example(item.ids, labels, spans, also, ignored, item.sparse)

    def _scheme(self, item: Item, rng: random.Random) -> set[str]:
        fitting = [own for own in self._schemes if own <= set(item.types)]
        return set(rng.choice(fitting)) if fitting and rng.random() < SCHEME_ASKED else set()

    def _some(self, item: Item, chains: list[Chain], rng: random.Random) -> set[str]:
        asked = self._positives(chains, rng, item.group)
        free = max(1, rng.choice(MOST) - len(asked))
        return asked | set(self._negatives(item, chains, rng, rng.randint(1, free)))

    def _positives(self, chains: list[Chain], rng: random.Random, group: str) -> set[str]:
        asked: set[str] = set()
        drop = 0.35 if group not in NEVER_DROPPED and rng.random() < 0.4 else 0.0
        for chain in dict.fromkeys(chains):
            if rng.random() < drop:
                continue
            # the specific more often than the general; what is more general may stand beside it
            at = 0
            while at + 1 < len(chain) and rng.random() < 0.35:
                at += 1
            asked.add(chain[at])
            asked |= {concept for concept in chain[at + 1 :] if rng.random() < 0.4}
        return asked

    def _negatives(self, item: Item, chains: list[Chain], rng: random.Random, count: int) -> list[str]:
        if item.sparse and self._relatives:
            return self._relatives.negatives(chains, rng, min(count, 5))
        present = {concept for chain in chains for concept in chain}
        absent = [concept for concept in item.types if concept not in present]
        return rng.sample(absent, min(count, len(absent)))


class Relatives:
    """Near misses and far ones for the classes of WordNet."""

    def __init__(self, pool: Sequence[str], parents: dict[str, list[str]], children: dict[str, list[str]]) -> None:
        self._pool, self._parents, self._children = list(pool), parents, children
        self._usable = set(pool)

    def negatives(self, chains: list[Chain], rng: random.Random, count: int) -> list[str]:
        own = {concept for chain in chains for concept in chain}
        found = []
        for _ in range(count):
            near = rng.random() < 0.45 and chains
            pick = self._sibling(rng.choice(rng.choice(chains)), rng) if near else rng.choice(self._pool)
            if pick and pick not in own:
                found.append(pick)
        return found

    def _sibling(self, concept: str, rng: random.Random) -> str | None:
        parents = self._parents.get(concept)
        others = [one for one in self._children.get(rng.choice(parents), []) if one in self._usable] if parents else []
        return rng.choice(others) if others else None


class Drawer:
    """Draws items: a group by its share of the tokens, in it a concept by its (flattened) frequency, then an item.

    Items without any entity are as frequent as they are in their group: where nothing is, nothing must be found.
    """

    def __init__(self, items: Sequence[Item], shares: dict[str, float], by_label: bool) -> None:
        self._by_label = by_label
        self._items: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            self._items[item.group].append(item)
        unknown = set(self._items) - set(shares)
        if unknown:
            raise ValueError(f"no share for {sorted(unknown)}")
        self._groups = [group for group in shares if group in self._items]
        self._shares = [shares[group] / _mean_length(self._items[group]) for group in self._groups]
        self._bare: dict[str, list[Item]] = {}
        self._holders: dict[str, tuple[list[str], list[float], dict[str, list[Item]]]] = {}
        for group, own in self._items.items():
            holders = defaultdict(list)
            for item in own:
                for concept in {chain[0] for _, _, chain in item.spans}:
                    holders[concept].append(item)
            counts = Counter({concept: len(held) for concept, held in holders.items()})
            concepts = sorted(counts)
            sums = list(itertools.accumulate(counts[one] ** 0.35 for one in concepts))
            self._holders[group] = (concepts, sums, holders)
            self._bare[group] = [item for item in own if not item.spans]

    def draw(self, rng: random.Random, count: int) -> list[Item]:
        return [self._one(group, rng) for group in rng.choices(self._groups, self._shares, k=count)]

    def _one(self, group: str, rng: random.Random) -> Item:
        concepts, sums, holders = self._holders[group]
        if rng.random() * len(self._items[group]) < len(self._bare[group]):
            return rng.choice(self._bare[group])
        if not concepts or not self._by_label or rng.random() < 0.15:
            return rng.choice(self._items[group])
        return rng.choice(holders[rng.choices(concepts, cum_weights=sums)[0]])


def _mean_length(items: Sequence[Item]) -> float:
    return sum(len(item.ids) for item in items) / len(items)
