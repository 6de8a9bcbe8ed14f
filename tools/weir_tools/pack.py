"""A pack as weir runs it: tokens to windows, windows to hidden states, labels to vectors."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from . import decode


class Pack:
    def __init__(self, folder: Path, threads: int = 1, backbone: Path | None = None) -> None:
        """`backbone`: another graph in the place of the pack's own, to compare the two."""
        self.manifest = tomllib.loads((folder / "pack.toml").read_text())
        self.halo: int = self.manifest["limits"]["halo_tokens"]
        own = self.manifest["backbone"]
        self._prefix: list[int] = self.manifest["tokenizer"]["prefix"]
        self._suffix: list[int] = self.manifest["tokenizer"]["suffix"]
        specials = len(self._prefix) + len(self._suffix)
        self.width: int = self.manifest["limits"]["max_window_tokens"] - specials
        self._tokenizer = Tokenizer.from_file(str(folder / self.manifest["tokenizer"]["file"]))
        self._tokenizer.encode_special_tokens = True  # "[SEP]" in a text is text
        self._backbone = session(backbone or folder / own["file"], threads)
        self._label_encoder = session(folder / self.manifest["label_encoder"]["file"], threads)
        self._outside = np.load(folder / self.manifest["label_encoder"]["projection"])["o_embed"]
        self._vectors: dict[str, np.ndarray] = {}

    def tokens(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and code points of the tokens of a text."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def hidden(self, windows: list[list[int]], batch: int = 16) -> list[np.ndarray]:
        """Hidden states of the windows' own tokens; like lengths go through the model together."""
        order = sorted(range(len(windows)), key=lambda index: len(windows[index]))
        found: list[np.ndarray] = [np.zeros(0)] * len(windows)
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            rows = [self._prefix + windows[index] + self._suffix for index in chosen]
            states = self._backbone.run(None, padded(rows))[0]
            for index, state in zip(chosen, states, strict=True):
                found[index] = state[len(self._prefix) : len(self._prefix) + len(windows[index])]
        return found

    def label_matrix(self, labels: Iterable[str]) -> np.ndarray:
        """(1 + 4 × labels, width): O, then B, I, E, S of each label."""
        return np.vstack([self._outside[None], *(self._label_vectors(label) for label in labels)])

    def scores(self, texts_ids: list[list[int]], labels: list[list[str]], halo: int | None = None) -> list[np.ndarray]:
        """Emission scores of whole documents, each with its own labels."""
        states = self.document_states(texts_ids, self.halo if halo is None else halo)
        return [own @ self.label_matrix(asked).T for own, asked in zip(states, labels, strict=True)]

    def document_states(self, texts_ids: list[list[int]], halo: int) -> list[np.ndarray]:
        starts = [decode.window_starts(len(ids), self.width, halo) for ids in texts_ids]
        windows = [ids[at : at + self.width] for ids, own in zip(texts_ids, starts, strict=True) for at in own]
        states = iter(self.hidden(windows))
        return [decode.stitch([next(states) for _ in own], own, halo) for own in starts]

    def _label_vectors(self, label: str) -> np.ndarray:
        if label not in self._vectors:
            templates = self.manifest["label_encoder"]["templates"]
            texts = [templates[part].replace("{}", label) for part in ("begin", "inside", "end", "single")]
            rows = [self._prefix + self.tokens(text)[0] + self._suffix for text in texts]
            self._vectors[label] = self._label_encoder.run(None, padded(rows))[0]
        return self._vectors[label]


def padded(rows: list[list[int]], pad: int = 0) -> dict[str, np.ndarray]:
    length = max(map(len, rows))
    ids = np.array([row + [pad] * (length - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows], np.int64)
    return {"input_ids": ids, "attention_mask": mask}


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # a thread that spins while it waits takes the core from whoever shares the machine
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
