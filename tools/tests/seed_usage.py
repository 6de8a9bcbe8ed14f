"""What the large families find, in PyTorch and transformers alone, as the seed's usage code does it: design 4.1, 4.3.
Beside it what each label marks by itself, in whole words: design I11.

    python tools/tests/seed_usage.py OUT

makes tiny checkpoints of random weights, exports the adaptive one with and without VtV and the one with a fixed head,
and writes OUT/cases.json: random texts and label sets, and the entities of each. OUT/layout is the fixed head as such
models are published, with graphs in `onnx/`. A case whose entities change when its scores move by a rounding
error, or in which a router hesitates between two experts, is marked: either answer is right there.
"""

import json
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny  # noqa: E402
import torch  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from torch import Tensor  # noqa: E402

from weir_tools import large  # noqa: E402

CASES = 240
TEXTS = ("beginning of {}", "continuation of {}", "end of {}", "complete {}")
INJECTED = (0, 2, 4, 6)
TAPPED = (2, 4, 6, 8)  # 6, 12, 18, 24 of 24
NOISE = 5e-5
DRAWS = 16
UNDECIDED = 2e-5
WORDS = (
    "call mail send the a of to Orla Finch Ivo Petrov Berlin Osaka invoice 4411 192.0.2.17 user=jdoe_42 status ok "
    "yesterday 3 May 2031 open, closed. harbour; lane 12 nothing said (again) orla@finch.example +00 555 0142"
).split()
LABELS = (
    "person", "e-mail address", "city", "date", "street", "phone number", "private phone of a person", "invoice number",
    "user name", "ip address", "state of a request", "amount", "organisation", "time of day",
)  # fmt: skip


class Seed:
    def __init__(self, folder: Path) -> None:
        self.model, self.encoder = tiny.mixture(), tiny.label_encoder()
        self.extra = tiny.extra()
        self.words = Tokenizer.from_file(str(folder / "backbone" / "tokenizer.json"))
        self.labels = Tokenizer.from_file(str(folder / "arctic" / "tokenizer.json"))
        self._known: dict[str, tuple[list[Tensor], Tensor]] = {}

    def of_labels(self, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(1 + 4 N, hidden), and V: (points, N, hidden)."""
        known = [self._of_label(label) for label in labels]
        vectors = [self.extra["o_embed"], *(vector for own, _ in known for vector in own)]
        return torch.stack(vectors), torch.stack([v for _, v in known], 1)

    def _of_label(self, label: str) -> tuple[list[Tensor], Tensor]:
        """Vectors of B, I, E and S, and V at each point."""
        if label not in self._known:
            vectors, taps = [], []
            for text in TEXTS:
                ids = torch.tensor([self.labels.encode(text.format(label)).ids[:32]])
                states = self.encoder(ids, output_hidden_states=True).hidden_states
                vectors.append(self._linear("proj", states[-1][0, 0]))
                points = [self._linear(f"prefix_projs.{n}", states[at][0, 0]) for n, at in enumerate(TAPPED)]
                taps.append(torch.stack(points))
            self._known[label] = vectors, torch.stack(taps).mean(0)
        return self._known[label]

    def logits(self, ids: Sequence[int]) -> tuple[Tensor, float]:
        states, gap = self.hidden(ids, None)
        return self.model.score(states), gap

    def hidden(self, ids: Sequence[int], v: Tensor | None) -> tuple[Tensor, float]:
        """States, and the least distance of a router's fourth choice from its fifth."""
        gaps, hooks = [], []
        for layer in self.model.model.layers:
            hooks.append(layer.mlp.router.register_forward_hook(lambda router, x, _: gaps.append(_gap(router, x[0]))))
        for point, layer in enumerate(INJECTED if v is not None else ()):

            def inject(_module, _inputs, h, point=point):
                own, gate = v[point], torch.sigmoid(self.extra["alphas"][point])
                return (1 - gate) * h + gate * (h @ own.T @ own / len(own))

            hooks.append(self.model.model.layers[layer].register_forward_hook(inject))
        states = self.model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        for hook in hooks:
            hook.remove()
        return states, min(gaps)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.extra[f"{name}.weight"].T + self.extra[f"{name}.bias"]


def _gap(router: torch.nn.Module, x: Tensor) -> float:
    ranked = (x.reshape(-1, x.shape[-1]) @ router.weight.T + router.bias).sort(-1, descending=True).values
    return float((ranked[:, 3] - ranked[:, 4]).min())


def best_paths(scores: Tensor, biases: dict[str, float] | None = None) -> Tensor:
    """Classes of the best path over O and B, I, E, S of each label, with every transition written out.

    `scores` (several, tokens, classes).
    """
    count = scores.shape[2]
    part, label = _parts(count)
    closed = (part == -1) | (part == 2) | (part == 3)
    opens = (part == -1) | (part == 0) | (part == 3)
    same = label[:, None] == label[None]
    goes_on = ~closed[:, None] & ~opens[None] & same
    allowed = (closed[:, None] & opens[None]) | goes_on
    moves = torch.where(allowed, 0.0, -torch.inf).double()
    outside, end = part == -1, part == 2
    steps = {
        "background_stay": (outside, outside), "background_to_start": (outside, opens & ~outside),
        "inside_to_continue": (~closed, part == 1), "inside_to_end": (~closed, end),
        "end_to_background": (closed & ~outside, outside), "end_to_start": (closed & ~outside, opens & ~outside),
    }  # fmt: skip
    for name, bias in (biases or {}).items():
        before, behind = steps[name]
        moves[before[:, None] & behind[None]] += bias
    best = torch.where(opens, scores[:, 0], -torch.inf).double()
    back = []
    for row in scores[:, 1:].double().unbind(1):
        reached, came = (best[:, :, None] + moves).max(1)
        back.append(came)
        best = reached + row
    at = torch.where(closed, best, -torch.inf).argmax(1)
    paths = [at]
    for came in reversed(back):
        at = came.gather(1, at[:, None])[:, 0]
        paths.append(at)
    return torch.stack(paths[::-1], 1)


def _parts(count: int) -> tuple[Tensor, Tensor]:
    """Of each class its part, -1 for O and then B, I, E, S; and its label."""
    part = torch.tensor([-1 if index == 0 else (index - 1) % 4 for index in range(count)])
    label = torch.tensor([-1 if index == 0 else (index - 1) // 4 for index in range(count)])
    return part, label


def viterbi(scores: Tensor, biases: dict[str, float] | None = None) -> list[tuple[int, int, int]]:
    """(start, end, label) of the best path."""
    part, label = _parts(scores.shape[1])
    found, start = [], 0
    for place, at in enumerate(best_paths(scores[None], biases)[0].tolist()):
        if int(part[at]) in (0, 3):
            start = place
        if int(part[at]) in (2, 3):
            found.append((start, place + 1, int(label[at])))
    return found


def near(scores: Tensor, generator: torch.Generator, biases: dict[str, float] | None = None) -> bool:
    """Whether a rounding error may choose another path: one draw misses two classes 1e-5 apart every other time."""
    noise = NOISE * torch.randn(DRAWS, *scores.shape, generator=generator)
    noise[0] = 0
    paths = best_paths(scores + noise, biases)
    return bool((paths != paths[0]).any())


def case(seed: Seed, rng: random.Random, text: str, labels: Sequence[str]) -> dict:
    encoding = seed.words.encode(text, add_special_tokens=False)
    vectors, v = seed.of_labels(labels)
    made: dict = {"text": text, "labels": labels}
    generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
    for name, injected in (("plain", None), ("vtv", v)):
        states, gap = seed.hidden(encoding.ids, injected)
        scores = states @ vectors.T
        alone = _alone(scores, len(labels))
        marks = [(start, end, label) for label, own in enumerate(alone) for start, end, _ in viterbi(own)]
        made[name] = {
            "near": gap < UNDECIDED or near(scores, generator) or any(near(own, generator) for own in alone),
            "spans": sorted(_spans(text, encoding.offsets, viterbi(scores), labels)),
            "marks": _whole(text, _spans(text, encoding.offsets, marks, labels)),
        }
    scores, gap = seed.logits(encoding.ids)
    spans = sorted(_spans(text, encoding.offsets, viterbi(scores, tiny.BIASES), tiny.CATEGORIES))
    made["head"] = {
        "near": gap < UNDECIDED or near(scores, generator, tiny.BIASES),
        "spans": spans,
        "marks": _whole(text, spans),
    }
    return made


def _alone(scores: Tensor, labels: int) -> list[Tensor]:
    """Scores of O and of each label's own classes."""
    return [torch.cat([scores[:, :1], scores[:, 1 + 4 * at : 5 + 4 * at]], 1) for at in range(labels)]


def _whole(text: str, spans: list) -> list:
    """A span that ends inside of a word, or of a number, has the rest of it."""
    whole = []
    for start, end, label in spans:
        while start > 0 and _inside(text[start - 1 : start + 1]):
            start -= 1
        while end < len(text) and _inside(text[end - 1 : end + 1]):
            end += 1
        whole.append([start, end, label])
    return sorted(whole)


def _inside(pair: str) -> bool:
    return pair.isalpha() or pair.isnumeric()


def _spans(text: str, offsets: list[tuple[int, int]], found: list[tuple[int, int, int]], labels: Sequence[str]) -> list:
    """A token holds the space before its word; an entity does not."""
    spans = []
    for first, end, label in found:
        start, stop = offsets[first][0], offsets[end - 1][1]
        own = text[start:stop]
        if own.strip():
            left = len(own) - len(own.lstrip())
            spans.append([start + left, start + len(own.rstrip()), labels[label]])
    return spans


@torch.no_grad()
def main(out: Path) -> None:
    torch.set_num_threads(1)  # of small products; threads would only wait for each other
    tiny.write_adaptive(out / "published" / "original")
    for name, vtv in (("plain", False), ("vtv", True)):
        large.export(out / "published", out / name, ["fp32"], vtv, longest=256, padded=True)
    tiny.write_fixed_head(out / "fixed")
    large.export(out / "fixed", out / "head", ["fp32"], longest=256, padded=True)
    layout = out / "layout"
    (layout / "onnx").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "viterbi_calibration.json"):
        shutil.copyfile(out / "fixed" / name, layout / name)
    shutil.copyfile(out / "head" / "backbone.onnx", layout / "onnx" / "model_quantized.onnx")
    shutil.copyfile(out / "head" / "backbone.onnx.data", layout / "onnx" / "backbone.onnx.data")
    seed, rng = Seed(out / "published" / "original"), random.Random(11)
    cases = []
    for number in range(CASES):
        # one in twenty is longer than a window of the pack
        words = rng.randint(150, 250) if number % 20 == 0 else rng.randint(1, 30)
        text = " ".join(rng.choice(WORDS) for _ in range(words))
        cases.append(case(seed, rng, text, rng.sample(LABELS, rng.randint(1, len(LABELS)))))
    (out / "cases.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
