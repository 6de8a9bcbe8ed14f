"""The passages: the format, the split, and what the committed ones hold."""

from collections import Counter
from pathlib import Path

import pytest

from weir_tools import passages

LINE = r"The [[otter|animal]] met [[Orla Finch|ranger; person]].\nAt dusk. ## bird; weapon"


def test_a_line_gives_a_text_with_chains_and_absent_labels() -> None:
    text = passages.parse(LINE)
    assert text.text == "The otter met Orla Finch.\nAt dusk."
    assert [(text.text[start:end], chain) for start, end, chain in text.spans] == [
        ("otter", ("animal",)),
        ("Orla Finch", ("ranger", "person")),
    ]
    assert text.types == ("animal", "ranger", "person", "bird", "weapon")


@pytest.mark.parametrize("line", ["no marks ## bird", "[[otter|animal]] without absent ones", "[[otter]] ## bird"])
def test_a_line_of_another_format_is_refused(line: str) -> None:
    with pytest.raises(passages.Unreadable):
        passages.parse(line)


@pytest.mark.parametrize(("folder", "many", "labels"), [(passages.FOLDER, 1500, 5000), (passages.LATER, 1000, 3000)])
def test_the_committed_passages_are_many_varied_and_split(folder: Path, many: int, labels: int) -> None:
    train, dev = passages.read(folder)
    assert len(train) > many and len(dev) > many / 30
    assert not {text.text for text in train} & {text.text for text in dev}
    # one text may stand under several schemes of labels
    assert len({(text.text, *(span[2] for span in text.spans)) for text in train}) == len(train)
    assert len(Counter(label for text in train for _, _, chain in text.spans for label in chain)) > labels
    for text in train + dev:
        ends = [0, *(end for _, end, _ in text.spans)]
        assert all(end <= start < stop for end, (start, stop, _) in zip(ends, text.spans, strict=False)), text.text


def test_an_absent_label_is_not_in_the_passage() -> None:
    for path in [*sorted(passages.FOLDER.glob("*.txt")), *sorted(passages.LATER.glob("*.txt"))]:
        for line in path.read_text(encoding="utf-8").splitlines():
            marked, _, absent = line.partition(" ## ")
            present = {label for _, _, chain in passages.parse(line).spans for label in chain}
            assert not present & {one.strip() for one in absent.split(";")}, marked[:60]
