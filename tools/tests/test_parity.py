"""The committed pack against the checkpoint it was made of: plain BERT, fp32 graph and quantised graph.

`test_chain` holds PyTorch against both graphs without a checkpoint, on every machine.
"""

from pathlib import Path

import numpy as np
import pytest

from plain_bert import hidden, label_vector
from weir_tools import graphs, linear, sources
from weir_tools.bert import Kernels
from weir_tools.export import BACKBONE, LABEL_ENCODER
from weir_tools.pack import Pack, padded, session

TEXTS = [
    "Anna Kowalski moved to Berlin.",
    "user=jdoe_42 wrote to ops@corp.example from 192.0.2.17",
    "Nothing personal is said in this sentence, which is a little longer than the others are.",
]


@pytest.fixture(scope="module")
def windows(pack: Pack) -> list[list[int]]:
    return [[101, *pack.tokens(text)[0], 102] for text in TEXTS]


@pytest.fixture(scope="module")
def score(checkpoint: Path) -> str:
    return sources.read_score(checkpoint)


@pytest.fixture(scope="module")
def trained(checkpoint: Path) -> sources.Tensors:
    return sources.read_trained(checkpoint)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_the_fp32_graph_is_plain_bert(trained: sources.Tensors, windows: list[list[int]], tmp_path: Path) -> None:
    path = tmp_path / "fp32.onnx"
    graphs.write_backbone(trained, Kernels(linear.fp32, embeddings_8bit=False), path)
    states = session(path, 1).run(None, padded(windows))[0]
    for row, window in zip(states, windows, strict=True):
        assert relative_error(row[: len(window)], hidden(trained, window)) < 1e-5


def test_the_committed_backbone_is_near_plain_bert(
    trained: sources.Tensors, windows: list[list[int]], folder: Path
) -> None:
    states = session(folder / "backbone.onnx", 1).run(None, padded(windows))[0]
    for row, window in zip(states, windows, strict=True):
        assert relative_error(row[: len(window)], hidden(trained, window)) < 0.06


def test_the_committed_backbone_is_what_the_checkpoint_gives(
    trained: sources.Tensors, score: str, folder: Path, tmp_path: Path
) -> None:
    graphs.write_backbone(trained, BACKBONE, tmp_path / "again.onnx", score)
    assert (tmp_path / "again.onnx").read_bytes() == (folder / "backbone.onnx").read_bytes()


def test_the_committed_label_encoder_is_what_the_checkpoints_give(
    trained: sources.Tensors, score: str, stock_wheel: Path, folder: Path, tmp_path: Path
) -> None:
    encoder = sources.label_encoder(trained, sources.read_stock(stock_wheel).tensors)
    graphs.write_label_encoder(encoder, trained, LABEL_ENCODER, tmp_path / "again.onnx", score)
    assert (tmp_path / "again.onnx").read_bytes() == (folder / "label_encoder.onnx").read_bytes()
    rows = [[101, 3376, 1997, 2711, 102], [101, 3143, 10373, 4769, 102]]
    vectors = session(folder / "label_encoder.onnx", 1).run(None, padded(rows))[0]
    for vector, row in zip(vectors, rows, strict=True):
        expected = label_vector(encoder, trained, row)
        assert relative_error(vector, expected if score == "dot" else expected / np.linalg.norm(expected)) < 0.04


def test_plain_bert_is_pytorchs(trained: sources.Tensors, windows: list[list[int]]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the yardstick is checked elsewhere")
    transformers = pytest.importorskip("transformers")
    shape = transformers.BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    model = transformers.BertModel(shape, add_pooling_layer=False).eval()
    own = {name.removeprefix("bb."): torch.tensor(v) for name, v in trained.items() if name.startswith("bb.")}
    assert not model.load_state_dict(own, strict=False).unexpected_keys
    for window in windows:
        with torch.no_grad():
            states = model(input_ids=torch.tensor([window])).last_hidden_state[0].numpy()
        scaled = (states @ trained["hp.weight"].T + trained["hp.bias"]) * trained["scale"]
        assert relative_error(scaled, hidden(trained, window)) < 1e-5
