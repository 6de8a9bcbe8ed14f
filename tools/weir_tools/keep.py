"""What a training must not forget: what the model that it began with says of labels that nobody annotated.

In:  items of running text, the labels of all texts.
Out: `Example`s that ask some of those labels and have no right answers; how far the model has moved from the start's.
Holds: the start is a copy that does not change. Records of personal data are left out: there the start is to be left.
"""

import copy
import random
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from .examples import Example, Item, Names
from .model import Model

# Groups of running text, whose words can be nearly anything.
NATURAL = frozenset({"passages", "multiconer2", "wordnet", "news", "bio", "cyner", "snips", "tasteset", "lifebench"})
# Labels that all such examples of a batch are asked: the more there are, the less each of them shows.
ASKED = 24
# General labels more often than those of one text, but far from as often as they are annotated.
FLATTENED = 0.5


class Pool:
    """Labels that may be asked of any text: what running text was annotated for, by their (flattened) frequency."""

    def __init__(self, items: Sequence[Item], names: Names) -> None:
        counts = Counter(concept for item in items if item.group in NATURAL for concept in _concepts(item))
        self._names = names
        self._concepts = sorted(counts)
        self._weights = [counts[concept] ** FLATTENED for concept in self._concepts]

    def draw(self, rng: random.Random) -> list[str]:
        if not self._concepts:
            return []
        drawn = rng.choices(self._concepts, self._weights, k=ASKED)
        return list(dict.fromkeys(self._names.draw(concept, rng) for concept in drawn))


def _concepts(item: Item) -> set[str]:
    """What stands in the text, and not all that was looked for: personal data is looked for everywhere."""
    return {concept for _, _, chain in item.spans for concept in chain}


def asked(item: Item, labels: list[str]) -> Example:
    return Example(item.ids, labels, [], [], [], item.sparse, open=True)


class Start:
    """The model as it was when training began."""

    def __init__(self, model: Model) -> None:
        self._model = copy.deepcopy(model).requires_grad_(False)
        self._model.read_texts_of(model)

    def distance(
        self, tokenizer: Tokenizer, labels: list[str], ids: Tensor, mask: Tensor, scores: Tensor
    ) -> Tensor:
        """Mean divergence over the tokens of rows that were asked `labels`; `scores`: those of their classes and of O."""
        with torch.no_grad():
            vectors = self._model.label_vectors(tokenizer, labels)
            classes = torch.cat([self._model.outside()[None], vectors.reshape(4 * len(labels), -1)])
            said = F.log_softmax((self._model.hidden(ids, mask)[:, 1:-1] @ classes.T).float(), dim=-1)
        now = F.log_softmax(scores, dim=-1)
        apart = F.kl_div(now, said, reduction="none", log_target=True).sum(-1)
        # a row's last token stands where its suffix is looked for: rows are filled up behind it
        own = mask[:, 2:].to(apart)
        return (apart * own).sum() / own.sum()
