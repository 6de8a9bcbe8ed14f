"""Exports a token classifier of `transformers` for weir; LoRA adapters are merged. Also what nerfit trains.

usage: python -m weir_tools.classifier FOLDER OUT [--base FOLDER]

FOLDER holds a checkpoint with its tokenizer, or a LoRA adapter (`adapter_config.json`), whose base model is the folder that
it names or --base. OUT gets what the hub holds of such models: `config.json`, `tokenizer.json`, `onnx/model.onnx`. The graph
is compared with PyTorch before OUT gets its name.

nerfit keeps `ent2emb.safetensors` (category to vector) beside its checkpoint: the order of its names numbers the classes of a
BIO head, O, B, I, B, I and so on. OUT/config.json names them so; `ent2desc.json` (category to description) becomes
`ent2emb.json`, with which weir compares labels that are called otherwise.

Needs torch and transformers (requirements-train.txt), and peft 0.21 for adapters.
"""

import argparse
import importlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors import safe_open  # noqa: E402

# The stand-ins for CUDA's libraries (scripts/torch-without-cuda.py) crash when this is asked.
torch.cuda.is_current_stream_capturing = lambda: False

# Floats of two runtimes; more is another model.
TOLERANCE = 1e-3
VECTORS, DESCRIPTIONS = "ent2emb.safetensors", "ent2desc.json"


def additive(keep: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(keep, dtype=like.dtype).masked_fill(~keep, torch.finfo(like.dtype).min)


def full_mask(config: Any = None, inputs_embeds: Any = None, attention_mask: Any = None, **_: Any) -> torch.Tensor:
    given = torch.ones(inputs_embeds.shape[:2]).bool() if attention_mask is None else attention_mask.bool()
    return additive(given[:, None, None, :], inputs_embeds)


def banded_mask(config: Any = None, inputs_embeds: Any = None, attention_mask: Any = None, **_: Any) -> torch.Tensor:
    given = torch.ones(inputs_embeds.shape[:2]).bool() if attention_mask is None else attention_mask.bool()
    at = torch.cumsum(torch.ones_like(given[:1], dtype=torch.int64), 1)[0]
    near = (at[:, None] - at[None, :]).abs() <= config.sliding_window
    return additive(given[:, None, None, :] & near[None, None], inputs_embeds)


def plain_masks(model: torch.nn.Module) -> None:
    """Masks as sums: those of transformers 5 do not survive `torch.onnx.export(dynamo=False)`."""
    for name in {type(part).__module__ for part in model.modules()}:
        module = importlib.import_module(name)
        if hasattr(module, "create_bidirectional_mask"):
            module.create_bidirectional_mask = full_mask
        if hasattr(module, "create_bidirectional_sliding_window_mask"):
            module.create_bidirectional_sliding_window_mask = banded_mask


class Logits(torch.nn.Module):
    """The model with its inputs by position."""

    def __init__(self, model: torch.nn.Module, names: list[str], half: bool) -> None:
        super().__init__()
        self.model, self.names, self.half_output = model, names, half

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits = self.model(**dict(zip(self.names, inputs, strict=True))).logits
        return logits.half() if self.half_output else logits


def graph(model: Any, path: Path, half: bool = False) -> None:
    """Writes the graph and compares it with the model. `half`: logits of 16 bits."""
    plain_masks(model)
    model = model.eval()
    names = ["input_ids", "attention_mask"]
    # BERT's two segments: a graph without this input would take the place of the second one for the first.
    if "token_type_ids" in inspect.signature(model.forward).parameters and getattr(model.config, "type_vocab_size", 0) > 1:
        names.append("token_type_ids")
    torch.manual_seed(7)
    ids = torch.randint(5, model.config.vocab_size, (2, 9))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    wrapped = Logits(model, names, half).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        wrapped, tuple(inputs[name] for name in names), str(path), input_names=names, output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*names, "logits"]}, opset_version=18, dynamo=False,
    )  # fmt: skip
    longer = {name: torch.cat([rows, rows], 1) for name, rows in inputs.items()}
    for given in (inputs, longer):
        fed = {name: given[name].numpy() for name in names}
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = session.run(None, fed)[0].astype(np.float32)
        with torch.no_grad():
            expected = wrapped(*(given[name] for name in names)).float().numpy()
        real = given["attention_mask"].numpy().astype(bool)
        if np.abs(found - expected)[real].max() > (0.05 if half else TOLERANCE):
            sys.exit(f"{path.name}: the graph's logits differ from PyTorch's by more than {TOLERANCE}")


def categories(folder: Path) -> list[str]:
    """In the order that numbers the classes."""
    if not (folder / VECTORS).is_file():
        return []
    with safe_open(str(folder / VECTORS), "np") as file:
        return list(file.offset_keys())


def load(folder: Path, base: Path | None, classes: int) -> tuple[Any, Path]:
    """The model, an adapter merged, and the folder of its tokenizer."""
    adapter = folder / "adapter_config.json"
    if not adapter.is_file():
        return transformers.AutoModelForTokenClassification.from_pretrained(folder, attn_implementation="eager"), folder
    try:
        from peft import PeftModel
    except ImportError:
        sys.exit("merging an adapter needs peft: pip install peft==0.21.2")
    told = json.loads(adapter.read_text())
    # Without it the head would have random weights.
    if told.get("task_type") != "TOKEN_CLS" and "classifier" not in (told.get("modules_to_save") or []):
        sys.exit("the adapter brings no head of classes (task_type TOKEN_CLS): train one first")
    base = base or Path(told["base_model_name_or_path"])
    if not base.is_dir():
        sys.exit(f"the base model {base} is not a folder here: fetch it, and name its folder with --base")
    config = transformers.AutoConfig.from_pretrained(base)
    if classes:
        config.num_labels = classes
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        base, config=config, attn_implementation="eager", ignore_mismatched_sizes=True
    )
    merged = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    return merged, folder if (folder / "tokenizer_config.json").is_file() else base


def export(folder: Path, out: Path, base: Path | None = None) -> None:
    names = categories(folder)
    model, own = load(folder, base, 1 + 2 * len(names) if names else 0)
    if names:
        if model.config.num_labels != 1 + 2 * len(names):
            sys.exit(
                f"{VECTORS} has {len(names)} categories, which are {1 + 2 * len(names)} classes; the model has "
                f"{model.config.num_labels}"
            )
        classes = ["O", *(f"{part}-{name}" for name in names for part in "BI")]
        model.config.id2label = dict(enumerate(classes))
        model.config.label2id = {name: at for at, name in enumerate(classes)}
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        graph(model, work / "onnx/model.onnx")
        model.config.save_pretrained(work)
        transformers.AutoTokenizer.from_pretrained(own).save_pretrained(work)
        if not (work / "tokenizer.json").is_file():
            sys.exit("the tokenizer has no tokenizer.json: weir reads fast tokenizers only")
        for name in ("LICENSE", "README.md", VECTORS):
            if (folder / name).is_file():
                shutil.copy(folder / name, work / name)
        if names and (folder / DESCRIPTIONS).is_file():
            described = json.loads((folder / DESCRIPTIONS).read_text())
            ordered = {name: described.get(name) or name for name in names}
            (work / "ent2emb.json").write_text(json.dumps(ordered, ensure_ascii=False, indent=1) + "\n")
        work.chmod(0o755)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", type=Path)
    given = parser.parse_args()
    if given.out.exists():
        sys.exit(f"{given.out} exists already")
    if not given.folder.is_dir():
        sys.exit(f"{given.folder} is not a folder")
    export(given.folder, given.out, given.base)


if __name__ == "__main__":
    main()
