"""A folder as Hugging Face's hub holds it, read one tensor at a time.

In:  config.json, and model.safetensors or the parts that model.safetensors.index.json lists.
Out: fp32 arrays by name, whatever type they are stored in.
Holds: nothing is read before it is asked for, and nothing is kept; a tensor that is missing, or whose shape does
       not follow from the configuration, is an error that names it.
"""

import json
import mmap
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np


class Problem(Exception):
    """A folder that is not what it should be; the message says which file or tensor, and what was expected."""


# As safetensors' format calls them. Its own numpy reader knows no bfloat16, in which these models are published.
TYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


@dataclass(frozen=True)
class _Stored:
    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


class Checkpoint:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = _json(folder / "config.json")
        self._stored = {name: stored for file in _parts(folder) for name, stored in _header(file).items()}

    def __contains__(self, name: str) -> bool:
        return name in self._stored

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        """The tensor as fp32."""
        stored = self._stored.get(name)
        if stored is None:
            raise Problem(f"{self.folder}: there is no tensor {name}")
        if stored.shape != shape:
            raise Problem(f"{stored.file}: {name} has shape {stored.shape}; by config.json it should be {shape}")
        if stored.kind not in TYPES:
            raise Problem(f"{stored.file}: {name} is of type {stored.kind}; known are {', '.join(TYPES)}")
        with stored.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            raw = np.frombuffer(mapped, np.uint8, stored.end - stored.start, stored.start)
            values = raw.view(TYPES[stored.kind]).astype(np.float32).reshape(shape)
            del raw  # the map can't be closed while something looks into it
        return values


def _parts(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return [folder / "model.safetensors"]
    return [folder / name for name in sorted(set(_json(index)["weight_map"].values()))]


def _header(file: Path) -> dict[str, _Stored]:
    """Eight bytes of length, then JSON, then the tensors: https://huggingface.co/docs/safetensors."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            entries = json.loads(opened.read(length))
        size = file.stat().st_size
    except FileNotFoundError:
        raise Problem(f"{file} is missing") from None
    except ValueError as error:
        raise Problem(f"{file} is no safetensors file: {error}") from None
    stored = {}
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        if end > size:
            raise Problem(f"{file} is cut off: {name} ends at byte {end:,} of {size:,}")
        stored[name] = _Stored(file, entry["dtype"], tuple(entry["shape"]), start, end)
    return stored


def _json(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"{file} is missing") from None
    except ValueError as error:
        raise Problem(f"{file} is no JSON: {error}") from None
