"""The model in PyTorch: text encoder, label encoder, and the scores between the two.

score(token, class) = hidden(token) · vector(class), where vector is normalised, so that a label that was
frequent in training cannot win by its length. What PyTorch calls a parameter here has the name under which
`graphs` looks for it: `bb.` backbone, `le.` label encoder, `hp` and `proj` projections, `o` outside, `scale`.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

TEMPLATES = ("beginning of {}", "continuation of {}", "end of {}", "complete {}")
PREFIX, SUFFIX = 101, 102
LONGEST_LABEL = 32


@dataclass(frozen=True)
class Shape:
    layers: int = 6
    width: int = 384
    heads: int = 12
    inner: int = 1536
    words: int = 30522
    positions: int = 512


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict(
                    {name: nn.Linear(shape.width, shape.width) for name in ("query", "key", "value")}
                ),
                "output": nn.ModuleDict(
                    {
                        "dense": nn.Linear(shape.width, shape.width),
                        "LayerNorm": nn.LayerNorm(shape.width, eps=1e-12),
                    }
                ),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(shape.width, shape.inner)})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(shape.inner, shape.width), "LayerNorm": nn.LayerNorm(shape.width, eps=1e-12)}
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        own = self.attention["self"]
        query, key, value = (
            own[name](x).view(rows, tokens, self.heads, -1).transpose(1, 2) for name in ("query", "key", "value")
        )
        if x.device.type == "cpu":  # where its way back takes ten times the time in half precision
            with torch.autocast("cpu", enabled=False):
                attended = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=mask)
        else:
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        joined = attended.transpose(1, 2).reshape(rows, tokens, width)
        out = self.attention["output"]
        x = out["LayerNorm"](x + out["dense"](joined))
        wide = F.gelu(self.intermediate["dense"](x))
        return self.output["LayerNorm"](x + self.output["dense"](wide))


class Bert(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(shape.words, shape.width),
                "position_embeddings": nn.Embedding(shape.positions, shape.width),
                "token_type_embeddings": nn.Embedding(2, shape.width),
                "LayerNorm": nn.LayerNorm(shape.width, eps=1e-12),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(shape) for _ in range(shape.layers))})

    def embed(self, ids: Tensor) -> Tensor:
        own = self.embeddings
        positions = own["position_embeddings"].weight[: ids.shape[1]]
        return own["LayerNorm"](own["word_embeddings"](ids) + positions + own["token_type_embeddings"].weight[0])

    def run(self, x: Tensor, mask: Tensor, first: int, last: int, after: "After | None" = None) -> Tensor:
        """`after`: what is done to the states after a layer, by its number."""
        keys = mask[:, None, None, :].bool()
        for number, layer in enumerate(self.encoder["layer"][first:last], first):
            x = layer(x, keys)
            x = after(x, number) if after else x
        return x

    def forward(self, ids: Tensor, mask: Tensor, after: "After | None" = None) -> Tensor:
        return self.run(self.embed(ids), mask, 0, len(self.encoder["layer"]), after)


After = Callable[[Tensor, int], Tensor]


class Injection(nn.Module):
    """VtV of the adaptive family, scaled down: h ← (1 - g) h + g (h Vᵀ) V / N after layers 0, 2 and 4.

    V of a label: the mean over its four texts of the label encoder's states after layers 2, 4 and 6, projected.
    """

    BEHIND = (0, 2, 4)
    TAPPED = (2, 4, 6)
    _LENGTH = 5.0  # of a state before its projection, so that V is felt from the first step on

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Linear(width, width) for _ in self.BEHIND)
        self.alpha = nn.Parameter(torch.full((len(self.BEHIND),), -3.0))

    def of(self, taps: Tensor, counts: Tensor) -> After:
        """taps (rows, labels, points, width), zeros behind a row's own labels; counts (rows)."""
        real = torch.arange(taps.shape[1], device=taps.device)[None] < counts[:, None]
        points = [
            project(F.normalize(taps[:, :, point], dim=-1) * self._LENGTH) * real[..., None]
            for point, project in enumerate(self.project)
        ]

        def after(x: Tensor, layer: int) -> Tensor:
            if layer not in self.BEHIND:
                return x
            point = self.BEHIND.index(layer)
            gate = torch.sigmoid(self.alpha[point])
            seen = (x @ points[point].transpose(1, 2)) @ points[point] / counts.clamp(min=1)[:, None, None]
            return (1 - gate) * x + gate * seen

        return after


class Model(nn.Module):
    """`tuned`: how many of the label encoder's last layers are trained; what the others give is remembered."""

    def __init__(self, shape: Shape, tuned: int = 2, score: str = "normed", vtv: bool = False) -> None:
        super().__init__()
        if vtv and tuned:
            raise ValueError("the label encoder's layers are tapped for VtV: none of them can be trained beside it")
        self.tuned, self.score, self.shape = tuned, score, shape
        self.bb, self.le = Bert(shape), Bert(shape)
        self.hp = nn.Linear(shape.width, shape.width)
        self.proj = nn.Sequential(
            nn.Linear(shape.width, 2 * shape.width), nn.GELU(), nn.Linear(2 * shape.width, shape.width)
        )
        self.o = nn.Parameter(torch.randn(shape.width) * 0.02)
        self.scale = nn.Parameter(torch.tensor(16.0 if score == "cosine" else 1.0 if score == "normed" else 0.1))
        self.injection = Injection(shape.width) if vtv else None
        self._below: dict[str, Tensor] = {}
        self._taps: dict[str, Tensor] = {}
        self._pretrained: dict[str, Tensor] = {}
        self._pretrained_layers: tuple[Layer, ...] = ()  # in a tuple: no part of the checkpoint

    def freeze(self) -> None:
        """Words stay as they were pretrained: rare labels and names profit, and the optimiser is spared half."""
        for bert in (self.bb, self.le):
            bert.embeddings["word_embeddings"].requires_grad_(False)
        self.le.requires_grad_(False)
        for layer in self.le.encoder["layer"][self.shape.layers - self.tuned :]:
            layer.requires_grad_(True)
        last = self.le.encoder["layer"][self.shape.layers - self.tuned :]
        self._pretrained_layers = tuple(copy.deepcopy(layer).requires_grad_(False) for layer in last)

    def read_texts_of(self, other: "Model") -> None:
        """One memory of label texts for both: below the trained layers their label encoders are the same."""
        self._below, self._taps, self._pretrained = other._below, other._taps, other._pretrained

    @property
    def device(self) -> torch.device:
        return self.o.device

    def hidden(self, ids: Tensor, mask: Tensor, after: After | None = None) -> Tensor:
        states = self.hp(self.bb(ids.to(self.device), mask.to(self.device), after))
        if self.score == "cosine":
            states = F.normalize(states, dim=-1)
        return states * self.scale

    def conditioned(self, tokenizer: Tokenizer, asked: Sequence[Sequence[str]]) -> After | None:
        """For `hidden`: what the labels that each row is asked do to its states; None without VtV."""
        if self.injection is None:
            return None
        labels = sorted({label for own in asked for label in own})
        texts = {label: [template.format(label) for template in TEMPLATES] for label in labels}
        self._remember(tokenizer, [text for own in texts.values() for text in own if text not in self._taps])
        of = {label: torch.stack([self._taps[text] for text in own]).mean(0) for label, own in texts.items()}
        nothing = torch.zeros(0, len(Injection.TAPPED), self.shape.width, device=self.device)
        rows = [torch.stack([of[label] for label in own]) if own else nothing for own in asked]
        counts = torch.tensor([len(own) for own in asked], device=self.device)
        return self.injection.of(nn.utils.rnn.pad_sequence(rows, batch_first=True), counts)

    def outside(self) -> Tensor:
        return F.normalize(self.o, dim=-1) if self.score == "cosine" else self.o

    def label_vectors(self, tokenizer: Tokenizer, labels: Sequence[str]) -> Tensor:
        """(labels, 4, width): B, I, E, S of each."""
        sentences = self.sentences(tokenizer, labels)
        vectors = self.proj(F.normalize(sentences, dim=-1))
        if self.score != "dot":
            vectors = F.normalize(vectors, dim=-1)
        return vectors.view(len(labels), 4, -1)

    @torch.no_grad()
    def pretrained(self, tokenizer: Tokenizer, labels: Sequence[str]) -> Tensor:
        """(labels, width): "complete {label}" as the encoder saw it before training, normalised."""
        fresh = [label for label in labels if label not in self._pretrained]
        if fresh:
            texts = [TEMPLATES[-1].format(label) for label in fresh]
            vectors = F.normalize(self._pooled(tokenizer, texts, self._pretrained_layers), dim=-1)
            self._pretrained.update(zip(fresh, vectors, strict=True))
        return torch.stack([self._pretrained[label] for label in labels])

    def sentences(self, tokenizer: Tokenizer, labels: Sequence[str]) -> Tensor:
        texts = [template.format(label) for label in labels for template in TEMPLATES]
        return self._pooled(tokenizer, texts, self.le.encoder["layer"][self.shape.layers - self.tuned :])

    def _pooled(self, tokenizer: Tokenizer, texts: list[str], layers: Iterable[Layer]) -> Tensor:
        self._remember(tokenizer, [text for text in texts if text not in self._below])
        if not self.tuned:  # nothing follows: what is remembered is the mean
            return torch.cat([self._below[text].float() for text in texts])
        order = sorted(range(len(texts)), key=lambda index: len(self._below[texts[index]]))
        pooled: list[Tensor] = []
        for first in range(0, len(order), 128):
            states = [self._below[texts[index]] for index in order[first : first + 128]]
            rows = nn.utils.rnn.pad_sequence([own.float() for own in states], batch_first=True)
            lengths = torch.tensor([len(own) for own in states], device=self.device)
            mask = torch.arange(rows.shape[1], device=self.device)[None] < lengths[:, None]
            for layer in layers:
                rows = layer(rows, mask[:, None, None, :])
            weights = mask[..., None].float()
            pooled.append((rows * weights).sum(1) / weights.sum(1))
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return torch.cat(pooled)[back]

    @torch.no_grad()
    def _remember(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        texts = sorted(set(texts), key=len)
        for first in range(0, len(texts), 128):
            own = texts[first : first + 128]
            ids = [
                [PREFIX, *encoding.ids[: LONGEST_LABEL - 2], SUFFIX]
                for encoding in tokenizer.encode_batch(own, add_special_tokens=False)
            ]
            rows, mask = (own.to(self.device) for own in padded(ids))
            tapped: list[Tensor] = []
            weights = mask[..., None].float()

            def tap(x: Tensor, layer: int, tapped: list[Tensor] = tapped, weights: Tensor = weights) -> Tensor:
                if layer + 1 in Injection.TAPPED:
                    tapped.append((x * weights).sum(1) / weights.sum(1))
                return x

            after = tap if self.injection else None
            with torch.autocast(rows.device.type, enabled=False):  # once for each text, so exactly
                states = self.le.run(self.le.embed(rows), mask, 0, self.shape.layers - self.tuned, after)
            for text, state, row in zip(own, states, ids, strict=True):
                kept = state[: len(row)]
                self._below[text] = (kept if self.tuned else kept.mean(0, keepdim=True)).half().clone()
            if tapped:
                self._taps.update(zip(own, torch.stack(tapped, 1), strict=True))


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return ids, mask
