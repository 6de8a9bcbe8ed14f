"""The generator: places are right, train and dev share nothing, every category is there."""

from collections import Counter

import pytest

from weir_tools import synthetic
from weir_tools.evaluate import BEYOND_NEMOTRON, PRIVATE

NEMOTRON_CATEGORIES = 55


def made(part: str, count: int = 400) -> list[synthetic.Record]:
    return list(synthetic.records(part, count, seed=5))


@pytest.mark.parametrize("part", ["train", "dev"])
def test_spans_lie_apart_and_hold_a_value(part: str) -> None:
    for record in made(part):
        end = 0
        for start, stop, chain in sorted(record.spans):
            assert end <= start < stop <= len(record.text), record.text
            assert record.text[start:stop] == record.text[start:stop].strip(), record.text[start:stop]
            assert set(chain) <= set(record.types)
            end = stop


def test_a_span_is_the_value_that_was_put_there() -> None:
    mails = [
        record.text[start:stop]
        for record in made("train")
        for start, stop, chain in record.spans
        if chain[0] == "pii:email"
    ]
    assert mails
    assert all(mail.count("@") == 1 and " " not in mail for mail in mails)


def test_train_and_dev_share_no_sentence_key_frame_or_layout() -> None:
    for name, category in synthetic.CATEGORIES.items():
        assert not set(category.sentences["train"]) & set(category.sentences["dev"]), name
        assert not set(category.keys["train"]) & set(category.keys["dev"]), name
    bare = {part: set(frames) - {"{*}", "{*} {*}"} for part, frames in synthetic.FRAMES.items()}
    assert not bare["train"] & bare["dev"]
    assert not set(synthetic.LAYOUTS["train"]) & set(synthetic.LAYOUTS["dev"])


def test_there_are_at_least_150_templates() -> None:
    sentences = [one for own in synthetic.CATEGORIES.values() for part in own.sentences.values() for one in part]
    frames = [one for part in synthetic.FRAMES.values() for one in part]
    assert len(set(sentences)) == len(sentences)
    assert len(sentences) + len(set(frames)) >= 150


@pytest.mark.parametrize("part", ["train", "dev"])
def test_every_category_is_met(part: str) -> None:
    met = Counter(concept for record in made(part) for _, _, chain in record.spans for concept in chain)
    for name in synthetic.CATEGORIES:
        assert met[synthetic.PREFIX + name] >= 3, name
    assert set(PRIVATE.values()) <= set(met)


def test_the_55_categories_of_nemotron_and_no_more_are_asked_for() -> None:
    wanted = set(synthetic.CATEGORIES) - synthetic.WHOLE_ONLY - BEYOND_NEMOTRON
    assert len(wanted) == NEMOTRON_CATEGORIES


def test_training_asks_the_labels_of_privacy_filter_as_the_evaluation_does() -> None:
    assert set(PRIVATE.values()) == synthetic.PRIVACY_FILTER <= set(synthetic.scheme_types("whole"))


def test_a_name_means_one_concept_only() -> None:
    for scheme in ("parts", "whole"):
        met = Counter(
            name.lower() for concept in synthetic.scheme_types(scheme) for name in set(synthetic.NAMES[concept])
        )
        assert [name for name, count in met.items() if count > 1] == []


def test_names_and_addresses_are_whole_or_in_parts_never_both() -> None:
    for record in made("train"):
        met = {concept.removeprefix(synthetic.PREFIX) for _, _, chain in record.spans for concept in chain}
        assert not met & (synthetic.PARTS_ONLY if record.scheme == "whole" else synthetic.WHOLE_ONLY)


def test_the_same_seed_gives_the_same_records() -> None:
    assert made("dev", 20) == made("dev", 20)


def test_some_records_are_all_in_capitals_and_some_have_none() -> None:
    texts = [record.text for record in made("train") if any(letter.isalpha() for letter in record.text)]
    assert 0 < sum(text == text.upper() for text in texts) < len(texts) / 10
    assert 0 < sum(text == text.lower() for text in texts) < len(texts) / 5
