"""Speed of the large adaptive model at full size: weir against PyTorch as in the models' usage code, and the machine.

usage: python -m weir_tools.bench_large SOURCE PACK --weir target/release/weir [--rounds 5] [--out FILE]

SOURCE is a checkpoint in the published layout (`random_large` makes one), PACK what `large` made of it, tuned with
`weir model tune`. PyTorch gets what weir gets: the same texts, tokenized, with label vectors that are there already,
VtV, scores and Viterbi; once one text at a time, as the usage code does it, and once in batches. Bare ONNX Runtime and
weir's job from files to files are measured by `weir bench`, on the same texts. Medians of the rounds, one run. Then as
many tokens in two texts of 100,000 and in texts of 512: does a token cost the same?
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from .mixture import INJECTED

LABELS = 4  # `weir bench` asks for as many
WORDS = (
    "Please call Orla Finch on +00 555 0142 77 or write to orla@finch.example before the third of May ; the invoice "
    "4411-B is still open and nobody at the harbour office has answered since spring . request id=7f3a91 user=jdoe_42 "
    "from 192.0.2.17 took 31 ms"
).split()
# Multiply-adds of a token in all layers, twice: 4 of 128 experts, projections of attention, the router, and attention
# itself, 257 keys at most.
PRODUCTS = {
    "experts": 8 * 2 * 4 * 3 * 640 * 640,
    "projections": 8 * 2 * (2 * 640 * 896 + 2 * 640 * 128),
    "router": 8 * 2 * 640 * 128,
    "attention": 8 * 2 * 2 * 896 * 257,
}
FLOPS = sum(PRODUCTS.values())


@dataclass(frozen=True)
class Case:
    name: str
    tokens: int  # of a text
    batch: int  # texts that PyTorch gets together
    asked: float  # times PyTorch's speed
    texts: int  # that weir gets: several batches for each session


CASES = (
    Case("30 tokens, PyTorch one at a time", 30, 1, 8, 512),
    Case("512 tokens, PyTorch one at a time", 512, 1, 4, 32),
    Case("256 tokens, PyTorch in batches of 8", 256, 8, 2.5, 64),
    Case("512 tokens, PyTorch in batches of 8", 512, 8, 2.5, 32),
)


def text(tokenizer: Tokenizer, tokens: int, number: int) -> str:
    """About `tokens` tokens, other words for each number."""
    rng = np.random.default_rng(number)
    words = [str(number)]
    while True:
        words += [word for _ in range(1 + len(words) // len(WORDS)) for word in rng.permutation(WORDS)]
        encoding = tokenizer.encode(" ".join(words), add_special_tokens=False)
        if len(encoding.ids) >= tokens:
            return " ".join(words)[: encoding.offsets[tokens - 1][1]]


class Usage:
    """The models' usage code: PyTorch and transformers, eager, fp32."""

    def __init__(self, source: Path) -> None:
        from transformers import OpenAIPrivacyFilterForTokenClassification as Model

        # transformers asks at every mask; PyTorch with stand-ins for CUDA's libraries crashes at it
        torch.cuda.is_current_stream_capturing = lambda: False
        folder = source / "original" / "backbone"
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.model = Model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        generator = torch.Generator().manual_seed(1)
        width = self.model.config.hidden_size
        self.vectors = torch.randn(1 + 4 * LABELS, width, generator=generator)
        self.v = torch.randn(len(INJECTED), LABELS, width, generator=generator)
        for point, layer in enumerate(INJECTED):
            self.model.model.layers[layer].register_forward_hook(self._inject(self.v[point]))
        self.moves = _moves(LABELS)

    @staticmethod
    def _inject(v: torch.Tensor) -> Callable:
        gate = 0.12  # sigmoid(-2)
        return lambda _module, _inputs, h: (1 - gate) * h + gate * (h @ v.T @ v / len(v))

    @torch.inference_mode()
    def run(self, texts: Sequence[str], batch: int) -> int:
        """Finds the entities of texts; returns tokens."""
        total = 0
        for start in range(0, len(texts), batch):
            rows = [self.tokenizer.encode(one, add_special_tokens=False).ids for one in texts[start : start + batch]]
            width = max(map(len, rows))
            ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
            scores = self.model.model(input_ids=ids, attention_mask=mask).last_hidden_state @ self.vectors.T
            for row, own in zip(rows, scores, strict=True):
                self._viterbi(own[: len(row)])
                total += len(row)
        return total

    def _viterbi(self, scores: torch.Tensor) -> list[int]:
        best, back = scores[0], []
        for row in scores[1:]:
            reached, came = (best[:, None] + self.moves).max(0)
            back.append(came)
            best = reached + row
        path = [int(best.argmax())]
        for came in reversed(back):
            path.append(int(came[path[-1]]))
        return path[::-1]


def _moves(labels: int) -> torch.Tensor:
    """0 where BIOES allows a step, else -inf."""
    count = 1 + 4 * labels
    part = [-1 if index == 0 else (index - 1) % 4 for index in range(count)]
    moves = torch.full((count, count), -torch.inf)
    for one in range(count):
        for other in range(count):
            closed, opens = part[one] in (-1, 2, 3), part[other] in (-1, 0, 3)
            same = (one - 1) // 4 == (other - 1) // 4
            if (closed and opens) or (not closed and not opens and same):
                moves[one, other] = 0
    return moves


def machine() -> dict[str, float]:
    """Greatest speed of fp32 products and of memory."""
    a, b = torch.randn(2048, 640), torch.randn(640, 1280)
    torch.mm(a, b)
    gemm = max(_rate(lambda: torch.mm(a, b), 2 * 2048 * 640 * 1280) for _ in range(20))
    wide = torch.randn(1 << 27)
    out = torch.empty_like(wide)
    memory = max(_rate(lambda: out.copy_(wide), 2 * wide.nbytes) for _ in range(5))
    return {"gemm_gflops": gemm / 1e9, "memory_gb_a_second": memory / 1e9, "floor_tokens_a_second": gemm / FLOPS}


def _rate(work: Callable[[], object], amount: float) -> float:
    began = time.perf_counter()
    work()
    return amount / (time.perf_counter() - began)


def weir(binary: Path, pack: Path, texts: Sequence[str], rounds: int) -> dict:
    with tempfile.NamedTemporaryFile("w", suffix=".txt.lines", encoding="utf-8") as file:
        file.write("\n".join(texts) + "\n")
        file.flush()
        command = [binary.absolute(), "bench", file.name, "--model", pack.absolute()]
        command += ["--rounds", str(rounds), "--labels", "4", "--json"]
        # from the repository's root, where `make setup` puts ONNX Runtime
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[2])
    return json.loads(done.stdout)


def _rounds(usage: Usage, case: Case, count: int) -> list[float]:
    texts = [text(usage.tokenizer, case.tokens, index) for index in range(max(8, case.batch))]
    speeds = []
    for _ in range(count + 1):  # the first one warms up
        began = time.perf_counter()
        tokens = usage.run(texts, case.batch)
        speeds.append(tokens / (time.perf_counter() - began))
    return speeds[1:]


def long_texts(binary: Path, pack: Path, tokenizer: Tokenizer) -> dict:
    """Seconds of `weir redact` for as many tokens in short texts and in long ones, without those that it starts in."""

    def seconds(tokens: int, count: int) -> float:
        with tempfile.NamedTemporaryFile("w", suffix=".log", encoding="utf-8") as file:
            file.write("".join(text(tokenizer, tokens, index) + "\n" for index in range(count)))
            file.flush()
            command = [binary.absolute(), "redact", file.name, "--model", pack.absolute()]
            command += [part for label in ("person", "organization", "city", "email") for part in ("--label", label)]
            began = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=Path(__file__).parents[2])
            took = time.perf_counter() - began
        print(f"{count} texts of {tokens} tokens: {took:.0f} s", flush=True)
        return took

    seconds(30, 1)  # from here on weights are in memory
    start, long, short = seconds(30, 1), seconds(100_000, 2), seconds(512, 200_000 // 512)
    return {"start": start, "short": short, "long": long, "cost": (long - start) / (short - start)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", type=Path)
    arguments.add_argument("pack", type=Path)
    arguments.add_argument("--weir", type=Path, required=True)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--out", type=Path)
    chosen = arguments.parse_args()
    report: dict = {"cases": []}
    usage = Usage(chosen.source)
    tokenizer = usage.tokenizer
    for case in CASES:
        # Half of PyTorch's rounds before weir's and half behind: a machine is not as fast at one time as at another.
        peaks = machine()
        print({name: round(value, 1) for name, value in peaks.items()}, flush=True)
        speeds = _rounds(usage, case, chosen.rounds // 2 + 1)
        texts = [text(tokenizer, case.tokens, index) for index in range(case.texts)]
        own = weir(chosen.weir, chosen.pack, texts, chosen.rounds)
        speeds += _rounds(usage, case, chosen.rounds // 2 + 1)
        pytorch = statistics.median(speeds)
        found = {
            "case": case.name, "asked": case.asked, "pytorch": pytorch, "pytorch_rounds": speeds,
            "bare": own["bare"], "weir": own["job"], "ratios": own["ratios"], "weir_over_bare": own["ratio"],
            "weir_over_pytorch": own["job"] / pytorch,
            "share_of_floor": own["job"] / peaks["floor_tokens_a_second"],
            "machine": peaks, "first_result_secs": own["first_result_secs"], "own_memory": own["own_memory"],
        }  # fmt: skip
        report["cases"].append(found)
        print(
            f"{case.name}: PyTorch {pytorch:.0f}, bare {own['bare']:.0f}, weir {own['job']:.0f} tokens/s: "
            f"{found['weir_over_pytorch']:.1f} x PyTorch (asked {case.asked}), {own['ratio']:.3f} of bare, "
            f"{found['share_of_floor']:.2f} of the floor; first result after {own['first_result_secs']:.1f} s",
            flush=True,
        )
    del usage  # long windows need the memory
    report["long"] = long_texts(chosen.weir, chosen.pack, tokenizer)
    print(f"a token of a text of 100,000 costs {report['long']['cost']:.2f} times one of a text of 512")
    if chosen.out:
        chosen.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
