"""Exports a large model to a weir pack: `python -m weir_tools.large SOURCE PACK [--experts fp32 8 4] [--no-vtv] [--padded]`.

SOURCE is a folder as Hugging Face's hub holds it:
- adaptive: `backbone/`, `arctic/` and `label_encoder_extra.pt`, or a folder whose `original/` has these;
- fixed head: `config.json` with `id2label`, `model.safetensors` (or parts of it), `tokenizer.json`, and where the model
  has one `viterbi_calibration.json`.

The backbone becomes a graph of rows one behind the other (`packed.onnx`), and with `--padded` over the same weights one
of rows filled up (`backbone.onnx`), with the inputs of the published graphs. Of several precisions the first runs unless
`weir model tune` finds better.

A layer is in memory at a time. What was written is run on sample texts and held against a plain numpy forward of the
checkpoint before the folder gets its name; whatever goes wrong leaves no folder behind.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from . import arctic, bert, experts, layout, linear, manifest, mixture, reference
from .checkpoint import Checkpoint, Problem
from .graph import Graph
from .model import TEMPLATES
from .pack import padded

# Rows of the packed graph; longer texts are cut into windows by weir. A halo of 8 layers x 128 tokens is exact, and costs
# 9% at this width. With random weights a smaller one is not nearly exact (`halo`); with trained ones it may do.
LONGEST_WINDOW = 24_576
# Rows that are filled up: attention computes the whole square.
LONGEST_ROW = 4096
SAMPLES = (
    "Please call Orla Finch on +00 555 0142 77 or write to orla@finch.example before 3 May.",
    "user=jdoe_42 ip=192.0.2.17 action=login status=ok",
    "Nothing personal is said here.",
    "Zoë Müller moved from São Paulo to 12 Harbour Lane, and 田中美咲 to Osaka; the invoice is still open. " * 4,
)
LABELS = ("person", "e-mail address of a person", "日付")


@dataclass(frozen=True)
class Precision:
    """How weights are stored, and how near the graph must come to the checkpoint on the samples."""

    experts: mixture.Kernels
    labels: bert.Kernels
    furthest: float | None  # greatest difference, as a share of the greatest state
    least_cosine: float  # mean over tokens
    # The same where labels are injected: with random weights the gates let little through, and rounding errors grow.
    least_conditioned: float
    bytes_a_weight: float


@dataclass(frozen=True)
class Windows:
    longest: int
    padded: bool  # whether there is a graph of rows filled up as well


EIGHT_BITS = linear.blockwise(32, 4)
PRECISIONS = {
    "fp32": Precision(mixture.Kernels(), bert.Kernels(linear.fp32, embeddings_8bit=False), 1e-4, 0.99999, 0.99999, 4.0),
    "8": Precision(
        mixture.Kernels(experts.quantised(8, None), EIGHT_BITS, embeddings_8bit=True),
        bert.Kernels(EIGHT_BITS), None, 0.95, 0.6, 1.2,
    ),
    "4": Precision(
        mixture.Kernels(experts.quantised(4, 32), EIGHT_BITS, embeddings_8bit=True),
        bert.Kernels(EIGHT_BITS), None, 0.85, 0.5, 0.9,
    ),
}  # fmt: skip


def export(
    source: Path,
    pack: Path,
    precisions: Sequence[str] = ("8",),
    vtv: bool = True,
    longest: int = LONGEST_WINDOW,
    padded: bool = False,
) -> None:
    if pack.exists():
        raise Problem(f"{pack} exists: remove it or choose another name")
    write = _kind(source)
    _check_space(source, pack, precisions)
    new = pack.with_name(f".{pack.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of an export that was killed
    try:
        new.mkdir(parents=True)
        text = write(source, new, precisions, vtv, Windows(longest, padded))
        (new / "pack.toml").write_text(f"{text}{manifest.files(new)}", encoding="utf-8")
        new.rename(pack)
    except OSError as error:
        raise Problem(f"{new} can't be written: {error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


Write = Callable[[Path, Path, Sequence[str], bool, Windows], str]


def _kind(source: Path) -> Write:
    if (source / "original").is_dir():
        return lambda folder, *rest: _adaptive(folder / "original", *rest)
    if (source / "backbone").is_dir():
        return _adaptive
    if (source / "config.json").exists():
        return _fixed_head
    raise Problem(f"{source} holds no config.json, no backbone/ and no original/: it is no model this exporter knows")


def _check_space(source: Path, pack: Path, precisions: Sequence[str]) -> None:
    files = [file for file in source.rglob("*.safetensors") if file.is_file()]
    # published in 16 bits
    weights = sum(file.stat().st_size for file in files) / 2
    needed = weights * sum(PRECISIONS[precision].bytes_a_weight for precision in precisions)
    parent = next(folder for folder in pack.absolute().parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise Problem(f"{parent} has {free / 1e9:.1f} GB free; the pack needs about {needed / 1e9:.1f}")


# The two families


def _adaptive(source: Path, new: Path, precisions: Sequence[str], vtv: bool, windows: Windows) -> str:
    own = PRECISIONS[precisions[0]]
    extra = arctic.Extra.read(source / "label_encoder_extra.pt")
    checkpoint, encoder = Checkpoint(source / "backbone"), arctic.Encoder(source / "arctic")
    width = mixture.Shape.of(checkpoint.config).width
    if len(extra.outside) != width:
        raise Problem(f"label_encoder_extra.pt: o_embed has {len(extra.outside)} numbers, the backbone's width is {width}")
    if vtv and not extra.gates:
        raise Problem("label_encoder_extra.pt has no alphas: export with --no-vtv")
    _copy(source / "backbone" / "tokenizer.json", new / "tokenizer.json")
    _copy(source / "arctic" / "tokenizer.json", new / "label_tokenizer.json")
    np.savez(new / "projection.npz", o_embed=extra.outside)
    arctic.write(encoder, extra, own.labels, new / "label_encoder.onnx", vtv)
    gates = extra.gates if vtv else ()
    graphs = _backbones(checkpoint, precisions, new, windows, gates)
    v = _check_labels(encoder, extra, own, new, vtv)
    _check_hidden(checkpoint, graphs, new, gates, v)
    injection = '\n[injection]                    # VtV, design 4.1\nv = "v"\ncounts = "n_labels"\noutput = "conditions"\n'
    return (
        _head(source, "adaptive", width, windows.longest)
        + _graph_sections(graphs, "hidden")
        + f"""
[label_encoder]
file = "label_encoder.onnx"
tokenizer = "label_tokenizer.json"
output = "vectors"
pad = {encoder.padding}
projection = "projection.npz"
"""
        + (f"{injection}points = {len(extra.gates)}\n" if vtv else "")
    )


def _fixed_head(source: Path, new: Path, precisions: Sequence[str], vtv: bool, windows: Windows) -> str:
    checkpoint = Checkpoint(source)
    names = checkpoint.config.get("id2label")
    if not names:
        raise Problem(f"{source}/config.json: there is no id2label: a fixed head needs the names of its classes")
    classes = [names[str(index)] for index in range(len(names)) if str(index) in names]
    if len(classes) != len(names) or len(set(classes)) != len(names):
        raise Problem(f"{source}/config.json: id2label does not number {len(names)} different classes from 0")
    _copy(source / "tokenizer.json", new / "tokenizer.json")
    graphs = _backbones(checkpoint, precisions, new, windows, classes=len(classes))
    _check_hidden(checkpoint, graphs, new, (), None, len(classes))
    text = _head(source, "fixed_head", len(classes), windows.longest)
    text += _graph_sections(graphs, "logits") + f"\n[head]\nclasses = {json.dumps(classes)}\n"
    calibration = source / "viterbi_calibration.json"
    if calibration.exists():
        _copy(calibration, new / calibration.name)
        text += f'calibration = "{calibration.name}"\n'
    return text


@dataclass(frozen=True)
class Backbone:
    file: str
    precision: Precision
    packed: bool


def _backbones(
    checkpoint: Checkpoint,
    precisions: Sequence[str],
    new: Path,
    windows: Windows,
    gates: tuple[float, ...] = (),
    classes: int = 0,
) -> list[Backbone]:
    """Graphs of each precision; the first is the one to run."""
    layouts = [("packed", layout.Packed)] + [("backbone", layout.Padded)] * windows.padded
    written = []
    for precision in precisions:
        own, suffix = PRECISIONS[precision], "" if precision == precisions[0] else f"-{precision}"
        first = None
        for name, how in layouts:
            file = f"{name}{suffix}.onnx"
            graph = Graph(f"weir {name}", None if first else new / f"backbone{suffix}.onnx.data", beside=first)
            mixture.backbone(graph, checkpoint, own.experts, windows.longest, gates, classes, how)
            graph.save(new / file)
            written.append(Backbone(file, own, how is layout.Packed))
            first = first or graph
    return written


def _graph_sections(graphs: Sequence[Backbone], output: str) -> str:
    text = ""
    for index, graph in enumerate(graphs):
        text += "\n[[alternatives]]" if index else "\n[backbone]"
        text += f'\nfile = "{graph.file}"\noutput = "{output}"\noptimised = true\n'
        text += 'layout = "packed"\n' if graph.packed else f"max_window_tokens = {LONGEST_ROW}\n"
    return text


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise Problem(f"{source} is missing")
    shutil.copyfile(source, target)


# Parity


def _check_labels(encoder: arctic.Encoder, extra: arctic.Extra, own: Precision, new: Path, vtv: bool) -> np.ndarray:
    """Holds the label encoder against the checkpoint; (points, labels, hidden) of the sample labels."""
    tokenizer = Tokenizer.from_file(str(new / "label_tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(arctic.LONGEST)
    texts = [template.format(label) for label in LABELS for template in TEMPLATES]
    rows = [tokenizer.encode(text).ids for text in texts]
    found = _session(new / "label_encoder.onnx").run(None, padded(rows, encoder.padding))
    states = reference.roberta(encoder.read, rows, encoder.heads, encoder.epsilon, encoder.padding, encoder.taps)
    _compare(found[0], _projected(states[-1], extra.projection), own, "label_encoder.onnx: vectors")
    if not vtv:
        return np.zeros((0, len(LABELS), len(extra.outside)), np.float32)
    points = [_projected(state, tap) for state, tap in zip(states, extra.taps, strict=True)]
    _compare(found[1], np.stack(points, axis=1), own, "label_encoder.onnx: conditions")
    return np.stack([point.reshape(len(LABELS), len(TEMPLATES), -1).mean(1) for point in points])


def _projected(states: np.ndarray, dense: arctic.Dense) -> np.ndarray:
    return states @ dense.weight.T + dense.bias


def _check_hidden(
    checkpoint: Checkpoint,
    graphs: Sequence[Backbone],
    new: Path,
    gates: tuple[float, ...],
    v: np.ndarray | None,
    classes: int = 0,
) -> None:
    tokenizer = Tokenizer.from_file(str(new / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = [tokenizer.encode(text, add_special_tokens=False).ids for text in SAMPLES]
    # each row is asked one label less than the one before it
    asked = [max(0, len(LABELS) - index) if gates else 0 for index in range(len(rows))]
    conditions = [reference.Conditions(v[:, :count], gates) for count in asked] if gates else None
    wanted = reference.mixture(checkpoint, rows, conditions)
    for graph in graphs:
        own, session = graph.precision, _session(new / graph.file)
        conditioned = v if gates else None
        if not graph.packed:
            ways = {"": _run_padded(session, rows, asked, conditioned)}
        else:
            # Among many short rows the graph cuts attention into blocks.
            ways = {
                "": _run_packed(session, rows, asked, conditioned, beside=0),
                " in blocks": _run_packed(session, rows, asked, conditioned, beside=64),
            }
        for way, found in ways.items():
            decided = 0
            for row, (states, one) in enumerate(zip(found, wanted, strict=True)):
                if own.furthest is not None and one.narrowest < UNDECIDED:
                    continue
                expected = reference.logits(checkpoint, one.states, classes) if classes else one.states
                least = own.least_conditioned if asked[row] else own.least_cosine
                _compare(states, expected, own, f"{graph.file}: sample {row + 1}{way}", least)
                decided += 1
            if not decided:
                raise Problem(
                    f"{graph.file}: every sample has a router that hesitates between two experts: nothing was compared"
                )


Session, Rows = onnxruntime.InferenceSession, Sequence[Sequence[int]]


def _run_padded(session: Session, rows: Rows, asked: Sequence[int], v: np.ndarray | None) -> list[np.ndarray]:
    feeds = padded(rows)
    if v is not None:
        real = np.arange(v.shape[1]) < np.array(asked)[:, None]
        feeds |= {"v": np.where(real[:, None, :, None], v[None], 0).astype(np.float32), "n_labels": np.array(asked)}
    (found,) = session.run(None, feeds)
    return [states[: len(ids)] for states, ids in zip(found, rows, strict=True)]


def _run_packed(
    session: Session, rows: Rows, asked: Sequence[int], v: np.ndarray | None, beside: int
) -> list[np.ndarray]:
    """`beside`: as many rows of one token are behind them."""
    lengths = [len(ids) for ids in rows] + [1] * beside
    segments = np.repeat(np.arange(len(lengths)), lengths)
    feeds = {"input_ids": np.concatenate([*rows, np.zeros(beside, np.int64)]), "segment_ids": segments}
    feeds["position_ids"] = np.concatenate([np.arange(length) for length in lengths])
    if v is not None:
        feeds["v"] = np.concatenate([v[:, :count] for count in asked], axis=1).astype(np.float32)
        feeds["label_sets"] = np.repeat(np.arange(len(rows)), asked)
        feeds["token_sets"] = np.where(segments < len(rows), segments, -1)
    (found,) = session.run(None, feeds)
    return np.split(found, np.cumsum(lengths)[:-1])[: len(rows)]


# Distance of two router scores below which a rounding error may choose the other expert.
UNDECIDED = 1e-5


def _compare(found: np.ndarray, wanted: np.ndarray, own: Precision, what: str, least: float | None = None) -> None:
    least = own.least_cosine if least is None else least
    cosine = (found * wanted).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(wanted, axis=-1)
    apart = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    if not float(cosine.mean()) >= least or (own.furthest is not None and not apart <= own.furthest):
        raise Problem(
            f"{what}: not what the checkpoint gives (mean cosine {cosine.mean():.5f}, expected {least}; "
            f"greatest difference {apart:.1e} of the greatest value)"
        )


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Weights stay where they are mapped: packed, they would be in memory a second time.
    options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


# The manifest


def _head(source: Path, family: str, hidden: int, longest: int) -> str:
    name = next((part for part in reversed(source.absolute().parts) if part != "original"), "large")
    return f"""\
# Written by `python -m weir_tools.large`.
format = 1
name = {json.dumps(name)}
version = "exported"
family = "{family}"

[dimensions]
hidden = {hidden}

[limits]
max_window_tokens = {longest}
halo_tokens = {min(1024, longest // 4)}
max_label_tokens = {arctic.LONGEST}

[tokenizer]
file = "tokenizer.json"
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", type=Path)
    arguments.add_argument("pack", type=Path)
    arguments.add_argument(
        "--experts", choices=sorted(PRECISIONS), default=["8"], nargs="+", help="bits of the experts' weights"
    )
    arguments.add_argument("--no-vtv", action="store_true", help="adaptive: leave out what conditions the layers on labels")
    arguments.add_argument("--longest", type=int, default=LONGEST_WINDOW, help="tokens of the longest window")
    arguments.add_argument("--padded", action="store_true", help="a graph of rows filled up as well")
    chosen = arguments.parse_args()
    try:
        export(chosen.source, chosen.pack, chosen.experts, not chosen.no_vtv, chosen.longest, chosen.padded)
    except Problem as problem:
        sys.exit(f"error: {problem}")
    print(f"wrote {chosen.pack}, checked against {chosen.source}")


if __name__ == "__main__":
    main()
