"""Exports of GLiNER models; needs requirements-gliner.txt."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gliner", reason="pip install --require-hashes --no-deps -r requirements-gliner.txt")

from weir_tools import gliner, gliner_fixtures  # noqa: E402


@pytest.mark.parametrize("name", ["bi-span", "bi-token"])
def test_a_bi_encoder_in_two_graphs_is_the_one_in_pytorch(tmp_path: Path, name: str) -> None:
    model = gliner_fixtures.build(tmp_path / "tok", name, **gliner_fixtures.KINDS[name])
    gliner.split(model, tmp_path / "out")  # compares the two with PyTorch
    assert (tmp_path / "out/text.onnx").is_file() and (tmp_path / "out/labels_tokenizer/tokenizer.json").is_file()
    # A label alone and one in a set have the same vector.
    run = gliner.session(tmp_path / "out/labels.onnx")
    inputs = gliner.batch(model, gliner.PROBE_TEXTS, gliner.PROBE_LABELS)
    ids, mask = inputs["labels_input_ids"].numpy(), inputs["labels_attention_mask"].numpy()
    together = run.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    alone = run.run(None, {"input_ids": ids[1:2], "attention_mask": mask[1:2]})[0]
    assert np.abs(together[1:2] - alone).max() < 1e-5


def test_what_has_no_label_encoder_is_not_split(tmp_path: Path) -> None:
    model = gliner_fixtures.build(tmp_path / "tok", "span-bert", **gliner_fixtures.KINDS["span-bert"])
    with pytest.raises(SystemExit, match="no bi-encoder"):
        gliner.split(model, tmp_path / "out")


def test_relations_are_cut_off(tmp_path: Path) -> None:
    model = gliner_fixtures.build(tmp_path / "tok", "relex-span", **gliner_fixtures.KINDS["relex-span"])
    gliner.export(model, tmp_path / "out")
    run = gliner.session(tmp_path / "out/onnx/model.onnx")
    assert [own.name for own in run.get_outputs()] == ["logits"]
