"""Everything that is trained on or watched during training, as windows of tokens.

In:  the folder of annotated corpora, the folder `dict` of WordNet, the generators of records and lines, our passages.
Out: `Collection`: windows by part, the names of concepts, the shares in which groups are drawn.
"""

import lzma
import pickle
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from tokenizers import Tokenizer

from . import corpora, lines, passages, personal, wordnet
from .examples import Item, Names, Relatives, Text, both_ways, windows

# What share of the tokens a group gets, whatever its size and the length of its texts.
SHARES = {
    "synthetic": 0.08,
    "orchard": 0.18,  # personal data in seven languages, with traps
    "names": 0.05,
    "traps": 0.02,
    "logs": 0.04,
    "passages": 0.32,
    "wordnet": 0.10,
    "multiconer2": 0.08,
    "pii_anon": 0.01,
    "lifebench": 0.01,
    "bio": 0.04,
    "news": 0.03,  # people, places, organisations in tweets, novels and encyclopedia
    "snips": 0.02,
    "cyner": 0.01,
    "tasteset": 0.01,
}
NEWS = ("wnut17", "btc", "litbank", "wikigold")
BIO = ("bio_", "anem")

# Other words for what the corpora annotate; the first is the corpus's own.
SYNONYMS = {
    "person": ["person", "name", "person name", "human", "individual", "full name", "people"],
    "person name": ["person name", "person", "name", "full name", "private person", "name of a person"],
    "organization": ["organization", "organisation", "company", "institution", "company or institution"],
    "organization name": ["organization name", "organization", "company name", "organisation", "company"],
    "location": ["location", "place", "geographical location", "place name"],
    "corporation": ["corporation", "company", "business"],
    "creative work": ["creative work", "work of art", "title of a work"],
    "product": ["product", "product name", "manufactured object"],
    "group of people": ["group of people", "group", "team or band"],
    "geo-political entity": ["geo-political entity", "country, city or state", "political place"],
    "facility": ["facility", "building", "building or facility"],
    "vehicle": ["vehicle", "means of transport"],
    "disease": ["disease", "illness", "medical condition", "disorder"],
    "chemical": ["chemical", "chemical substance", "drug or chemical"],
    "simple chemical": ["simple chemical", "chemical", "small molecule"],
    "gene or gene product": ["gene or gene product", "gene", "gene or protein"],
    "species": ["species", "living species", "organism"],
    "anatomical structure": ["anatomical structure", "body part", "anatomy"],
    "malware": ["malware", "computer virus", "malicious software"],
    "system": ["system", "software system", "platform"],
    "indicator": ["indicator", "indicator of compromise", "technical indicator"],
    "vulnerability": ["vulnerability", "security vulnerability", "CVE id"],
    "medication name": ["medication name", "medication", "drug", "medicine"],
    "health condition": ["health condition", "diagnosis", "medical condition", "disease"],
    "phone number": ["phone number", "telephone number", "phone", "private phone", "contact number"],
    "email address": ["email address", "email", "e-mail", "private email", "mail address"],
    "street address": ["street address", "address", "private address", "postal address"],
    "social security number": ["social security number", "ssn", "SSN"],
    "date of birth": ["date of birth", "birth date", "dob", "birthday"],
    "timestamp": ["timestamp", "date and time", "date or time", "time stamp"],
    "medical record number": ["medical record number", "mrn", "patient record number"],
    "ip address": ["ip address", "IP", "network address"],
    "mac address": ["mac address", "hardware address"],
    "bank account number": ["bank account number", "account number", "account"],
    "national id number": ["national id number", "national id", "identity number"],
    "id number": ["id number", "identification number", "identity number"],
    "job title": ["job title", "occupation", "profession", "job"],
    "username": ["username", "user name", "login"],
    "musical work": ["musical work", "song or album", "piece of music"],
    "visual work": ["visual work", "film or series", "movie"],
    "written work": ["written work", "book or article", "publication"],
    "human settlement": ["human settlement", "city or town", "town", "city"],
    "artist": ["artist", "performer or author"],
    "athlete": ["athlete", "sportsperson", "sports player"],
    "politician": ["politician", "statesman"],
    "medication or vaccine": ["medication or vaccine", "medication", "drug"],
    "food": ["food", "foodstuff", "ingredient"],
    "quantity": ["quantity", "amount"],
    "software": ["software", "computer program"],
}
# litbank marks every phrase that means somebody or some place ("a wife"). Without a name in it, it is only a mention.
MENTIONED = {
    "person": ["mention of a person", "mention of a character", "character in a story", "person mentioned, named or not"],
    "location": ["mention of a place", "place mentioned, named or not"],
    "facility": ["mention of a building", "building or room mentioned"],
    "geo-political entity": ["mention of a country or town", "settlement mentioned"],
    "organization": ["mention of a group or organization", "organization mentioned"],
    "vehicle": ["mention of a vehicle", "vehicle mentioned, named or not"],
}
NO_NAME = frozenset(
    "The A An My His Her Its Our Your Their This That These Those Some Any Every Each No One Two Three Many All Both"
    " Another Such Mr Mrs Ms Miss Dr Sir Madam Lady Lord Master Captain Doctor Aunt Uncle I".split()
)
TITLE = re.compile(r"(?:Mr|Mrs|Ms|Miss|Dr|Messrs|Mme|Madame|Monsieur|Mademoiselle)\b\.?\s+(?=[A-Z])")
# Corpora that mark no personal data, and hold none where a text looks like this.
WITHOUT_PERSONAL_DATA = {"multiconer2", "bio", "snips", "tasteset"}
LIKE_PERSONAL_DATA = re.compile(r"@|\d{5,}|\d[ -]\d{3}")
FAR = tuple(
    personal.PREFIX + concept
    for concept in (
        "phone", "mobile", "email", "dob", "national_id", "passport", "licence", "account", "iban", "card", "ssn", "tax",
        "mrn", "insurance", "plate", "mac", "imei", "password", "api_key", "ip", "customer_no", "employee_no",
    )
)  # fmt: skip
GENERAL_OF_FINE = {"group": "organization"}


# Groups whose annotators looked at the marked words alone.
SPARSE = {"wordnet"}


@dataclass
class Collection:
    train: list[Item]
    dev: dict[str, list[Item]]  # by corpus: held-out documents; `withheld/…`: corpora never trained on
    names: Names
    relatives: Relatives | None
    schemes: list[frozenset[str]] = field(default_factory=list)


@dataclass
class Texts:
    """A collection before it is cut. Packed, it is all that a training on another machine needs beside a pack."""

    train: list[Text] = field(default_factory=list)
    dev: dict[str, list[Text]] = field(default_factory=lambda: defaultdict(list))
    names: Names = field(default_factory=Names)
    relatives: Relatives | None = None
    schemes: list[frozenset[str]] = field(default_factory=list)

    def cut(self, tokenizer: Tokenizer) -> Collection:
        train = [item for sparse, own in _by_kind(self.train) for item in both_ways(tokenizer, own, sparse)]
        dev = {
            name: [item for sparse, own in _by_kind(texts) for item in windows(tokenizer, own, sparse)]
            for name, texts in self.dev.items()
        }
        return Collection(train, dev, self.names, self.relatives, self.schemes)

    def pack(self, file: Path, most: int) -> None:
        """At most so many characters of a group, and as many of all dev sets together: a random part of larger ones."""
        rng = random.Random(0)
        by_group: dict[str, list[Text]] = defaultdict(list)
        for text in self.train:
            by_group[text.group].append(text)
        train = [text for group in sorted(by_group) for text in _at_most(by_group[group], most, rng)]
        dev = {name: _at_most(texts, -(-most // len(self.dev)), rng) for name, texts in self.dev.items()}
        with lzma.open(file, "wb") as out:
            pickle.dump(replace(self, train=train, dev=dev), out)

    @staticmethod
    def unpack(file: Path) -> "Texts":
        """Of a file that this program wrote: what is unpickled can run."""
        with lzma.open(file, "rb") as packed:
            return pickle.load(packed)


def _by_kind(texts: list[Text]) -> list[tuple[bool, list[Text]]]:
    return [(sparse, [text for text in texts if (text.group in SPARSE) == sparse]) for sparse in (False, True)]


def _at_most(texts: list[Text], characters: int, rng: random.Random) -> list[Text]:
    chosen = []
    for text in rng.sample(texts, len(texts)):
        if characters <= 0:
            break
        chosen.append(text)
        characters -= len(text.text)
    return chosen


def gather(corpora_folder: Path | None, wordnet_folder: Path | None, synthetic: int, seed: int) -> Texts:
    """A part that has no folder, or of which no records are wanted, is left out."""
    found = Texts()
    for concept, names in personal.NAMES.items():
        found.names.add(concept, names)
    if corpora_folder:
        _add_corpora(found, corpora_folder)
    if wordnet_folder:
        _add_wordnet(found, wordnet_folder, seed)
    if synthetic:
        _add_synthetic(found, synthetic, seed)
        _add_personal(found, synthetic, seed)
    if corpora_folder or wordnet_folder:
        _add_passages(found)
    return found


def collect(
    tokenizer: Tokenizer, corpora_folder: Path | None, wordnet_folder: Path | None, synthetic: int, seed: int
) -> Collection:
    return gather(corpora_folder, wordnet_folder, synthetic, seed).cut(tokenizer)


def _add_corpora(found: Texts, folder: Path) -> None:
    coarse = {r.text: r for r in corpora.read(folder) if r.corpus == "multiconer2_en_coarse"}
    for record in corpora.read(folder):
        chains: dict[str, tuple[str, ...]] = {label: (label,) for label in record.types}
        if record.corpus.startswith("multiconer2"):
            if record.corpus.endswith("coarse"):
                continue
            text = _mixed(record, coarse[record.text]) if record.text in coarse else None
            if text and record.part == "train":
                found.train.append(_with_far_labels(text))
                continue
        spans = [(e["start"], e["end"], chains[e["label"]]) for e in record.entities]
        text = Text(_group(record.corpus), record.text, spans, tuple(record.types))
        if record.corpus == "litbank" and record.part == "train":
            text = _mentions(text)
        if record.part == "train":
            found.train.append(_with_far_labels(text))
        else:
            found.dev[f"withheld/{record.corpus}" if record.part == "withheld" else record.corpus].append(text)
    for label, names in SYNONYMS.items():
        found.names.add(label, names)
    for names in MENTIONED.values():
        found.names.add(names[0], names)


def _mixed(fine: corpora.Record, coarse: corpora.Record) -> Text:
    """Fine and coarse annotation of one sentence: each span gets both, the fine one first."""
    general = {(e["start"], e["end"]): GENERAL_OF_FINE.get(e["label"], e["label"]) for e in coarse.entities}
    spans = []
    for e in fine.entities:
        own = () if e["label"].startswith("other ") or e["label"] == "organization" else (e["label"],)
        above = general.get((e["start"], e["end"]))
        chain = (*own, above) if above and above not in own else own
        if chain:
            spans.append((e["start"], e["end"], chain))
    types = {one for one in fine.types if not one.startswith("other ")}
    types |= {GENERAL_OF_FINE.get(one, one) for one in coarse.types}
    return Text("multiconer2", fine.text, spans, tuple(sorted(types)))


def _mentions(text: Text) -> Text:
    """Names are what the corpus calls them and mentions too; all else is a mention. A title is no part of a name."""
    spans = []
    for start, end, (label,) in text.spans:
        mention = MENTIONED[label][0]
        words = re.findall(r"[^\W\d_]+", text.text[start:end])
        named = any(word[0].isupper() and word not in NO_NAME for word in words)
        at_the_start = re.search(r"(?:^|[.!?\"'])\s*$", text.text[:start]) is not None
        if at_the_start and len(words) > 1 and not any(word[0].isupper() for word in words[1:]):
            named = False  # its capital is that of the sentence
        title = TITLE.match(text.text, start, end) if named and label == "person" else None
        spans.append((title.end() if title else start, end, (label, mention) if named else (mention,)))
    return replace(text, spans=spans, types=(*text.types, *(MENTIONED[label][0] for label in text.types)))


def _with_far_labels(text: Text) -> Text:
    """Sentences from books, abstracts and commands hold no phone numbers, and are asked for them in vain."""
    if text.group not in WITHOUT_PERSONAL_DATA or LIKE_PERSONAL_DATA.search(text.text):
        return text
    return replace(text, types=(*text.types, *FAR))


def _group(corpus: str) -> str:
    if corpus.startswith(NEWS):
        return "news"
    if corpus.startswith(BIO):
        return "bio"
    return next((group for group in SHARES if corpus.startswith(group)), corpus)


def _add_wordnet(found: Texts, folder: Path, seed: int) -> None:
    net = wordnet.WordNet(folder)
    made = wordnet.texts(net, seed)
    used = {concept for text in made for _, _, chain in text.entities for concept in chain}
    for concept in sorted(used):
        names = net.class_names(concept)
        gloss = " ".join(net.definition(concept).split()[:9])
        # a definition, alone or behind the name, is a name too; some users write one
        described = [f"{names[0]}: {gloss}"] if gloss else []
        found.names.add(concept, [*names, *described])
    parents = {concept: [up for up in net.synsets[concept].up if up in used] for concept in used}
    children: dict[str, list[str]] = defaultdict(list)
    for concept, ups in sorted(parents.items()):
        for up in ups:
            children[up].append(concept)
    found.relatives = Relatives(sorted(used), parents, dict(children))
    texts = [Text("wordnet", text.text, list(text.entities), ()) for text in made]
    random.Random(seed).shuffle(texts)
    found.dev["wordnet"] += texts[:300]
    found.train += texts[300:]


def _add_passages(found: Texts) -> None:
    for name, folder in (("passages", passages.FOLDER), ("later passages", passages.LATER)):
        train, dev = passages.read(folder)
        found.train += train
        found.dev[name] += dev


def _add_synthetic(found: Texts, count: int, seed: int) -> None:
    from . import synthetic  # Faker is needed here alone

    found.schemes.append(synthetic.PRIVACY_FILTER)
    for concept, names in synthetic.NAMES.items():
        found.names.add(concept, names)
    for part, own in (("train", count), ("dev", max(60, count // 40))):
        texts = [Text("synthetic", one.text, one.spans, one.types) for one in synthetic.records(part, own, seed)]
        if part == "train":
            found.train += texts
        else:
            found.dev["synthetic"] += texts


def _add_personal(found: Texts, count: int, seed: int) -> None:
    """As many records of the other generator, and a quarter as many short lines."""
    found.train += [one.text for one in personal.records("train", count, seed)]
    found.train += lines.texts("train", -(-count // 4), seed)
    # a few of every dev frame
    found.dev["orchard"] += [one.text for one in personal.records("dev", -(-count // 10), seed + 1)]
    found.dev["lines"] += lines.texts("dev", -(-count // 40), seed)
