"""What a training is held to by the model that it began with, and weights between the two."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from weir_tools import blend, data, keep, sources, train
from weir_tools.examples import Example, Item, Names
from weir_tools.model import Model, Shape

TINY = Shape(layers=2, width=48, heads=4, inner=96)
LABELS = ["town", "person", "river"]


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def items(tokenizer: Tokenizer) -> list[Item]:
    texts = [("passages", "Anna Kowalski moved to Berlin."), ("orchard", "Please call Bo Li at once, or write.")]
    return [
        Item(group, tokenizer.encode(text, add_special_tokens=False).ids, [(0, 2, ("person",))], ("person", "town"))
        for group, text in texts
    ]


def kept(model: Model, start: keep.Start, tokenizer: Tokenizer, examples: list[Example]) -> float:
    with torch.no_grad():
        return train.losses(model, tokenizer, examples, False, start).kept.item()


def test_the_start_is_at_no_distance_from_itself_and_stays_what_it_was(tokenizer: Tokenizer) -> None:
    model = train.new_model(None, TINY, train.Options(steps=1))
    start = keep.Start(model)
    examples = [keep.asked(item, LABELS) for item in items(tokenizer)]
    assert kept(model, start, tokenizer, examples) == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        model.hp.weight.add_(torch.randn_like(model.hp.weight))
    assert kept(model, start, tokenizer, examples) > 0.01


def test_how_long_the_other_rows_are_does_not_matter(tokenizer: Tokenizer) -> None:
    model = train.new_model(None, TINY, train.Options(steps=1))
    start = keep.Start(model)
    with torch.no_grad():
        model.hp.weight.add_(torch.randn_like(model.hp.weight))
    short = keep.asked(items(tokenizer)[0], LABELS)
    long = Example([1012] * 60, ["person"], [(0, 2, 0)], [{"person"}], [], False)
    alone = kept(model, start, tokenizer, [short])
    assert kept(model, start, tokenizer, [long, short]) == pytest.approx(alone, rel=1e-4)


def test_what_is_kept_is_no_answer_of_the_annotators(tokenizer: Tokenizer) -> None:
    model = train.new_model(None, TINY, train.Options(steps=1))
    right, wrong = items(tokenizer)
    annotated = Example(right.ids, ["person"], [(0, 2, 0)], [{"person"}], [], False)
    with torch.no_grad():
        alone = train.losses(model, tokenizer, [annotated], False).tokens.item()
        both = train.losses(model, tokenizer, [annotated, keep.asked(wrong, LABELS)], False).tokens.item()
    assert both == pytest.approx(alone, rel=1e-4)


def test_only_running_text_is_answered_as_the_start_does(tokenizer: Tokenizer) -> None:
    own = items(tokenizer)
    collection = data.Collection(own, {}, Names(), None)
    batcher = train.Batcher(collection, train.Options(steps=1, keep=1.0, tokens=200))
    examples = [example for number in range(20) for example in batcher.batch(number)]
    assert {example.open for example in examples} == {True, False}
    assert all(example.open == (example.ids == own[0].ids) for example in examples)


def test_labels_that_nothing_has_are_not_drawn(tokenizer: Tokenizer) -> None:
    pool = keep.Pool(items(tokenizer), Names())
    assert pool.draw(random.Random(0)) == ["person"]  # "town" is only looked for


def test_a_blend_is_between_the_two_and_has_the_rest_of_the_new_one(tmp_path: Path) -> None:
    new = {"hp.weight": np.array([4.0, 0.0], np.float16), "le.words": np.array([7.0], np.float16)}
    old = {"hp.weight": np.array([0.0, 2.0], np.float16)}
    for name, tensors in (("new", new), ("old", old)):
        save_file(tensors, tmp_path / f"{name}.safetensors", metadata={"score": "normed"})
    (tmp_path / "training.json").write_text(json.dumps({"steps": 3}))
    out = tmp_path / "out" / "checkpoint.safetensors"
    blend.write(tmp_path / "new.safetensors", tmp_path / "old.safetensors", 0.75, out)
    found = sources.read_trained(out)
    assert found["hp.weight"].tolist() == [3.0, 0.5]
    assert found["le.words"].tolist() == [7.0]
    assert sources.read_score(out) == "normed"
    assert json.loads((out.parent / "training.json").read_text()) == {"steps": 3, "share": 0.75}
