"""Random-weight checkpoints at tiny size in the layouts of the large models, made by transformers."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    OpenAIPrivacyFilterConfig,
    OpenAIPrivacyFilterForTokenClassification,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from weir_tools import large

# transformers asks at every mask; PyTorch with stand-ins for CUDA's libraries (scripts/torch-without-cuda.py) crashes.
torch.cuda.is_current_stream_capturing = lambda: False

ALPHAS = (0.3, -0.5, 1.0, -2.0)
WIDTH = 64
CATEGORIES = (
    "account_number private_address private_date private_email private_person private_phone private_url secret".split()
)
BIASES = {
    "background_stay": 0.3, "background_to_start": -0.6, "inside_to_continue": 0.4, "inside_to_end": -0.2,
    "end_to_background": -0.5, "end_to_start": 0.25,
}  # fmt: skip
CLASSES = ["O", *(f"{part}-{category}" for category in CATEGORIES for part in "BIES")]


def mixture(classes: int = 33, layers: int = 8) -> OpenAIPrivacyFilterForTokenClassification:
    torch.manual_seed(3)
    config = OpenAIPrivacyFilterConfig(
        vocab_size=1000, hidden_size=WIDTH, intermediate_size=96, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, num_local_experts=16, num_experts_per_tok=4, sliding_window=8,
        pad_token_id=999, eos_token_id=999, attn_implementation="eager", num_labels=classes,
    )  # fmt: skip
    model = OpenAIPrivacyFilterForTokenClassification(config).eval()
    with torch.no_grad():
        for name, values in model.named_parameters():  # as they are made, biases are zero and experts all alike
            if name.endswith("norm.weight"):
                values.copy_(1 + 0.1 * torch.randn_like(values))
            elif name.endswith("bias"):
                values.copy_(0.05 * torch.randn_like(values))
            elif values.dim() > 1:
                fan_in = values.shape[1] if values.dim() == 3 else values.shape[-1]
                values.copy_(torch.randn_like(values) / (1 if "embed" in name else fan_in**0.5))
            else:
                values.copy_(torch.randn_like(values))
    return model


def label_encoder() -> XLMRobertaModel:
    torch.manual_seed(4)
    config = XLMRobertaConfig(
        vocab_size=600, hidden_size=64, intermediate_size=96, num_hidden_layers=8, num_attention_heads=4,
        max_position_embeddings=66, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, attn_implementation="eager",
    )  # fmt: skip
    model = XLMRobertaModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "LayerNorm.weight" in name:
                values.copy_(1 + 0.1 * torch.randn_like(values))
            else:
                values.copy_(torch.randn_like(values) * (0.1 if values.dim() == 1 else values.shape[-1] ** -0.5))
    return model


def bytes_tokenizer() -> Tokenizer:
    """Of the kind of o200k: byte-level BPE, any text goes in."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(large.SAMPLES, trainer)
    return tokenizer


def labels_tokenizer() -> Tokenizer:
    """Of the kind of XLM-R: Unigram with <s> and </s>."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    letters = [chr(code) for code in range(32, 127)]
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False,
        initial_alphabet=letters,
    )  # fmt: skip
    texts = [template.format(label) for label in (*large.LABELS, *CATEGORIES) for template in large.TEMPLATES]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def write_adaptive(folder: Path) -> None:
    """The layout of `original/`."""
    mixture().save_pretrained(folder / "backbone")
    bytes_tokenizer().save(str(folder / "backbone" / "tokenizer.json"))
    label_encoder().save_pretrained(folder / "arctic")
    labels_tokenizer().save(str(folder / "arctic" / "tokenizer.json"))
    torch.save(extra(), folder / "label_encoder_extra.pt")


def extra() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5

    made = {"proj.weight": random(WIDTH, 64), "proj.bias": random(WIDTH), "o_embed": random(WIDTH) * 2}
    for point in range(4):
        made |= {f"prefix_projs.{point}.weight": 0.3 * random(WIDTH, 64), f"prefix_projs.{point}.bias": random(WIDTH)}
    return made | {"alphas": torch.tensor(ALPHAS)}


def write_fixed_head(folder: Path, classes: list[str] = CLASSES, layers: int = 8) -> None:
    model = mixture(len(classes), layers)
    model.config.id2label = dict(enumerate(classes))
    model.config.label2id = {name: number for number, name in enumerate(classes)}
    model.save_pretrained(folder)
    bytes_tokenizer().save(str(folder / "tokenizer.json"))
    biases = {f"transition_bias_{key}": value for key, value in BIASES.items()}
    calibration = {"operating_points": {"default": {"biases": biases}}}
    (folder / "viterbi_calibration.json").write_text(json.dumps(calibration))
