"""BERT in plain numpy, written from the paper and not from weir_tools: the yardstick of the parity tests.

`torch_parity_test` holds it against PyTorch where torch is installed.
"""

import math

import numpy as np

HEADS = 12
EPSILON = 1e-12

Tensors = dict[str, np.ndarray]


def states(tensors: Tensors, prefix: str, ids: list[int]) -> np.ndarray:
    """Last hidden states (tokens, width) of one unpadded row."""
    own = {name.removeprefix(prefix): value.astype(np.float64) for name, value in tensors.items()}
    x = own["embeddings.word_embeddings.weight"][ids]
    x = x + own["embeddings.position_embeddings.weight"][: len(ids)] + own["embeddings.token_type_embeddings.weight"][0]
    x = _norm(own, "embeddings.LayerNorm", x)
    for layer in range(6):
        at = f"encoder.layer.{layer}."
        query, key, value = (_heads(_dense(own, f"{at}attention.self.{part}", x)) for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        context = (weights / weights.sum(axis=-1, keepdims=True)) @ value
        joined = context.transpose(1, 0, 2).reshape(x.shape)
        x = _norm(own, f"{at}attention.output.LayerNorm", x + _dense(own, f"{at}attention.output.dense", joined))
        wide = gelu(_dense(own, f"{at}intermediate.dense", x))
        x = _norm(own, f"{at}output.LayerNorm", x + _dense(own, f"{at}output.dense", wide))
    return x


def hidden(trained: Tensors, ids: list[int]) -> np.ndarray:
    return _dense(trained, "hp", states(trained, "bb.", ids)) * trained["scale"]


def label_vector(stock: Tensors, trained: Tensors, ids: list[int]) -> np.ndarray:
    mean = states(stock, "", ids).mean(axis=0)
    wide = gelu(_dense(trained, "proj.0", mean / np.linalg.norm(mean)))
    return _dense(trained, "proj.2", wide)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def _dense(own: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    return x @ own[f"{name}.weight"].T + own[f"{name}.bias"]


def _norm(own: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    return centred / deviation * own[f"{name}.weight"] + own[f"{name}.bias"]


def _heads(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)
