"""Records and lines of personal data: what is asked of them, what is absent, and that train and dev lie apart."""

import random

import pytest

from weir_tools import develop, lines, personal
from weir_tools.examples import Text

PERSON = personal.PREFIX + "person"


def present(text: Text) -> set[str]:
    return {concept for _, _, chain in text.spans for concept in chain}


@pytest.mark.parametrize("part", ["train", "dev"])
def test_spans_lie_apart_hold_a_value_and_are_asked_for(part: str) -> None:
    for record in personal.records(part, 300, seed=5):
        text, end = record.text, 0
        for start, stop, chain in sorted(text.spans):
            assert end <= start < stop <= len(text.text), text.text
            assert text.text[start:stop].strip() == text.text[start:stop], text.text[start:stop]
            assert set(chain) <= set(text.types)
            end = stop


def test_a_frame_is_trained_on_or_held_out() -> None:
    train, dev = ({one.frame for one in personal.records(part, 1500, seed=5)} for part in ("train", "dev"))
    assert len(dev) > 40 and len(train) > 5 * len(dev)
    assert not train & dev


def test_all_seven_languages_are_there() -> None:
    assert {one.language for one in personal.records("train", 300, seed=5)} == set("en es fr de it pt nl".split())


def test_a_street_alone_is_an_address_too_and_a_fax_has_a_phone_number() -> None:
    met = {}
    for record in personal.records("train", 1500, seed=5):
        met |= {chain[0]: chain for _, _, chain in record.text.spans}
    assert PERSON in met[personal.PREFIX + "full_name"]
    assert personal.PREFIX + "address" in met[personal.PREFIX + "street"]
    assert personal.PREFIX + "phone" in met[personal.PREFIX + "fax"]


def test_what_has_nothing_personal_says_so() -> None:
    bare = [one.text for one in personal.records("train", 600, seed=5) if " none_" in one.frame]
    assert len(bare) > 10
    for text in bare:
        assert {personal.PREFIX + one for one in ("person", "address", "phone", "dob", "organisation")} <= set(text.types)


def test_a_concept_with_an_unsharp_border_is_not_said_to_be_absent() -> None:
    text = personal.text("x", "Ring 555", [(5, 8, "phone", None)], {"city"}, ())
    assert personal.PREFIX + "fax" not in text.types and personal.PREFIX + "city" not in text.types
    assert {PERSON, personal.PREFIX + "phone"} <= set(text.types)
    assert PERSON in personal.text("x", "Hi", [], {"person"}, ("person",)).types


def test_a_label_that_a_frame_names_by_itself_is_absent() -> None:
    assert "ship name" in personal.text("x", "Hi", [], (), ("ship_name",)).types


@pytest.mark.parametrize("name", lines.FILES)
def test_every_template_can_be_filled(name: str) -> None:
    templates = [*lines._read(name, "train"), *lines._read(name, "dev")]
    assert len(templates) > 60 and len(set(templates)) == len(templates)
    for number, template in enumerate(templates):
        text = lines.make(name, template, random.Random(number))
        assert "[[" not in text.text and "{n:" not in text.text and "{num" not in text.text, text.text
        assert text.text and present(text) <= set(text.types)
        if name == "names":
            assert present(text) & {PERSON, personal.PREFIX + "username"}, template


def test_no_trap_holds_a_person_and_each_asks_for_one() -> None:
    for number, template in enumerate([*lines._read("traps", "train"), *lines._read("traps", "dev")]):
        text = lines.make("traps", template, random.Random(number))
        assert PERSON in text.types and PERSON not in present(text), template


def test_most_lines_of_logs_ask_for_persons_addresses_phones_and_birth_dates_in_vain() -> None:
    logs = [text for text in lines.texts("train", 800, seed=1) if text.group == "logs"]
    wanted = {personal.PREFIX + one for one in ("person", "address", "phone", "dob", "organisation")}
    in_vain = [text for text in logs if wanted <= set(text.types) and not wanted & present(text)]
    assert len(in_vain) > 0.8 * len(logs)


def test_a_template_is_trained_on_or_held_out() -> None:
    for name in lines.FILES:
        train, dev = lines._read(name, "train"), lines._read(name, "dev")
        assert dev and not set(train) & set(dev)


def test_records_are_the_same_for_the_same_seed() -> None:
    assert list(personal.records("dev", 100, 3)) == list(personal.records("dev", 100, 3))
    assert list(lines.texts("dev", 50, 3)) == list(lines.texts("dev", 50, 3))


def test_figures_of_development_count_characters_spans_and_alarms() -> None:
    rows = [
        {"text": "Ada Lovelace rang", "entities": [{"start": 0, "end": 12, "label": "person"}], "types": ["person"]},
        {"text": "all quiet", "entities": [], "types": ["person"]},
    ]
    figures = develop.counted(rows, [{(0, 3, "person")}, {(0, 3, "person")}])
    assert figures == {
        "F1": 0.0,
        "any": 0.0,
        "found": pytest.approx(3 / 11),
        "over": pytest.approx(3 / 12),
        "whole": 0.0,
        "alarms": 100.0,
    }
    assert develop.counted(rows[:1], [{(0, 12, "person")}])["whole"] == 1.0
