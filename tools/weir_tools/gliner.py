"""Exports GLiNER models for weir, and splits bi-encoders.

usage: python -m weir_tools.gliner export FOLDER OUT
       python -m weir_tools.gliner split FOLDER OUT

FOLDER holds a checkpoint as the hub does: `gliner_config.json`, weights, tokenizer. `export` writes one graph
(`onnx/model.onnx`) with its tokenizers. `split` writes a bi-encoder as two graphs: `text.onnx`, which takes vectors of
labels, and `labels.onnx`, which makes them, so that weir computes each label once and keeps it. Both are checked against
PyTorch before they are written under their names.

Needs gliner, torch and transformers (requirements-train.txt).
"""

import argparse
import json
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime as ort  # noqa: E402
import torch  # noqa: E402
import transformers.models.bert.modeling_bert as bert  # noqa: E402
import transformers.models.modernbert.modeling_modernbert as modernbert  # noqa: E402
from gliner import GLiNER  # noqa: E402

from .classifier import banded_mask, full_mask  # noqa: E402

OPSET = 19
# Floats of two runtimes; more is another model.
TOLERANCE = 1e-3
PROBE_TEXTS = ["Ana Ruiz works at Hallow & Finch in Paris", "mail ana.ruiz@mail.example or call +00 555 0142 77"]
PROBE_LABELS = ["person", "email address", "phone number"]


def plain_masks() -> None:
    """Masks as sums: those of transformers 5 do not survive `torch.onnx.export(dynamo=False)`."""
    bert.create_bidirectional_mask = full_mask
    modernbert.create_bidirectional_mask = full_mask
    modernbert.create_bidirectional_sliding_window_mask = banded_mask


def load(folder: Path) -> Any:
    return GLiNER.from_pretrained(str(folder), local_files_only=True).eval()


def batch(model: Any, texts: list[str], labels: list[str]) -> dict[str, Any]:
    if getattr(model.config, "relations_layer", None):
        prepared = model.prepare_batch(texts, labels, None, [])
        return model.collate_batch(prepared["input_x"], prepared["entity_types"], None, prepared["relation_types"])
    prepared = model.prepare_batch(texts, labels)
    return model.collate_batch(prepared["input_x"], prepared["entity_types"], label_names=prepared["label_names"])


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def copy_rest(folder: Path, out: Path, model: Any) -> None:
    """Configuration and tokenizers, which the export of the package writes in part only."""
    out.mkdir(parents=True, exist_ok=True)
    model.config.to_json_file(str(out / "gliner_config.json"))
    model.data_processor.transformer_tokenizer.save_pretrained(str(out))
    labels = getattr(model.data_processor, "labels_tokenizer", None)
    if labels is not None:
        labels.save_pretrained(str(out / "labels_tokenizer"))
    for name in ("LICENSE", "README.md"):
        if (folder / name).is_file():
            shutil.copy(folder / name, out / name)


def check(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    if found.shape != expected.shape or np.abs(found - expected).max() > TOLERANCE:
        sys.exit(f"{what}: the graph gives {found.shape}, PyTorch {expected.shape}; they differ by more than {TOLERANCE}")


def export(model: Any, out: Path) -> None:
    """One graph."""
    plain_masks()
    copy_rest(out, out, model)
    model.export_to_onnx(str(out / "onnx"), opset=OPSET)
    if getattr(model.config, "relations_layer", None):
        # Its branch of relations fails in ONNX Runtime on texts of other lengths than the sample's.
        graph, whole = out / "onnx/model.onnx", out / "onnx/whole.onnx"
        graph.rename(whole)
        names = [own.name for own in onnx.load(str(whole), load_external_data=False).graph.input]
        onnx.utils.extract_model(str(whole), str(graph), names, ["logits"])
        whole.unlink()
    inputs = batch(model, PROBE_TEXTS, PROBE_LABELS)
    run = session(out / "onnx/model.onnx")
    found = run.run(None, {own.name: inputs[own.name].numpy() for own in run.get_inputs()})[0]
    check(found, model.run_batch(inputs)[0].detach().numpy(), "onnx/model.onnx")
    for name in ("gliner_config.json", "tokenizer.json", "tokenizer_config.json"):  # they are in the root
        (out / "onnx" / name).unlink(missing_ok=True)


class Text(torch.nn.Module):
    """The model with label vectors as an input: the package's own export of it fails (gliner 0.2.29)."""

    def __init__(self, core: Any, names: list[str]) -> None:
        super().__init__()
        self.core, self.names = core, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.core(**dict(zip(self.names, inputs, strict=True))).logits


class Labels(torch.nn.Module):
    """The label encoder."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.layer.encode_labels(ids, mask)


def split(model: Any, out: Path) -> None:
    """Two graphs of a bi-encoder."""
    layer = getattr(model.model, "token_rep_layer", None)
    if getattr(model.config, "labels_encoder", None) is None or not hasattr(layer, "encode_labels"):
        sys.exit("it is no bi-encoder (labels_encoder is not set): use `export`")
    if getattr(model.config, "post_fusion_schema", ""):
        sys.exit("its labels change one another's scores (post_fusion_schema): a vector of one label is not enough")
    plain_masks()
    copy_rest(out, out, model)
    inputs = batch(model, PROBE_TEXTS, PROBE_LABELS)
    base = model._get_base_input_names()
    names = [*base, "labels_embeds"]
    ids, mask = inputs["labels_input_ids"], inputs["labels_attention_mask"]
    with torch.no_grad():
        vectors = layer.encode_labels(ids, mask)
        expected = model.run_batch(inputs)[0].detach().numpy()
    axes: dict[str, dict[int, str]] = {name: {0: "batch", 1: f"{name}_1"} for name in base}
    axes |= {"labels_embeds": {0: "labels"}, "logits": {0: "batch", 1: "words", 2: "third", 3: "fourth"}}
    text, labels = out / "text.onnx.part", out / "labels.onnx.part"
    torch.onnx.export(
        Text(model.model, names).eval(), (*(inputs[name][:1] for name in base), vectors), str(text),
        input_names=names, output_names=["logits"], dynamic_axes=axes, opset_version=OPSET, dynamo=False,
    )  # fmt: skip
    both = {0: "labels", 1: "tokens"}
    torch.onnx.export(
        Labels(layer).eval(), (ids, mask), str(labels), input_names=["input_ids", "attention_mask"],
        output_names=["labels_embeds"], opset_version=OPSET, dynamo=False,
        dynamic_axes={"input_ids": both, "attention_mask": both, "labels_embeds": {0: "labels"}},
    )  # fmt: skip
    made = session(labels).run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
    fed = {name: inputs[name].numpy() for name in base}
    check(session(text).run(None, {**fed, "labels_embeds": made})[0], expected, "text.onnx with labels.onnx")
    text.rename(out / "text.onnx")
    labels.rename(out / "labels.onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["export", "split"])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    given = parser.parse_args()
    model = load(given.folder)
    copy_rest(given.folder, given.out, model)
    (export if given.what == "export" else split)(model, given.out)
    config = json.loads((given.out / "gliner_config.json").read_text())
    print(f"{given.out}: {type(model).__name__}, at most {config['max_len']} words; try `weir model inspect {given.out}`")


if __name__ == "__main__":
    main()
