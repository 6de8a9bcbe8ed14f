"""The large models in plain numpy, a layer's tensors at a time: the yardstick that an export is checked against.

In:  checkpoints as `checkpoint` reads them; rows of token ids, each run by itself, so there is no padding.
Out: hidden states of the mixture of experts, with or without what the adaptive family conditions it on; CLS states of
     XLM-RoBERTa after the layers that are asked for.
Written from the architectures' descriptions and not from `mixture` or `bert`; tests hold it against transformers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .checkpoint import Checkpoint
from .mixture import INJECTED, Shape

Read = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class Conditions:
    """Of one row: V of its labels at each point, (points, labels, width), and the gates, sigmoid(alpha)."""

    v: np.ndarray
    gates: Sequence[float]


@dataclass(frozen=True)
class Hidden:
    states: np.ndarray
    # The least distance between the last expert that was chosen and the first that was not: where it is of the size
    # of rounding errors, another expert is as right.
    narrowest: float


def mixture(
    checkpoint: Checkpoint, rows: Sequence[Sequence[int]], conditions: Sequence[Conditions | None] | None = None
) -> list[Hidden]:
    shape = Shape.of(checkpoint.config)
    asked = conditions or [None] * len(rows)
    words = checkpoint.tensor("model.embed_tokens.weight", shape.vocabulary, shape.width)
    states = [words[list(row)] for row in rows]
    del words
    narrowest = [math.inf] * len(rows)
    for layer in range(shape.layers):
        attention, experts = _attention(checkpoint, shape, layer), _experts(checkpoint, shape, layer)
        for index, x in enumerate(states):
            x = attention(x)
            x, gap = experts(x)
            narrowest[index] = min(narrowest[index], gap)
            own = asked[index]
            if own is not None and layer in INJECTED and own.v.shape[1]:
                point = INJECTED.index(layer)
                v, gate = own.v[point], own.gates[point]
                x = (1 - gate) * x + gate * (x @ v.T @ v / len(v))
            states[index] = x
    gain = checkpoint.tensor("model.norm.weight", shape.width)
    return [Hidden(_rms(x, gain, shape), gap) for x, gap in zip(states, narrowest, strict=True)]


def logits(checkpoint: Checkpoint, hidden: np.ndarray, classes: int) -> np.ndarray:
    weight = checkpoint.tensor("score.weight", classes, hidden.shape[-1])
    return hidden @ weight.T + checkpoint.tensor("score.bias", classes)


def _attention(checkpoint: Checkpoint, shape: Shape, layer: int) -> Callable[[np.ndarray], np.ndarray]:
    at = f"model.layers.{layer}"
    wide, narrow = shape.heads * shape.head, shape.key_heads * shape.head
    sizes = {"q": (wide, shape.width), "k": (narrow, shape.width), "v": (narrow, shape.width), "o": (shape.width, wide)}
    dense = {
        part: (
            checkpoint.tensor(f"{at}.self_attn.{part}_proj.weight", *size),
            checkpoint.tensor(f"{at}.self_attn.{part}_proj.bias", size[0]),
        )
        for part, size in sizes.items()
    }
    gain = checkpoint.tensor(f"{at}.input_layernorm.weight", shape.width)
    sinks = checkpoint.tensor(f"{at}.self_attn.sinks", shape.heads)

    def run(x: np.ndarray) -> np.ndarray:
        normed, count = _rms(x, gain, shape), len(x)
        query, key, value = (
            (normed @ dense[part][0].T + dense[part][1]).reshape(count, -1, shape.head).transpose(1, 0, 2)
            for part in "qkv"
        )
        query, key = _turned(query, shape), _turned(key, shape)
        shared = shape.heads // shape.key_heads
        key, value = np.repeat(key, shared, axis=0), np.repeat(value, shared, axis=0)
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(shape.head)
        order = np.arange(count)
        scores = np.where(abs(order[:, None] - order) <= shape.window, scores, -np.inf)
        highest = np.maximum(scores.max(-1, keepdims=True), sinks[:, None, None])
        weights = np.exp(scores - highest)
        weights /= weights.sum(-1, keepdims=True) + np.exp(sinks[:, None, None] - highest)
        joined = (weights @ value).transpose(1, 0, 2).reshape(count, -1)
        return x + joined @ dense["o"][0].T + dense["o"][1]

    return run


def _turned(states: np.ndarray, shape: Shape) -> np.ndarray:
    """RoPE on neighbouring pairs."""
    angles = np.arange(states.shape[1], dtype=np.float32)[:, None] * shape.frequencies
    cosines, sines = np.cos(angles) * shape.cosine_scale, np.sin(angles) * shape.cosine_scale
    even, odd = states[..., 0::2], states[..., 1::2]
    turned = np.empty_like(states)
    turned[..., 0::2] = even * cosines - odd * sines
    turned[..., 1::2] = odd * cosines + even * sines
    return turned


def _experts(
    checkpoint: Checkpoint, shape: Shape, layer: int
) -> Callable[[np.ndarray], tuple[np.ndarray, float]]:
    at, read = f"model.layers.{layer}.mlp", checkpoint.tensor
    gain = read(f"model.layers.{layer}.post_attention_layernorm.weight", shape.width)
    router = read(f"{at}.router.weight", shape.experts, shape.width), read(f"{at}.router.bias", shape.experts)
    up = read(f"{at}.experts.gate_up_proj", shape.experts, shape.width, 2 * shape.inner)
    up_bias = read(f"{at}.experts.gate_up_proj_bias", shape.experts, 2 * shape.inner)
    down = read(f"{at}.experts.down_proj", shape.experts, shape.inner, shape.width)
    down_bias = read(f"{at}.experts.down_proj_bias", shape.experts, shape.width)

    def run(x: np.ndarray) -> tuple[np.ndarray, float]:
        normed = _rms(x, gain, shape)
        routing = normed @ router[0].T + router[1]
        ranked = np.argsort(-routing, axis=-1)
        best = np.take_along_axis(routing, ranked, -1)
        gap = float((best[:, shape.chosen - 1] - best[:, shape.chosen]).min()) if shape.experts > shape.chosen else 1.0
        shares = np.exp(best[:, : shape.chosen] - best[:, :1])
        shares /= shares.sum(-1, keepdims=True)
        out = np.zeros_like(x)
        for expert in np.unique(ranked[:, : shape.chosen]):
            tokens, places = np.nonzero(ranked[:, : shape.chosen] == expert)
            both = normed[tokens] @ up[expert] + up_bias[expert]
            gate = np.minimum(both[:, : shape.inner], shape.limit)
            linear = np.clip(both[:, shape.inner :], -shape.limit, shape.limit)
            inner = (linear + 1) * gate / (1 + np.exp(-shape.alpha * gate))
            out[tokens] += (inner @ down[expert] + down_bias[expert]) * shares[tokens, places][:, None]
        return x + out, gap

    return run


def _rms(x: np.ndarray, gain: np.ndarray, shape: Shape) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + shape.epsilon) * gain


# The label encoder


def roberta(
    read: Read, rows: Sequence[Sequence[int]], heads: int, epsilon: float, padding: int, after: Sequence[int]
) -> np.ndarray:
    """CLS states of label texts after each of these layers, counted from 1: (layers, texts, width)."""
    places = read("embeddings.position_embeddings.weight")[padding + 1 :]
    words, kind = read("embeddings.word_embeddings.weight"), read("embeddings.token_type_embeddings.weight")[0]
    norm = _LayerNorm(read, "embeddings.LayerNorm", epsilon)
    states = [norm(words[list(ids)] + places[: len(ids)] + kind) for ids in rows]
    del words
    found = {}
    for layer in range(max(after)):
        run = _roberta_layer(read, f"encoder.layer.{layer}.", heads, epsilon)
        states = [run(x) for x in states]
        found[layer + 1] = np.stack([x[0] for x in states])
    return np.stack([found[layer] for layer in after])


def _roberta_layer(read: Read, at: str, heads: int, epsilon: float) -> Callable[[np.ndarray], np.ndarray]:
    query, key, value = (_Dense(read, f"{at}attention.self.{part}") for part in ("query", "key", "value"))
    joined, middle = _Dense(read, f"{at}attention.output.dense"), _LayerNorm(read, f"{at}attention.output.LayerNorm", epsilon)
    wide, narrow = _Dense(read, f"{at}intermediate.dense"), _Dense(read, f"{at}output.dense")
    last = _LayerNorm(read, f"{at}output.LayerNorm", epsilon)

    def run(x: np.ndarray) -> np.ndarray:
        q, k, v = (part(x).reshape(len(x), heads, -1).transpose(1, 0, 2) for part in (query, key, value))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = (weights / weights.sum(-1, keepdims=True)) @ v
        x = middle(x + joined(context.transpose(1, 0, 2).reshape(x.shape)))
        inner = wide(x)
        return last(x + narrow(inner * 0.5 * (1 + _erf(inner / math.sqrt(2)))))

    return run


_erf = np.vectorize(math.erf, otypes=[np.float32])


class _Dense:
    def __init__(self, read: Read, name: str) -> None:
        self._weight, self._bias = read(f"{name}.weight"), read(f"{name}.bias")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ self._weight.T + self._bias


class _LayerNorm:
    def __init__(self, read: Read, name: str, epsilon: float) -> None:
        self._gain, self._shift, self._epsilon = read(f"{name}.weight"), read(f"{name}.bias"), epsilon

    def __call__(self, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self._epsilon) * self._gain + self._shift
