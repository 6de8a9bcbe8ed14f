"""What the graphs of the mixture of experts need of its config.json."""

import math
from dataclasses import dataclass

import numpy as np

from .checkpoint import Problem


@dataclass(frozen=True)
class Shape:
    """config.json, as far as the graph follows from it."""

    vocabulary: int
    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    head: int
    experts: int
    chosen: int
    window: int
    epsilon: float
    limit: float
    alpha: float
    frequencies: np.ndarray
    cosine_scale: float

    @classmethod
    def of(cls, config: dict) -> "Shape":
        known = config.get("model_type")
        if known != "openai_privacy_filter":
            raise Problem(f"config.json: model_type is {known!r}; this exporter knows openai_privacy_filter")
        try:
            return cls(
                vocabulary=config["vocab_size"],
                width=config["hidden_size"],
                inner=config["intermediate_size"],
                layers=config["num_hidden_layers"],
                heads=config["num_attention_heads"],
                key_heads=config["num_key_value_heads"],
                head=config["head_dim"],
                experts=config["num_local_experts"],
                chosen=config["num_experts_per_tok"],
                window=config["sliding_window"],
                epsilon=config["rms_norm_eps"],
                # constants of the architecture, which published configurations leave out
                limit=config.get("swiglu_limit", 7.0),
                alpha=config.get("swiglu_alpha", 1.702),
                frequencies=_frequencies(config["rope_parameters"], config["head_dim"]),
                cosine_scale=0.1 * math.log(config["rope_parameters"]["factor"]) + 1,
            )
        except KeyError as error:
            raise Problem(f"config.json: there is no {error}") from None


def _frequencies(rope: dict, head: int) -> np.ndarray:
    """YaRN (https://arxiv.org/abs/2309.00071), as transformers computes it: long waves are stretched by `factor`."""
    if rope.get("rope_type") != "yarn" or rope.get("truncate", True):
        raise Problem("config.json: rope_parameters are known for rope_type yarn with truncate false only")
    base, context = rope.get("rope_theta", 150_000.0), rope["original_max_position_embeddings"]

    def dimension(rotations: float) -> float:
        return head * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(dimension(rope["beta_fast"]), 0), min(dimension(rope["beta_slow"]), head - 1)
    own = base ** (-np.arange(0, head, 2, dtype=np.float32) / np.float32(head))
    stretched = np.clip((np.arange(head // 2, dtype=np.float32) - low) / max(high - low, 0.001), 0, 1)
    return (own / rope["factor"] * stretched + own * (1 - stretched)).astype(np.float32)
