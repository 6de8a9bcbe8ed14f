"""What SentencePiece makes of texts: a list of them in JSON on standard input, lists of XLM-RoBERTa's ids out."""

import json
import sys

import sentencepiece

model = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])
unknown = model.unk_id()
texts = json.load(sys.stdin)
# fairseq put <s>, <pad>, </s> and <unk> in front of the pieces: <unk> is 3, every other one place later.
json.dump([[3 if id == unknown else id + 1 for id in ids] for ids in model.encode(texts)], sys.stdout)
