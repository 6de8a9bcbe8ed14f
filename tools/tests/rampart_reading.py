"""What a plain reading of Rampart finds in texts.

    python tests/rampart_reading.py FOLDER TEXTS OUT

reads TEXTS, a text a line, and writes OUT: each text with its entities, or null where a rounding error may decide.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from plain_reading import read, row, spans, words
from tokenizers import Tokenizer


def main() -> None:
    folder, texts, out = map(Path, sys.argv[1:])
    names = json.loads((folder / "config.json").read_text())["id2label"]
    names = [names[str(at)] for at in range(len(names))]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(folder / "onnx" / "model_q4.onnx"))
    cases = []
    for text in texts.read_text(encoding="utf-8").splitlines():
        encoding = tokenizer.encode(text)
        ids = np.array([encoding.ids])
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        logits = session.run(None, inputs)[0][0]
        grouped = words(text, encoding)
        found, near = read(np.array([row(logits[word], "first") for word in grouped]), names, "viterbi")
        cases.append({"text": text, "spans": None if near else spans(text, encoding, grouped, found)})
    out.write_text(json.dumps(cases), encoding="utf-8")


if __name__ == "__main__":
    main()
