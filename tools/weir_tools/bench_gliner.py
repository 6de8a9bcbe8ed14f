"""Compares weir with gline-rs: the same graph, texts and labels, each a process of its own, in turns.

usage: python -m weir_tools.bench_gliner OUT --weir PROGRAM --gline PROGRAM [--texts N] [--rounds R] [--batches 1,8,32]

OUT/model is made first if it is not there, which needs gliner and torch (requirements-gliner.txt): an encoder of the base size
(DeBERTa-v2, 12 layers of 768) with random weights, and a tokenizer of 8,000 pieces trained on tools/corpora. The texts are
passages of tools/corpora, put together to mixed lengths: of ten texts, six have 10 to 60 words, three 60 to 200 and one 300
to 1,200. Seconds are of whole processes, the model's loading and all output included: `weir run` from a file to files with
default settings, and benches/gline_rs, which prints nothing of what it finds, with as many threads as there are cores.
gline-rs cuts a text off at 512 words; weir reads all of it.

gline-rs is built against the ONNX Runtime of `make setup`, and finds it as libonnxruntime.so.1 in LD_LIBRARY_PATH:

    ln -s libonnxruntime.so ../.weir/onnxruntime/libonnxruntime.so.1
    ORT_STRATEGY=system ORT_PREFER_DYNAMIC_LINK=1 ORT_LIB_LOCATION=$PWD/../.weir/onnxruntime \\
        cargo build --release --manifest-path ../benches/gline_rs/Cargo.toml
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from .passages import parse

LABELS = ["person", "organization", "place", "date", "product", "event"]
CORPORA = Path(__file__).parent.parent / "corpora" / "passages"
CONFIG = """[source]
type = "object_store"
url = "in"
tenant = {{ value = "acme" }}
[sink]
type = "object_store"
url = "out"
[tenants]
dir = "tenants"
[model]
pack = "{pack}"
"""


def passages() -> list[str]:
    lines = [line for file in sorted(CORPORA.glob("*.txt")) for line in file.read_text().splitlines()]
    texts = [parse(line).text for line in lines if line.strip()]
    return [text for text in texts if len(text.split()) > 20]


def mixed(count: int) -> list[str]:
    rng = random.Random(7)
    pool, texts = passages(), []
    for at in range(count):
        low, high = [(10, 60), (60, 200), (300, 1200)][(at % 10 >= 6) + (at % 10 == 9)]
        words: list[str] = []
        length = rng.randrange(low, high)
        while len(words) < length:
            words += rng.choice(pool).split()
        texts.append(" ".join(words[:length]))
    rng.shuffle(texts)
    return texts


def make(folder: Path) -> None:
    import torch
    from gliner import GLiNER
    from gliner.config import GLiNERConfig
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    from . import gliner, gliner_fixtures

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        passages(), trainers.UnigramTrainer(vocab_size=8000, special_tokens=special, unk_token="[UNK]")
    )
    around = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=around
    )
    names = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    tokenizer = folder / "tokenizer"
    PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(tokenizer)
    gliner.plain_masks()
    torch.manual_seed(7)
    encoder = gliner_fixtures.BACKBONES["deberta"] | dict(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, position_buckets=256,
        vocab_size=made.get_vocab_size(),
    )  # fmt: skip
    settings = dict(
        model_name=str(tokenizer), hidden_size=512, max_width=12, max_len=384, dropout=0.0, max_types=25,
        span_mode="markerV0", encoder_config=encoder, _attn_implementation="eager",
    )  # fmt: skip
    kind = GLiNER._get_gliner_class(GLiNERConfig(**settings))
    model = kind.load_from_config(kind.config_class(**settings), backbone_from_pretrained=False)
    gliner.export(model.eval(), folder)


def seconds(command: list[str], **more: object) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - began, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weir", type=Path, required=True)
    parser.add_argument("--gline", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", default="1,8,32")
    given = parser.parse_args()
    out = given.out.resolve()
    model = out / "model"
    if not (model / "onnx/model.onnx").is_file():
        make(model)
    texts = mixed(given.texts)
    job = out / "job"
    shutil.rmtree(job, ignore_errors=True)
    (job / "in").mkdir(parents=True)
    (job / "tenants").mkdir()
    records = "".join(json.dumps({"id": str(at), "text": text}) + "\n" for at, text in enumerate(texts))
    (job / "in/texts.jsonl").write_text(records)
    (job / "tenants/acme.toml").write_text(f"labels = {json.dumps(LABELS)}\nauto_patterns = false\n")
    (job / "weir.toml").write_text(CONFIG.format(pack=model))
    cores = str(len(os.sched_getaffinity(0)))
    taken: dict[str, list[float]] = {}
    lost = 0
    for _ in range(given.rounds):
        shutil.rmtree(job / "out", ignore_errors=True)
        own, _ = seconds([str(given.weir.resolve()), "run", "--config", "weir.toml"], cwd=job)
        taken.setdefault("weir", []).append(own)
        for batch in given.batches.split(","):
            command = [str(given.gline.resolve()), str(model), str(job / "in/texts.jsonl"), ",".join(LABELS), "span"]
            own, said = seconds([*command, batch, cores])
            taken.setdefault(f"gline-rs, batches of {batch}", []).append(own)
            lost = json.loads(said)["words_lost"]
    words = sum(len(text.split()) for text in texts)
    print(f"{len(texts)} texts, {words} words; gline-rs does not read {lost} of them\n")
    print("| | texts/s | weir is faster by |\n| --- | --- | --- |")
    for name, own in taken.items():
        ratios = [theirs / ours for theirs, ours in zip(own, taken["weir"], strict=True)]
        speed = statistics.median(len(texts) / one for one in own)
        print(f"| {name} | {speed:.2f} | {statistics.median(ratios):.2f} ({', '.join(f'{r:.2f}' for r in ratios)}) |")


if __name__ == "__main__":
    main()
