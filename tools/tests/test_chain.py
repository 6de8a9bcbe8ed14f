"""The whole chain at its smallest: generate, train a few steps, export, evaluate; and PyTorch against ONNX.

The model starts from random weights, so nothing is fetched, and what it finds means nothing.
"""

import itertools
import json
import operator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from weir_tools import data, evaluate, export, graphs, linear, manifest, sources, train
from weir_tools.bert import Kernels
from weir_tools.examples import Asker, Drawer, Example, Item, Names, both_ways, windows
from weir_tools.examples import Text as PlainText
from weir_tools.model import Model, Shape, padded
from weir_tools.pack import Pack, session

TINY = Shape(layers=2, width=48, heads=4, inner=96)
OPTIONS = train.Options(steps=3, tokens=160, dev_every=3, dev_windows=4, save_every=1)
WINDOWS = [
    "Anna Kowalski moved to Berlin.",
    "user=jdoe_42 wrote to ops@corp.example from 192.0.2.17",
    "Nothing personal is said in this sentence, which is a little longer than the others are.",
]


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def collection(tokenizer: Tokenizer) -> data.Collection:
    return data.collect(tokenizer, None, None, synthetic=60, seed=1)


@pytest.fixture(scope="module")
def trained(tokenizer: Tokenizer, collection: data.Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train.train(train.new_model(None, Shape(), OPTIONS), tokenizer, collection, OPTIONS, out)
    return out


@pytest.fixture(scope="module")
def made(trained: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack that the chain makes."""
    out = tmp_path_factory.mktemp("pack")
    stock = sources.Stock({}, json.loads((folder / "tokenizer.json").read_text()))
    checkpoint = trained / "checkpoint.safetensors"
    export.write_graphs(sources.read_trained(checkpoint), stock, sources.read_score(checkpoint), out)
    manifest.write(out, out.parent / "measured.json", checkpoint)
    return out


@pytest.fixture(scope="module")
def rows(tokenizer: Tokenizer) -> list[list[int]]:
    return [[101, *tokenizer.encode(text, add_special_tokens=False).ids, 102] for text in WINDOWS]


@pytest.fixture(scope="module")
def model(trained: Path) -> Model:
    """The checkpoint as PyTorch runs it."""
    weights = sources.read_trained(trained / "checkpoint.safetensors")
    model = Model(Shape(), OPTIONS.tuned, OPTIONS.score)
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return model.eval()


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_the_chain_ends_in_a_pack_that_can_be_measured(made: Path) -> None:
    pack = Pack(made)
    sets = evaluate.Sets.make(pack, None, synthetic=12, most=10)
    assert len(sets.records["personal"]) == 12
    fitted = evaluate.fit(pack, sets)
    assert {"slope", "intercept", "gain_slope", "gain_intercept", "reliability"} <= set(fitted)


def test_training_logs_its_loss_and_its_dev_score(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == OPTIONS.steps
    assert lines[-1]["loss"]["tokens"] > 0
    assert set(lines[-1]["f1"]) == {"synthetic", "orchard", "lines"}


@torch.no_grad()
def test_pytorch_and_both_graphs_agree(
    made: Path, trained: Path, model: Model, rows: list[list[int]], tmp_path: Path
) -> None:
    weights = sources.read_trained(trained / "checkpoint.safetensors")
    graphs.write_backbone(weights, Kernels(linear.fp32, embeddings_8bit=False), tmp_path / "fp32.onnx", OPTIONS.score)
    exact, quantised = session(tmp_path / "fp32.onnx", 1), session(made / "backbone.onnx", 1)
    for row in rows:
        ids, mask = padded([row])
        expected = model.hidden(ids, mask)[0].numpy()
        feeds = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
        assert relative_error(exact.run(None, feeds)[0][0], expected) < 1e-4
        assert relative_error(quantised.run(None, feeds)[0][0], expected) < 0.06


@torch.no_grad()
def test_pytorch_and_the_label_encoder_agree(made: Path, model: Model, tokenizer: Tokenizer) -> None:
    labels = ["person", "private e-mail address of a person"]
    expected = model.label_vectors(tokenizer, labels).reshape(8, -1).numpy()
    assert relative_error(Pack(made).label_matrix(labels)[1:], expected) < 0.06


@torch.no_grad()
def test_a_window_is_the_same_alone_and_in_a_batch(made: Path, model: Model, rows: list[list[int]]) -> None:
    ids, mask = padded(rows)
    together = model.hidden(ids, mask)
    quantised = session(made / "backbone.onnx", 1)
    joined = quantised.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
    for number, row in enumerate(rows):
        own, ones = padded([row])
        alone = quantised.run(None, {"input_ids": own.numpy(), "attention_mask": ones.numpy()})[0][0]
        np.testing.assert_allclose(joined[number, : len(row)], alone, atol=1e-4)
        np.testing.assert_allclose(together[number, : len(row)], model.hidden(own, ones)[0], atol=1e-4)


@torch.no_grad()
def test_with_vtv_a_state_depends_on_the_rows_own_labels_alone(tokenizer: Tokenizer, rows: list[list[int]]) -> None:
    model = train.new_model(None, Shape(), replace(OPTIONS, vtv=True))
    asked = [["person", "city"], [], ["animal", "river", "phone number"]]
    ids, mask = padded(rows)
    together = model.hidden(ids, mask, model.conditioned(tokenizer, asked))
    for number, row in enumerate(rows):
        own, ones = padded([row])
        alone = model.hidden(own, ones, model.conditioned(tokenizer, [asked[number]]))[0]
        other = model.hidden(own, ones, model.conditioned(tokenizer, [["song"]]))[0]
        np.testing.assert_allclose(together[number, : len(row)], alone, atol=1e-4)
        assert relative_error(other.numpy(), alone.numpy()) > 1e-3


def test_a_training_goes_on_from_another_ones_checkpoint(
    trained: Path, tokenizer: Tokenizer, collection: data.Collection, tmp_path: Path
) -> None:
    options = replace(OPTIONS, vtv=True, steps=1)
    start = sources.read_trained(trained / "checkpoint.safetensors")
    model = train.new_model(None, Shape(), options, start)
    np.testing.assert_array_equal(model.o.detach(), start["o"])
    train.train(model, tokenizer, collection, options, tmp_path)
    trained_on = torch.load(tmp_path / "last.pt", weights_only=True)["model"]
    assert (trained_on["injection.alpha"] != -3.0).all()


def test_a_training_that_was_cut_short_ends_where_an_uncut_one_ends(
    tokenizer: Tokenizer, collection: data.Collection, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options = train.Options(steps=4, tokens=120, dev_every=9, dev_windows=1, save_every=2)
    train.train(train.new_model(None, TINY, options), tokenizer, collection, options, whole)
    train.train(train.new_model(None, TINY, options), tokenizer, collection, options, cut, stop_at=2)
    train.train(train.new_model(None, TINY, options), tokenizer, collection, options, cut)
    first, second = (sources.read_trained(folder / "checkpoint.safetensors") for folder in (whole, cut))
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, atol=2e-3, err_msg=name)


@torch.no_grad()
def test_a_training_goes_on_from_a_pack_as_from_its_checkpoint(
    made: Path, model: Model, tokenizer: Tokenizer, rows: list[list[int]]
) -> None:
    """The pack has 7 bits of what was trained, and 8 of word vectors and label encoder."""
    stock, words = sources.stock_of_pack(made), "embeddings.word_embeddings.weight"
    again = train.new_model(stock.tensors, Shape(), OPTIONS, sources.read_pack(made)).eval()
    # the two encoders have words of their own here: they begin from random weights, not both from the stock
    again.bb.load_state_dict({words: model.bb.state_dict()[words]}, strict=False)
    for row in rows:
        ids, mask = padded([row])
        assert relative_error(again.hidden(ids, mask)[0].numpy(), model.hidden(ids, mask)[0].numpy()) < 0.06
    labels = ["person", "serial number of a device"]
    own, other = (one.label_vectors(tokenizer, labels).numpy() for one in (again, model))
    assert relative_error(own, other) < 0.06


def test_a_pack_that_normalises_its_states_is_no_start(made: Path, trained: Path, tmp_path: Path) -> None:
    weights = sources.read_trained(trained / "checkpoint.safetensors")
    graphs.write_backbone(weights, export.BACKBONE, tmp_path / "backbone.onnx", "cosine")
    for name in ("label_encoder.onnx", "projection.npz"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    with pytest.raises(ValueError, match="cosine"):
        sources.read_pack(tmp_path)


def test_half_of_the_windows_have_their_digits_folded(tokenizer: Tokenizer) -> None:
    texts = [PlainText("x", "Room 1204, Ada", [(5, 9, ("room",)), (11, 14, ("person",))], ("room", "person"))]
    texts.append(PlainText("x", "no digit here", [(3, 8, ("word",))], ("word",)))
    found = both_ways(tokenizer, texts)
    folded = tokenizer.encode("Room 0000, Ada", add_special_tokens=False).ids
    plain = tokenizer.encode("Room 1204, Ada", add_special_tokens=False).ids
    assert [item.ids for item in found].count(folded) == [item.ids for item in found].count(plain) == 1
    assert len(found) == 4
    assert {chain for item in found for _, _, chain in item.spans} == {("room",), ("person",), ("word",)}


def test_windows_without_an_entity_are_drawn_as_often_as_they_are_there() -> None:
    some = Item("x", [0] * 10, [(0, 1, ("name",))], ("name",))
    drawn = Drawer([some] * 30 + [Item("x", [0] * 10, [], ("name",))] * 70, {"x": 1.0}, by_label=True)
    bare = sum(not item.spans for item in drawn.draw(train.random.Random(0), 2000))
    assert 1250 < bare < 1550


def test_only_names_are_persons_in_novels_and_all_else_is_a_mention() -> None:
    text = "He saw a wife, Mr. Darcy and the old captain. Foot passengers ran to Jane."
    marked = ("a wife", "Mr. Darcy", "the old captain", "Foot passengers", "Jane")
    spans = [(text.index(one), text.index(one) + len(one), ("person",)) for one in marked]
    found = data._mentions(PlainText("news", text, spans, ("person",)))
    mention = data.MENTIONED["person"][0]
    assert [(text[start:end], chain) for start, end, chain in found.spans] == [
        ("a wife", (mention,)),
        ("Darcy", ("person", mention)),
        ("the old captain", (mention,)),
        ("Foot passengers", (mention,)),
        ("Jane", ("person", mention)),
    ]
    assert found.types == ("person", mention)


def test_steps_can_be_changed_until_the_rate_falls() -> None:
    long, short = train.Options(steps=1000, warm=10, cool=0.4), train.Options(steps=800, warm=10, cool=0.4)
    assert train._schedule(0, long) < 0.2
    assert [train._schedule(step, long) for step in (100, 300, 470)] == [1.0] * 3
    assert [train._schedule(step, short) for step in (100, 300, 470)] == [1.0] * 3
    assert train._schedule(800, long) == 0.5
    assert train._schedule(999, long) == 0.02


def test_a_training_under_way_has_a_snapshot(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes((trained / "last.pt").read_bytes())
    train.snapshot(train.new_model(None, Shape(), replace(OPTIONS, seed=9)), OPTIONS, tmp_path)
    average = torch.load(trained / "last.pt", weights_only=True)["average"]
    for name, value in sources.read_trained(tmp_path / "checkpoint.safetensors").items():
        if name in average:
            np.testing.assert_allclose(value, average[name], atol=2e-3, err_msg=name)
    assert json.loads((tmp_path / "training.json").read_text())["steps"] == OPTIONS.steps


def test_texts_are_packed_and_cut_as_they_were(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = data.gather(None, None, synthetic=20, seed=2)
    texts.pack(tmp_path / "texts", most=10**9)
    again = data.Texts.unpack(tmp_path / "texts")
    key = operator.attrgetter("ids")
    assert sorted(again.cut(tokenizer).train, key=key) == sorted(texts.cut(tokenizer).train, key=key)
    assert again.dev.keys() == texts.dev.keys()
    texts.pack(tmp_path / "few", most=500)
    few = data.Texts.unpack(tmp_path / "few").train
    assert {text.group for text in few} == {text.group for text in texts.train}
    assert len(few) < len(texts.train)


def test_what_was_trained_elsewhere_comes_home_without_what_was_not(trained: Path, tmp_path: Path) -> None:
    whole = sources.read_trained(trained / "checkpoint.safetensors")
    (tmp_path / train.TRAINED).write_bytes((trained / train.TRAINED).read_bytes())
    assert (trained / train.TRAINED).stat().st_size < (trained / "checkpoint.safetensors").stat().st_size / 3
    train.snapshot(train.new_model(None, Shape(), replace(OPTIONS, seed=9)), OPTIONS, tmp_path)
    found = sources.read_trained(tmp_path / "checkpoint.safetensors")
    for name in sources.read_trained(tmp_path / train.TRAINED):
        np.testing.assert_array_equal(found[name], whole[name])


def test_many_processes_make_the_batches_that_one_makes(collection: data.Collection) -> None:
    batcher = train.Batcher(collection, OPTIONS)
    made = train._made(batcher, 3, torch.device("cuda"))
    assert list(itertools.islice(made, 4)) == [batcher.batch(number) for number in range(3, 7)]
    made.close()


def test_a_training_takes_the_time_it_is_given(
    tokenizer: Tokenizer, collection: data.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "TRIAL", 1)
    options = train.Options(steps=500, tokens=60, dev_every=999, dev_windows=1, save_every=999)
    train.train(train.new_model(None, TINY, options), tokenizer, collection, options, tmp_path, seconds=0.01)
    assert json.loads((tmp_path / "training.json").read_text())["steps"] == 3


def test_the_most_specific_asked_for_label_is_right(tokenizer: Tokenizer) -> None:
    text = PlainText(
        "x", "Curie won", [(0, 5, ("physicist", "scientist", "person"))], ("physicist", "scientist", "person")
    )
    (item,) = windows(tokenizer, [text])
    chain = list(text.spans[0][2])
    for seed in range(200):
        example = Asker(Names()).ask(item, train.random.Random(seed), {})
        asked = [one for one in chain if one in example.labels]
        assert [example.labels[label] for _, _, label in example.spans] == asked[:1]


def test_a_full_batch_keeps_the_general_labels_that_stand_beside_the_right_ones() -> None:
    physicist = Example([1], ["person", "river", "physicist"], [(0, 1, 2)], [{"physicist", "person"}], [], True)
    painter = Example([2], ["sea", "painter"], [(0, 1, 1)], [{"painter", "person"}], [], True)
    first, second = train.share_labels([physicist, painter], most=2)
    assert first.labels == ["person", "physicist"]
    assert second.labels == ["painter"]
    assert [first.labels[label] for _, _, label in first.spans] == ["physicist"]


def test_a_scheme_is_asked_whole_and_nothing_beside_it() -> None:
    types = ("date", "phone", "fax", "username")
    item = Item("x", [1, 2], [(0, 1, ("fax", "phone")), (1, 2, ("username",))], types)
    scheme = frozenset({"date", "phone"})
    asked = [Asker(Names(), None, [scheme]).ask(item, train.random.Random(seed), {}) for seed in range(100)]
    alone = [example for example in asked if set(example.labels) == scheme]
    assert 15 < len(alone) < 60
    assert {example.labels[label] for example in alone for _, _, label in example.spans} == {"phone"}


def test_a_concept_has_one_name_in_a_batch() -> None:
    names = Names()
    names.add("phone", ["phone", "telephone", "mobile", "call number"])
    item = Item("x", [1], [(0, 1, ("phone",))], ("phone", "date"))
    called: dict[str, str] = {}
    rng = train.random.Random(3)
    asked = [Asker(names).ask(item, rng, called) for _ in range(50)]
    assert len({label for example in asked for label in example.labels} - {"date"}) == 1


def test_a_group_gets_its_share_of_the_tokens_however_long_its_texts() -> None:
    items = [Item("short", [0] * 10, [], ()), Item("long", [0] * 90, [], ())]
    drawn = Drawer(items, {"short": 0.5, "long": 0.5}, by_label=True).draw(train.random.Random(0), 2000)
    tokens = {group: sum(len(item.ids) for item in drawn if item.group == group) for group in ("short", "long")}
    assert 0.8 < tokens["short"] / tokens["long"] < 1.25


def test_a_withheld_corpus_is_never_trained_on(tokenizer: Tokenizer, tmp_path: Path) -> None:
    import gzip

    record = {"text": "Ada wrote it", "entities": [{"start": 0, "end": 3, "label": "person"}], "types": ["person"]}
    for corpus in ("gum_train", "btc_train"):
        with gzip.open(tmp_path / f"{corpus}.jsonl.gz", "wt") as out:
            out.write(json.dumps(record | {"source": corpus}) + "\n")
    found = data.collect(tokenizer, tmp_path, None, synthetic=0, seed=0)
    assert set(found.dev) == {"withheld/gum_train", "passages", "later passages"}
    assert {item.group for item in found.train} == {"news", "passages"}
