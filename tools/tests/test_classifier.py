"""Token classifiers on their way from a checkpoint to a folder that weir runs."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
import transformers
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from weir_tools import classifier

NAMES = ["time", "person", "list_name"]
DESCRIPTIONS = {"person": "people by name", "time": "hours and minutes", "list_name": ""}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "call", "ana", "ruiz", "at", "nine", "the", "list", "of", "books"]


def tokenizer(folder: Path) -> None:
    own = Tokenizer(models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    transformers.PreTrainedTokenizerFast(tokenizer_object=own, **names).save_pretrained(folder)


def model(classes: int) -> transformers.BertForTokenClassification:
    torch.manual_seed(3)
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24)
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=64, num_labels=classes, **sizes)
    return transformers.BertForTokenClassification(config).eval()


def nerfit(folder: Path) -> None:
    """What nerfit leaves beside a checkpoint."""
    save_file({name: np.ones(8, np.float32) for name in NAMES}, folder / "ent2emb.safetensors")
    (folder / "ent2desc.json").write_text(json.dumps(DESCRIPTIONS))


def logits(folder: Path, ids: torch.Tensor) -> np.ndarray:
    session = ort.InferenceSession(str(folder / "onnx/model.onnx"), providers=["CPUExecutionProvider"])
    zeros, ones = np.zeros_like(ids), np.ones_like(ids)
    given = {"input_ids": ids.numpy(), "attention_mask": ones, "token_type_ids": zeros}
    return session.run(None, {own.name: given[own.name] for own in session.get_inputs()})[0]


def test_a_nerfit_folder_becomes_one_that_weir_runs(tmp_path: Path) -> None:
    source, out = tmp_path / "trained", tmp_path / "out"
    own = model(7)
    own.save_pretrained(source)
    tokenizer(source)
    nerfit(source)
    classifier.export(source, out)
    order = classifier.categories(source)
    assert sorted(order) == sorted(NAMES)
    config = json.loads((out / "config.json").read_text())
    expected = ["O", *(f"{part}-{name}" for name in order for part in "BI")]
    assert [config["id2label"][str(at)] for at in range(7)] == expected
    described = json.loads((out / "ent2emb.json").read_text())
    assert list(described) == order, "the order numbers the classes"
    assert described["person"] == "people by name"
    assert described["list_name"] == "list_name", "a category without a description is its own"
    ids = torch.tensor([[2, 4, 5, 6, 7, 8, 3]])
    with torch.no_grad():
        assert np.abs(logits(out, ids) - own(input_ids=ids).logits.numpy()).max() < 1e-3
    assert (out / "tokenizer.json").is_file()


def test_vectors_of_another_number_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    source, out = tmp_path / "trained", tmp_path / "out"
    model(5).save_pretrained(source)
    tokenizer(source)
    nerfit(source)
    with pytest.raises(SystemExit, match="3 categories, which are 7 classes; the model has 5"):
        classifier.export(source, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trained"]


def test_an_adapter_is_merged_into_its_base(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    base, source, out = tmp_path / "base", tmp_path / "adapter", tmp_path / "out"
    model(7).save_pretrained(base)
    tokenizer(base)
    config = peft.LoraConfig(task_type="TOKEN_CLS", r=4, lora_alpha=8, use_dora=True, target_modules=["query", "value"])
    trained = peft.get_peft_model(transformers.AutoModelForTokenClassification.from_pretrained(base), config)
    with torch.no_grad():
        for name, values in trained.named_parameters():
            if "lora_B" in name or "classifier" in name:
                values.copy_(torch.randn_like(values))
    trained.eval().save_pretrained(source)
    nerfit(source)
    classifier.export(source, out, base)
    ids = torch.tensor([[2, 4, 5, 6, 7, 8, 3]])
    with torch.no_grad():
        expected = trained(input_ids=ids).logits.numpy()
    assert np.abs(logits(out, ids) - expected).max() < 1e-3


def test_an_adapter_without_its_base_says_what_to_fetch(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    source = tmp_path / "adapter"
    source.mkdir()
    (source / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/base", "task_type": "TOKEN_CLS"}')
    with pytest.raises(SystemExit, match="fetch it, and name its folder with --base"):
        classifier.export(source, tmp_path / "out")
