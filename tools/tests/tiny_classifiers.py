"""Tiny token classifiers of random weights as the hub holds them, and what a plain reading of them finds.

    python tests/tiny_classifiers.py OUT

writes OUT/KIND (config.json, tokenizer.json, onnx/model.onnx) and OUT/KIND.json: texts, and for each way to read a word
the entities that weir has to find (`plain_reading`). A text in which a rounding error may decide is left out.
"""

import json
import os
import random
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from plain_reading import read, row, spans, words  # noqa: E402
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
from weir_tools import classifier  # noqa: E402

CORPUS = [
    "Ana Ruiz works at ACME in Paris since 2019 .",
    "mail ana.ruiz@mail.example or call +1 202 555 0143",
    "Zaccarino lives in Springfield , 12 Mill Lane , IL 62704",
    "the quick brown fox jumps over 13 lazy dogs",
] * 30
WORDS = (
    "Ana Ruiz works at ACME in Paris, mail ana.ruiz@mail.example call +1 202-555-0143 Zaccarino Springfield "
    "(12 Mill Lane) IL62704 fox dogs. the over user=jdoe_42"
).split()
TEXTS = 80
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}

torch.set_num_threads(1)


def word_piece() -> Tokenizer:
    own = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    own.normalizer = normalizers.BertNormalizer(lowercase=True)
    own.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    own.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    return with_template(own, "[CLS]", "[SEP]")


def byte_level() -> Tokenizer:
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    own.train_from_iterator(CORPUS, trainer)
    return with_template(own, "<s>", "</s>")


def unigram() -> Tokenizer:
    own = Tokenizer(models.Unigram())
    own.normalizer = normalizers.NFKC()
    own.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=140, special_tokens=special, unk_token="<unk>")
    own.train_from_iterator(CORPUS, trainer)
    return with_template(own, "<s>", "</s>")


def with_template(own: Tokenizer, before: str, after: str) -> Tokenizer:
    places = [(name, own.token_to_id(name)) for name in (before, after)]
    own.post_processor = processors.TemplateProcessing(single=f"{before} $A {after}", special_tokens=places)
    return own


def classes(*parts: str) -> list[str]:
    return ["O", *(f"{part}{name}" for name in ("PERSON", "PLACE", "NUMBER") for part in parts)]


KINDS = {
    # name: configuration, its settings, tokenizer, classes
    "bert": (transformers.BertConfig, {"max_position_embeddings": 64}, word_piece, classes("B-", "I-")),
    "distilbert": (
        transformers.DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 64},
        word_piece,
        classes("B-", "I-", "L-", "U-"),
    ),
    "roberta": (
        transformers.RobertaConfig,
        {"max_position_embeddings": 66, "pad_token_id": 1, "type_vocab_size": 1},
        byte_level,
        classes(""),
    ),
    "xlm-roberta": (
        transformers.XLMRobertaConfig,
        {"max_position_embeddings": 66, "pad_token_id": 1, "type_vocab_size": 1},
        unigram,
        # IOB1: no class for a person directly behind another one.
        ["B-PLACE", "I-PERSON", "I-PLACE", "I-NUMBER", "O"],
    ),
    "deberta": (
        transformers.DebertaV2Config,
        {
            "relative_attention": True, "max_relative_positions": -1, "position_buckets": 16, "share_att_key": True,
            "norm_rel_ebd": "layer_norm", "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
            "type_vocab_size": 0, "max_position_embeddings": 512,
        },
        unigram,
        classes("B-", "I-", "E-", "S-"),
    ),
    "modernbert": (
        transformers.ModernBertConfig,
        {"num_hidden_layers": 3, "local_attention": 16, "global_attn_every_n_layers": 3, "pad_token_id": 0,
         "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, "max_position_embeddings": 512},
        word_piece,
        classes("B-", "I-"),
    ),
}  # fmt: skip
HALF = "modernbert"


def build(out: Path, kind: str) -> tuple[torch.nn.Module, Tokenizer, list[str]]:
    own, settings, make, names = KINDS[kind]
    torch.manual_seed(sum(map(ord, kind)))
    tokenizer = make()
    sizes = {} if kind == "distilbert" else SIZES
    config = own(
        vocab_size=tokenizer.get_vocab_size(), attn_implementation="eager", **(sizes | settings),
        id2label=dict(enumerate(names)), label2id={name: at for at, name in enumerate(names)},
    )  # fmt: skip
    model = transformers.AutoModelForTokenClassification.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.dim() > 1:
                values.copy_(torch.randn_like(values) * (0.5 if "embed" in name else 1.2 / values.shape[-1] ** 0.5))
            elif name.endswith("bias"):
                values.copy_(torch.randn_like(values) * 0.1)
        model.classifier.weight.mul_(2.5)
    folder = out / kind
    (folder / "onnx").mkdir(parents=True)
    config.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    classifier.graph(model, folder / "onnx" / "model.onnx", half=kind == HALF)
    return model, tokenizer, names


def main() -> None:
    out = Path(sys.argv[1])
    for kind in KINDS:
        model, tokenizer, names = build(out, kind)
        rng = random.Random(kind)
        cases = []
        for _ in range(TEXTS):
            text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 9)))
            encoding = tokenizer.encode(text)
            grouped = words(text, encoding)
            # weir cuts longer words where a window has 64 places; what the tokenizers learn differs from run to run.
            if len(encoding.ids) > 60 or max(map(len, grouped)) > 9:
                continue
            ids = torch.tensor([encoding.ids])
            with torch.no_grad():
                logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
            logits = (logits.half().float() if kind == HALF else logits).numpy()
            for how in ("first", "average", "max", "tokens"):
                steps = [[at] for word in grouped for at in word] if how == "tokens" else grouped
                rows = np.array([row(logits[word], how) for word in steps])
                for decode in ("viterbi", "argmax"):
                    found, near = read(rows, names, decode)
                    if not near:
                        placed = spans(text, encoding, steps, found)
                        cases.append({"text": text, "words": how, "decode": decode, "spans": placed})
        (out / f"{kind}.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main()
