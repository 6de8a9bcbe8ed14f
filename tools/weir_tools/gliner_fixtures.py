"""Writes tests/fixtures/gliner: tiny GLiNER models of every kind, and what the package gliner finds with them.

usage: python -m weir_tools.gliner_fixtures OUT

The models have random weights, and their graphs come from the package's own export. All texts are random words and
invented values. For each model, `cases.json.gz` has texts with label sets, thresholds and the spans that
`GLiNER.inference` finds, but that words without tokens are left out before: with them the reference moves every later
span by a word. `long` of some is a text of 10,000 words, whose windows are those of weir (src/model/gliner/windows.rs), as
the package would cut it off.
"""

import argparse
import gzip
import json
import os
import random
import shutil
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
warnings.filterwarnings("ignore")

import onnx  # noqa: E402
import torch  # noqa: E402
from gliner import GLiNER  # noqa: E402
from gliner.config import GLiNERConfig  # noqa: E402
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

from . import gliner  # noqa: E402

torch.set_num_threads(1)

CORPUS = [
    "Ana Ruiz works at ACME in Paris since 2019 .",
    "mail ana.ruiz@mail.example or call +1 202 555 0143",
    "person organization location email phone number date of birth street address",
    "the quick brown fox jumps over 13 lazy dogs",
] * 30
BACKBONES: dict[str, dict[str, Any]] = {
    "deberta": dict(
        model_type="deberta-v2", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        relative_attention=True, max_relative_positions=-1, position_buckets=8, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0,
        max_position_embeddings=512, layer_norm_eps=1e-7,
    ),
    "bert": dict(
        model_type="bert", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=192,
    ),
    "modernbert": dict(
        model_type="modernbert", hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=512, local_attention=16, global_attn_every_n_layers=3, pad_token_id=0, cls_token_id=2,
        sep_token_id=3, bos_token_id=2, eos_token_id=3, reference_compile=False,
    ),
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "span-deberta": dict(backbone="deberta", tok="unigram", span_mode="markerV0"),
    "span-bert": dict(backbone="bert", tok="wordpiece", span_mode="markerV0"),
    "span-modernbert": dict(backbone="modernbert", tok="wordpiece", span_mode="markerV0", num_rnn_layers=0),
    "span-mean": dict(backbone="deberta", tok="unigram", span_mode="markerV0", subtoken_pooling="mean"),
    "token-deberta": dict(backbone="deberta", tok="unigram", span_mode="token_level"),
    "token-bert": dict(backbone="bert", tok="wordpiece", span_mode="token_level"),
    "bi-span": dict(backbone="deberta", tok="unigram", span_mode="markerV0", labels_encoder="x"),
    "bi-token": dict(backbone="deberta", tok="unigram", span_mode="token_level", labels_encoder="x"),
    "relex-span": dict(backbone="deberta", tok="unigram", span_mode="markerV0", relations_layer="dot"),
}
MAX_WORDS, MAX_WIDTH, HALO = 40, 4, 64
# Those that are given a text of 10,000 words: spans and words, with positions of their own and without.
LONG = ("span-deberta", "span-bert", "token-bert", "bi-span")
LABELS = [
    "person", "organization", "location", "email", "phone number", "date of birth", "street address", "dog",
    "lazy fox", "work place", "Paris", "number", "call", "<<ENT>>", "birth-date", "e-mail",
]  # fmt: skip
WORDS = (
    "Ana Ruiz works at ACME in Paris since 2019 . mail ana.ruiz@mail.example or call +1 202 555 0143 , person street "
    "address the quick brown fox jumps over 13 lazy dogs well-known snake_case_name (maybe) naïve cafe\u0301 "
    "Zoe\u0308 日本 東京都 Ω½ \u200b \u00ad \u200d x\u200by 🙂 👩\u200d👩 <<ENT>> [SEP] -- __ a-b_c \u0301 Наталья مرحبا ①② "
    "2031-05-03T10:22 50% #7 C++ don't O’Brien"
).split(" ")


def tokenizer(folder: Path, kind: str) -> int:
    """As DeBERTa's (`unigram`) or BERT's (`wordpiece`); the number of its tokens."""
    if not (folder / "tokenizer.json").is_file():
        if kind == "unigram":
            special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
            made = Tokenizer(models.Unigram())
            made.normalizer = normalizers.NFKC()
            made.pre_tokenizer = pre_tokenizers.Metaspace()
            made.decoder = decoders.Metaspace()
            trainer: Any = trainers.UnigramTrainer(vocab_size=160, special_tokens=special, unk_token="[UNK]")
        else:
            special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
            made.normalizer = normalizers.BertNormalizer(lowercase=True)
            made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            made.decoder = decoders.WordPiece()
            trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=special)
        made.train_from_iterator(CORPUS, trainer)
        around = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=around
        )
        PreTrainedTokenizerFast(
            tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
            mask_token="[MASK]",
        ).save_pretrained(folder)  # fmt: skip
    return len(PreTrainedTokenizerFast.from_pretrained(folder))


def build(home: Path, name: str, backbone: str, tok: str, **more: Any) -> Any:
    torch.manual_seed(sum(map(ord, name)))
    vocabulary = tokenizer(home / tok, tok)
    settings = dict(
        model_name=str(home / tok), hidden_size=16, max_width=MAX_WIDTH, max_len=MAX_WORDS, dropout=0.0, max_types=25,
        encoder_config=dict(BACKBONES[backbone], vocab_size=vocabulary), _attn_implementation="eager", **more,
    )  # fmt: skip
    if settings.get("labels_encoder"):
        own = tokenizer(home / "wordpiece", "wordpiece")
        settings["labels_encoder"] = str(home / "wordpiece")
        settings["labels_encoder_config"] = dict(
            BACKBONES["bert"], vocab_size=own, hidden_size=12, attn_implementation="eager"
        )
    plain = {key: value for key, value in settings.items() if key != "labels_encoder_config"}
    kind = GLiNER._get_gliner_class(GLiNERConfig(**plain))
    model = kind.load_from_config(kind.config_class(**settings), backbone_from_pretrained=False)
    heads = ("span_rep", "prompt_rep", "scorer", "out_mlp", "rnn")
    with torch.no_grad():
        for parameter, weights in model.model.named_parameters():
            # Random heads say little: spread the logits.
            if weights.dim() > 1 and any(head in parameter for head in heads):
                weights.mul_(2.5)
            # Half of the bits are zeros: the files compress.
            weights.copy_(weights.to(torch.bfloat16).float())
    return model.eval()


def without_empty_words(model: Any) -> None:
    """Leaves out words that have no tokens."""
    splitter, own = model.data_processor.words_splitter, model.data_processor.transformer_tokenizer

    def split(text: str) -> Any:
        for word, start, end in splitter(text):
            if own([word], is_split_into_words=True, add_special_tokens=False)["input_ids"]:
                yield word, start, end

    model.data_processor.words_splitter = split


def random_text(rng: random.Random, most: int) -> str:
    gaps = [" "] * 12 + ["", "  ", "\n", "\t", "\u00a0", "\x1c", "\u3000"]
    return "".join(rng.choice(WORDS) + rng.choice(gaps) for _ in range(rng.randrange(1, most)))


def bytes_at(text: str, at: int) -> int:
    return len(text[:at].encode())


def spans(model: Any, text: str, labels: list[str], threshold: float, nested: bool, multi: bool) -> list[list[Any]]:
    options: dict[str, Any] = dict(threshold=threshold, flat_ner=not nested, multi_label=multi)
    if getattr(model.config, "relations_layer", None):
        options |= dict(relations=[], return_relations=False)
    found = model.inference([text], labels, **options)[0]
    rows = [
        [bytes_at(text, own["start"]), bytes_at(text, own["end"]), labels.index(own["label"]), own["score"]]
        for own in found
    ]
    return sorted(rows)


def is_clear(model: Any, text: str, labels: list[str], threshold: float) -> bool:
    """Whether floats of another runtime choose the same spans: no score stands at the threshold, no two are alike."""
    words = [word for word, _, _ in model.data_processor.words_splitter(text)]
    with torch.no_grad():
        scores = torch.sigmoid(model.run_batch(collated(model, words, labels))[0]).flatten()
    near = (scores - threshold).abs().min() < 2e-4
    scores = scores[scores > threshold].sort().values
    steps = scores[1:] - scores[:-1]
    return not near and not bool(((steps > 0) & (steps < 2e-6)).any())


def collated(model: Any, words: list[str], labels: list[str]) -> Any:
    inputs = [{"tokenized_text": words, "ner": None}]
    if getattr(model.config, "relations_layer", None):
        return model.collate_batch(inputs, labels, relation_types=[])
    return model.collate_batch(inputs, labels)


def cases(model: Any, count: int, seed: int, labelled: bool) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    found: list[dict[str, Any]] = []
    while len(found) < count:
        text = random_text(rng, 24)
        words = list(model.data_processor.words_splitter(text))
        if not words or len(words) > MAX_WORDS:
            continue
        # In the order in which weir asks: by code points.
        labels = sorted(rng.sample([own for own in LABELS if labelled or own != "<<ENT>>"], rng.randrange(1, 7)))
        threshold = rng.choice([0.3, 0.4, 0.5, 0.6])
        nested, multi = rng.choice([(False, False), (False, False), (True, False), (False, True), (True, True)])
        if not is_clear(model, text, labels, threshold):
            continue
        own = spans(model, text, labels, threshold, nested, multi)
        rows = [[start, end, label, round(score, 4)] for start, end, label, score in own]
        found.append(
            dict(text=text, labels=labels, threshold=threshold, nested=nested, multi_label=multi, spans=rows)
        )
    return found


def windows(tokens: list[int], width: int, most: int, reach: int) -> list[tuple[int, int, int, int]]:
    """As src/model/gliner/windows.rs: start, end, and the words that it answers for."""

    def end_of(start: int) -> int:
        end, total = start, 0
        while end < min(len(tokens), start + width):
            total += tokens[end]
            if total > most and end > start:
                break
            end += 1
        return end

    found, start, owned = [], 0, 0
    while owned < len(tokens):
        end = end_of(start)
        if end < len(tokens) and end <= owned + reach:
            start = owned
            end = end_of(start)
        if end == len(tokens):
            found.append((start, end, owned, end))
            break
        free = max(0, end - start - reach)
        halo = min(HALO, free // 4)
        own = max(end - min(reach, end - start) - halo, owned + 1)
        found.append((start, end, owned, own))
        owned, start = own, own - halo
    return found


def long_case(model: Any, positions: int | None) -> dict[str, Any]:
    """A text of 10,000 words: the candidates of every 37th word, each by the window that answers for it."""
    rng = random.Random(7)
    plain = [word for word in WORDS if word.isascii() and len(list(model.data_processor.words_splitter(word))) == 1]
    text = " ".join(rng.choice(plain) for _ in range(10_000))
    labels, threshold = sorted(["person", "street address", "number"]), 0.5
    split = list(model.data_processor.words_splitter(text))
    own = model.data_processor.transformer_tokenizer
    count = lambda words: len(own(words, is_split_into_words=True, add_special_tokens=False)["input_ids"])  # noqa: E731
    tokens = [count([word]) for word, _, _ in split]
    token_level = model.config.span_mode == "token_level"
    bi = getattr(model.config, "labels_encoder", None) is not None
    prompt = 0 if bi else sum(1 + count([label]) for label in labels) + 1
    prompt += bool(getattr(model.config, "relations_layer", None))
    most = min(positions or 2048, 2048) - prompt - 2
    logits: dict[tuple[int, ...], list[float]] = {}
    for start, end, first, last in windows(tokens, MAX_WORDS, most, 0 if token_level else MAX_WIDTH - 1):
        words = [word for word, _, _ in split[start:end]]
        batch = collated(model, words, labels)
        with torch.no_grad():
            scores = torch.sigmoid(model.run_batch(batch)[0])[0].tolist()
        for word in range(first, last):
            for at, own_scores in enumerate(scores[word - start]):
                logits[(word, at)] = own_scores
    candidates = []
    if token_level:
        for label in range(len(labels)):
            for first in range(len(split)):
                start_score, _, inside = logits[(first, label)]
                least = inside
                if start_score <= threshold:
                    continue
                for last in range(first, len(split)):
                    _, end_score, inside = logits[(last, label)]
                    least = min(least, inside)
                    if least < threshold:
                        break
                    if end_score > threshold:
                        candidates.append((first, last, label, min(start_score, end_score, least)))
    else:
        for (first, more), row in logits.items():
            if first + more < len(split):
                candidates += [(first, first + more, at, score) for at, score in enumerate(row) if score > threshold]
    at = lambda place: len(text[:place].encode())  # noqa: E731
    sample = range(0, len(split), 37)
    rows = [
        [at(split[first][1]), at(split[last][2]), label, round(score, 4)]
        for first, last, label, score in candidates
        if first in sample
    ]
    starts = [at(split[first][1]) for first in sample]
    return dict(text=text, labels=labels, threshold=threshold, starts=starts, spans=sorted(rows))


def packed(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without a time: the same content gives the same file.
    target.write_bytes(gzip.compress(source.read_bytes(), 9, mtime=0))


def older(graph: Path, target: Path) -> None:
    """The graph as exports before August 2025 were: (3, B, W, C) instead of (B, W, C, 3)."""
    model = onnx.load(str(graph))
    output = model.graph.output[0]
    for node in model.graph.node:
        node.output[:] = ["before" if name == output.name else name for name in node.output]
    model.graph.node.append(onnx.helper.make_node("Transpose", ["before"], [output.name], perm=[3, 0, 1, 2]))
    onnx.save(model, str(target))


def slim(config: Path) -> dict[str, Any]:
    """The fields that tell the architecture."""
    own = json.loads(config.read_text())
    kept = {key: own.get(key) for key in (
        "name", "model_name", "span_mode", "max_len", "max_width", "words_splitter_type", "ent_token", "sep_token",
        "class_token_index", "subtoken_pooling", "labels_encoder", "relations_layer", "post_fusion_schema",
    )}  # fmt: skip
    encoder = own["encoder_config"]
    kept["encoder_config"] = {key: encoder.get(key) for key in (
        "model_type", "max_position_embeddings", "position_biased_input"
    )}  # fmt: skip
    kept["model_name"] = kept["model_name"] and "tiny"
    kept["labels_encoder"] = kept["labels_encoder"] and "tiny"
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--count", type=int, default=200, help="texts for each model (200)")
    parser.add_argument("--work", type=Path, default=Path("out/gliner"), help="folder for checkpoints (out/gliner)")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), metavar="NAME", help="some of the models")
    given = parser.parse_args()
    gliner.plain_masks()
    for name in given.only or KINDS:
        spec = KINDS[name]
        shutil.rmtree(given.work / name, ignore_errors=True)
        model = build(given.work / "tok" / name, name, **spec)
        folder, target = given.work / name, given.out / name
        gliner.export(model, folder)
        target.mkdir(parents=True, exist_ok=True)
        packed(folder / "onnx/model.onnx", target / "model.onnx.gz")
        packed(folder / "tokenizer.json", target / "tokenizer.json.gz")
        (target / "gliner_config.json").write_text(json.dumps(slim(folder / "gliner_config.json"), indent=1) + "\n")
        if name == "token-bert":
            older(folder / "onnx/model.onnx", folder / "old.onnx")
            packed(folder / "old.onnx", target / "old.onnx.gz")
        if spec.get("labels_encoder"):
            gliner.split(model, folder)
            packed(folder / "labels_tokenizer/tokenizer.json", target / "labels_tokenizer/tokenizer.json.gz")
            packed(folder / "text.onnx", target / "text.onnx.gz")
            packed(folder / "labels.onnx", target / "labels.onnx.gz")
        without_empty_words(model)
        positions = None if spec["backbone"] == "deberta" else BACKBONES[spec["backbone"]]["max_position_embeddings"]
        bi = "labels_encoder" in spec
        found = dict(cases=cases(model, given.count, sum(map(ord, name)), bi))
        found["long"] = long_case(model, positions) if name in LONG else None
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        (target / "cases.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(f"{name}: {sum(len(case['spans']) for case in found['cases'])} spans in {len(found['cases'])} texts")


if __name__ == "__main__":
    main()
