"""The privacy-filter backbone at tiny size, in the layout that transformers writes, against transformers itself."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tiny
import torch
from transformers import OpenAIPrivacyFilterForTokenClassification

from weir_tools import experts, layout, linear, mixture
from weir_tools.checkpoint import Checkpoint, Problem
from weir_tools.graph import Graph

GATES = tuple(1 / (1 + np.exp(-alpha)) for alpha in tiny.ALPHAS)
LENGTHS = (60, 41, 7)


class Blocks(layout.Packed):
    """Attention in blocks, however short rows are."""

    whole = 0


@pytest.fixture(scope="module")
def model() -> OpenAIPrivacyFilterForTokenClassification:
    return tiny.mixture()


@pytest.fixture(scope="module")
def folder(model: OpenAIPrivacyFilterForTokenClassification, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def texts() -> dict[str, torch.Tensor]:
    ids = torch.randint(0, 900, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(5))
    mask = torch.zeros_like(ids)
    for row, length in enumerate(LENGTHS):
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


def exported(
    folder: Path, out: Path, kernels: mixture.Kernels = mixture.Kernels(), **how
) -> onnxruntime.InferenceSession:
    graph = Graph("backbone", out / "backbone.onnx.data")
    mixture.backbone(graph, Checkpoint(folder), kernels, positions=64, **how)
    graph.save(out / "backbone.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(out / "backbone.onnx", options, providers=["CPUExecutionProvider"])


def packed(texts: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    rows = [np.arange(length) for length in LENGTHS]
    return {
        "input_ids": in_text(texts["input_ids"].numpy()),
        "position_ids": np.concatenate(rows),
        "segment_ids": np.concatenate([np.full(len(row), number) for number, row in enumerate(rows)]),
    }


def run(session: onnxruntime.InferenceSession, texts: dict[str, torch.Tensor], **more: np.ndarray) -> np.ndarray:
    (out,) = session.run(None, {name: value.numpy() for name, value in texts.items()} | more)
    return out


def in_text(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[row, :length] for row, length in enumerate(LENGTHS)])


def hidden(model: OpenAIPrivacyFilterForTokenClassification, texts: dict[str, torch.Tensor]) -> np.ndarray:
    with torch.no_grad():
        return in_text(model.model(**texts).last_hidden_state.numpy())


def test_hidden_states_are_those_of_transformers(model, folder, texts, tmp_path):
    found = in_text(run(exported(folder, tmp_path), texts))
    assert np.abs(found - hidden(model, texts)).max() < 1e-4


def test_logits_are_those_of_transformers(model, folder, texts, tmp_path):
    with torch.no_grad():
        wanted = in_text(model(**texts).logits.numpy())
    found = in_text(run(exported(folder, tmp_path, classes=33), texts))
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize("how", [layout.Packed, Blocks])
def test_rows_one_behind_the_other_give_the_same(model, folder, texts, tmp_path, how):
    session = exported(folder, tmp_path, layout=how)
    (found,) = session.run(None, packed(texts))
    assert found.shape == (sum(LENGTHS), tiny.WIDTH)
    assert np.abs(found - hidden(model, texts)).max() < 1e-4
    start = 0
    for row, length in enumerate(LENGTHS):
        one = {"input_ids": texts["input_ids"][row, :length].numpy()}
        one |= {"position_ids": np.arange(length), "segment_ids": np.zeros(length, np.int64)}
        (alone,) = session.run(None, one)
        assert np.abs(found[start : start + length] - alone).max() < 1e-5
        start += length


def test_short_rows_are_filled_up_and_long_ones_are_not(folder, tmp_path):
    """By what it takes: a square of 900 tokens for each of 100 rows would be gigabytes."""
    graph = Graph("backbone", tmp_path / "backbone.onnx.data")
    mixture.backbone(graph, Checkpoint(folder), mixture.Kernels(), positions=1024, layout=layout.Packed)
    graph.save(tmp_path / "backbone.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.enable_profiling = 3, True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(tmp_path / "backbone.onnx", options, providers=["CPUExecutionProvider"])

    def attended(*lengths: int) -> np.ndarray:
        rows = [np.arange(length) for length in lengths]
        segments = np.concatenate([np.full(len(row), number) for number, row in enumerate(rows)])
        places = np.concatenate(rows)
        feeds = {"input_ids": places % 900, "position_ids": places, "segment_ids": segments}
        return session.run(None, feeds)[0]

    attended(300, 280, 250)
    alone, among = attended(900), attended(900, *[3] * 100)
    assert np.abs(among[:900] - alone).max() < 1e-5
    nodes = [event for event in json.loads(Path(session.end_profiling()).read_text()) if event.get("cat") == "Node"]
    squares = [event for event in nodes if event["name"].endswith(".context.whole_kernel_time")]
    blocks = [event for event in nodes if event["name"].endswith(".context.shares_kernel_time")]
    assert (len(squares), len(blocks)) == (8, 16), "one batch of three has short rows, in eight layers"


@pytest.mark.parametrize("strategy", [experts.whole, experts.apart])
def test_experts_give_the_same_however_they_are_run(model, folder, texts, tmp_path, strategy):
    found = in_text(run(exported(folder, tmp_path, mixture.Kernels(strategy)), texts))
    assert np.abs(found - hidden(model, texts)).max() < 1e-4


def test_a_row_does_not_depend_on_its_batch_mates(folder, texts, tmp_path):
    session = exported(folder, tmp_path)
    together = run(session, texts)
    for row, length in enumerate(LENGTHS):
        alone = run(session, {name: value[row : row + 1, :length] for name, value in texts.items()})
        assert np.abs(together[row, :length] - alone[0]).max() < 1e-5


def test_labels_are_injected_row_by_row(model, folder, texts, tmp_path):
    """Rows of one batch have different label sets; one has none."""
    counts = np.array([6, 3, 0])
    v = np.random.default_rng(0).standard_normal((3, 4, 6, 64)).astype(np.float32) * 0.3
    for row, count in enumerate(counts):
        v[row, :, count:] = 0
    hooks = []
    for point, layer in enumerate(mixture.INJECTED):

        def inject(_module, _inputs, out, point=point):
            changed = out.clone()
            for row, count in enumerate(counts):
                if count:
                    own = torch.tensor(v[row, point, :count])
                    changed[row] += GATES[point] * (out[row] @ own.T @ own / int(count) - out[row])
            return changed

        hooks.append(model.model.layers[layer].register_forward_hook(inject))
    try:
        wanted = hidden(model, texts)
    finally:
        for hook in hooks:
            hook.remove()
    feeds = packed(texts)
    asked = {
        "v": np.concatenate([v[row, :, :count] for row, count in enumerate(counts)], axis=1),
        "label_sets": np.repeat(np.arange(len(counts)), counts),
        "token_sets": np.where(counts > 0, np.arange(len(counts)), -1)[feeds["segment_ids"]],
    }
    plain = hidden(model, texts)
    assert np.abs(wanted - plain).max() > 0.1, "the injection did nothing"
    for found in (
        in_text(run(exported(folder, tmp_path, gates=GATES), texts, v=v, n_labels=counts)),
        exported(folder, tmp_path, gates=GATES, layout=layout.Packed).run(None, feeds | asked)[0],
        exported(folder, tmp_path, gates=GATES, layout=Blocks).run(None, feeds | asked)[0],
    ):
        assert np.abs(found - wanted).max() < 1e-4
        assert np.abs(found[-LENGTHS[-1] :] - plain[-LENGTHS[-1] :]).max() < 1e-4, "a row without labels was changed"


def rounded(values: torch.Tensor, bits: int, block: int | None) -> torch.Tensor:
    """(experts, in, out) as few bits hold it: a step for each `block` inputs of an output."""
    blocks = values.transpose(1, 2).unflatten(-1, (-1, block or values.shape[1]))
    step = blocks.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
    return ((blocks / step).round() * step).flatten(2).transpose(1, 2)


@pytest.mark.parametrize(("bits", "block"), [(8, None), (4, 32)])
def test_few_bits_are_those_of_the_rounded_model(model, folder, texts, tmp_path, bits, block):
    """Where nothing but the weights is rounded, the same must come out: layout of codes, steps, gate and up.

    With 8 bits in blocks ONNX Runtime 1.31 rounds activations too, at every accuracy level.
    """
    same = copy.deepcopy(model)
    with torch.no_grad():
        for layer in same.model.layers:
            for values in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj):
                values.copy_(rounded(values, bits, block))
    kernels = mixture.Kernels(experts.quantised(bits, block, accuracy_level=0))
    found = in_text(run(exported(folder, tmp_path, kernels), texts))
    assert np.abs(found - hidden(same, texts)).max() < 1e-3


# Least mean cosine between a token's states and the exact ones. Weights are random here and routers undecided: a
# rounding that makes another expert the fourth costs more than in a model that was trained.
@pytest.mark.parametrize(
    ("kernels", "least"),
    [
        (mixture.Kernels(experts.quantised(8, 32)), 0.995),
        (mixture.Kernels(experts.quantised(8, None)), 0.995),
        (mixture.Kernels(experts.quantised(4, 32)), 0.92),
        (mixture.Kernels(experts.quantised(8, 32), linear.blockwise(32, 4), embeddings_8bit=True), 0.98),
    ],
    ids=["8 bits", "8 bits, a step a row", "4 bits", "all in 8 bits"],
)
def test_rounded_activations_are_near(model, folder, texts, tmp_path, kernels, least):
    found, wanted = in_text(run(exported(folder, tmp_path, kernels), texts)), hidden(model, texts)
    cosines = (found * wanted).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(wanted, axis=-1)
    assert cosines.mean() > least, (cosines.mean(), cosines.min())


def test_half_precision_is_read(model, folder, tmp_path):
    """As the published files are stored."""
    half = tmp_path / "half"
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(half)
    wanted = Checkpoint(folder).tensor("model.norm.weight", 64)
    found = Checkpoint(half).tensor("model.norm.weight", 64)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - wanted).max() < 0.01


def test_a_checkpoint_in_parts_is_read(model, folder, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    name = "model.layers.7.mlp.experts.down_proj"
    assert (Checkpoint(tmp_path).tensor(name, 16, 96, 64) == Checkpoint(folder).tensor(name, 16, 96, 64)).all()


def broken(folder: Path, out: Path, **changes: object) -> Path:
    shutil.copytree(folder, out)
    config = json.loads((folder / "config.json").read_text()) | changes
    (out / "config.json").write_text(json.dumps(config))
    return out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'"),
        ({"num_hidden_layers": 9}, "there is no tensor model.layers.8.input_layernorm.weight"),
        ({"intermediate_size": 64}, "gate_up_proj has shape (16, 64, 192)"),
        ({"rope_parameters": {"rope_type": "default"}}, "rope_parameters"),
    ],
)
def test_what_does_not_fit_is_named(folder, tmp_path, changes, said):
    with pytest.raises(Problem) as problem:
        exported(broken(folder, tmp_path / "broken", **changes), tmp_path)
    assert said in str(problem.value)


def test_files_that_are_missing_or_cut_off_are_named(folder, tmp_path):
    with pytest.raises(Problem, match="config.json is missing"):
        Checkpoint(tmp_path)
    out = broken(folder, tmp_path / "broken")
    weights = out / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(Problem, match="is cut off"):
        Checkpoint(out)
    weights.unlink()
    with pytest.raises(Problem, match="model.safetensors is missing"):
        Checkpoint(out)
