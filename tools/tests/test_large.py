"""Whole packs from tiny checkpoints in the layouts of the large models, and the plain forward they are checked by."""

import json
import resource
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from weir_tools import arctic, large, random_large, reference
from weir_tools.checkpoint import Checkpoint, Problem
from weir_tools.pack import session


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    tiny.write_adaptive(folder / "original")
    return folder


@pytest.fixture(scope="module")
def fixed_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fixed")
    tiny.write_fixed_head(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_tokenizer(fixed_head: Path) -> Path:
    return fixed_head / "tokenizer.json"


@torch.no_grad()
def test_the_plain_forward_of_the_experts_is_that_of_transformers(adaptive: Path) -> None:
    model = tiny.mixture()
    ids = torch.randint(0, 900, (1, 50), generator=torch.Generator().manual_seed(1))
    wanted = model.model(input_ids=ids).last_hidden_state[0].numpy()
    (found,) = reference.mixture(Checkpoint(adaptive / "original" / "backbone"), ids.tolist())
    assert np.abs(found.states - wanted).max() < 1e-4
    assert 0 < found.narrowest < 1


@torch.no_grad()
def test_the_plain_forward_of_the_label_encoder_is_that_of_transformers(adaptive: Path) -> None:
    model, encoder = tiny.label_encoder(), arctic.Encoder(adaptive / "original" / "arctic")
    ids = [0, 17, 33, 250, 8, 2]
    states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    found = reference.roberta(encoder.read, [ids], encoder.heads, encoder.epsilon, encoder.padding, encoder.taps)
    assert encoder.taps == [2, 4, 6, 8]
    for layer, own in zip(encoder.taps, found, strict=True):
        assert np.abs(own[0] - states[layer][0, 0].numpy()).max() < 1e-5


@pytest.mark.parametrize("vtv", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "8", "4"])
def test_an_adaptive_checkpoint_becomes_a_pack(adaptive: Path, tmp_path: Path, precision: str, vtv: bool) -> None:
    large.export(adaptive, tmp_path / "pack", [precision], vtv, longest=256, padded=True)
    manifest = tomllib.loads((tmp_path / "pack" / "pack.toml").read_text())
    assert manifest["family"] == "adaptive"
    assert manifest["dimensions"]["hidden"] == tiny.WIDTH
    assert ("injection" in manifest) == vtv
    assert {file["path"] for file in manifest["files"]} == {
        path.name for path in (tmp_path / "pack").iterdir() if path.name != "pack.toml"
    }
    assert manifest["backbone"]["file"] == "packed.onnx"
    assert [graph["file"] for graph in manifest["alternatives"]] == ["backbone.onnx"]
    inputs = {one.name for one in session(tmp_path / "pack" / "backbone.onnx", 1).get_inputs()}
    assert inputs == {"input_ids", "attention_mask"} | ({"v", "n_labels"} if vtv else set())
    assert list(tmp_path.iterdir()) == [tmp_path / "pack"]


@pytest.mark.parametrize("layers", [8, 1])
def test_a_fixed_head_becomes_a_pack(tmp_path: Path, layers: int) -> None:
    """With one layer: HarEmb's size."""
    tiny.write_fixed_head(tmp_path / "published", layers=layers)
    large.export(tmp_path / "published", tmp_path / "pack", ["fp32"], longest=256)
    manifest = tomllib.loads((tmp_path / "pack" / "pack.toml").read_text())
    assert manifest["head"]["classes"] == tiny.CLASSES
    assert "alternatives" not in manifest
    assert (tmp_path / "pack" / manifest["head"]["calibration"]).exists()


def without(name: str):
    def change(folder: Path) -> None:
        made = tiny.extra()
        del made[name]
        torch.save(made, folder / "original" / "label_encoder_extra.pt")

    return change


def configured(part: str, **changes: object):
    def change(folder: Path) -> None:
        file = folder / "original" / part / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def removed(part: str):
    return lambda folder: (folder / "original" / part).unlink()


def cut(part: str):
    def change(folder: Path) -> None:
        file = folder / "original" / part
        file.write_bytes(file.read_bytes()[:-50])

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("o_embed"), "there is no 'o_embed'"),
        (without("prefix_projs.2.weight"), "3 prefix projections and 4 alphas"),
        (without("alphas"), "4 prefix projections and 0 alphas"),
        (configured("backbone", model_type="llama"), "model_type is 'llama'"),
        (configured("backbone", num_hidden_layers=9), "there is no tensor model.layers.8."),
        (configured("arctic", model_type="bert"), "model_type is 'bert'"),
        (configured("arctic", intermediate_size=81), "by config.json it should be (64, 81)"),
        (removed("backbone/tokenizer.json"), "tokenizer.json is missing"),
        (removed("label_encoder_extra.pt"), "label_encoder_extra.pt is missing"),
        (cut("arctic/model.safetensors"), "is cut off"),
        (cut("label_encoder_extra.pt"), "can't be read"),
    ],
)
def test_what_is_wrong_is_named_and_no_pack_is_left(adaptive: Path, tmp_path: Path, change, said: str) -> None:
    shutil.copytree(adaptive, tmp_path / "published")
    change(tmp_path / "published")
    with pytest.raises(Problem) as problem:
        large.export(tmp_path / "published", tmp_path / "pack", ["fp32"], longest=256)
    assert said in str(problem.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "published"]


def test_weights_that_come_out_wrong_are_noticed(adaptive: Path, tmp_path: Path, monkeypatch) -> None:
    whole = large.experts.whole

    def wrong(graph, tokens, routing, up, down, name, **how):
        return whole(graph, tokens, routing, up, large.experts.Product(down.weight, down.bias + 0.01), name, **how)

    bad = large.Precision(large.mixture.Kernels(wrong), large.PRECISIONS["fp32"].labels, 1e-4, 0.99999, 0.99999, 4.0)
    monkeypatch.setitem(large.PRECISIONS, "fp32", bad)
    with pytest.raises(Problem, match="not what the checkpoint gives"):
        large.export(adaptive, tmp_path / "pack", ["fp32"], longest=256)
    assert not list(tmp_path.iterdir())


def test_a_pack_is_not_written_over(adaptive: Path, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    with pytest.raises(Problem, match="exists"):
        large.export(adaptive, tmp_path / "pack")


def test_too_little_space_is_told_before_anything_is_written(adaptive: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 1000))
    with pytest.raises(Problem, match="GB free"):
        large.export(adaptive, tmp_path / "pack")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_nothing(adaptive: Path, tmp_path: Path) -> None:
    """The command itself, with files bounded to 1 MB, as a full disk would bound them."""
    command = [sys.executable, "-m", "weir_tools.large", str(adaptive), str(tmp_path / "pack"), "--longest", "256"]
    done = subprocess.run(
        [*command, "--experts", "fp32"],
        cwd=Path(large.__file__).parents[1],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: "), done.stderr
    assert "can't be written" in done.stderr
    assert not list(tmp_path.iterdir())


def test_memory_stays_far_below_twice_the_checkpoint(tmp_path: Path, tiny_tokenizer: Path) -> None:
    config = random_large.MIXTURE | {
        "vocab_size": 1000, "hidden_size": 256, "intermediate_size": 256, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_local_experts": 64,
    }  # fmt: skip
    random_large.write_fixed_head(tmp_path / "random", tiny_tokenizer, config)
    size = (tmp_path / "random" / "model.safetensors").stat().st_size
    assert size > 2e8
    before, most, ended = _own_memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.01):
            most = max(most, _own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        large.export(tmp_path / "random", tmp_path / "pack", ["fp32", "4"], longest=256)
    finally:
        ended.set()
        watcher.join()
    assert most - before < 1.25 * size, f"{(most - before) / size:.2f} times the checkpoint"


def _own_memory() -> int:
    """Without what is mapped from files, which the kernel takes back when it wants to."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon:")).split()[1]) << 10
