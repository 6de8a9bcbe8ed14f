"""What the figures say of themselves."""

import numpy as np

from weir_tools import evaluate


def judged(documents: int | None) -> list[evaluate.Judged]:
    """Forty sentences with an entity each, found in every other one."""
    return [
        evaluate.Judged(
            evaluate.Record("corpus", [], [], ["x"], {(0, 1): "x"}, f"{n % documents}" if documents else None),
            {(0, 1): "x"} if n % 2 else {},
        )
        for n in range(40)
    ]


def test_an_interval_counts_documents_and_not_their_sentences() -> None:
    alone, in_two = evaluate.figures(judged(None)), evaluate.figures(judged(2))
    assert alone["f1"][0] == in_two["f1"][0]
    assert (alone["documents"], in_two["documents"]) == (40, 2)
    assert in_two["f1"][1:] == [0.0, 1.0]
    assert 0.4 < alone["f1"][1] < alone["f1"][2] < 0.9


def scored(gain: float, right: float, count: int) -> evaluate.Scored:
    """Records of one token: an entity of `x` by the scores, which so large a share of them has."""
    records = [
        evaluate.Record("set", [1], [(0, 1)], ["x"], {(0, 1): "x"} if n % 100 < 100 * right else {}) for n in range(count)
    ]
    return records, [np.array([[0.0, 0.0, 0.0, 0.0, gain + n % 7 / 100]]) for n in range(count)]


def test_labels_that_training_did_not_have_count_as_much_as_the_others_in_a_score() -> None:
    known, unseen = scored(2.0, 0.9, 4000), scored(2.0, 0.3, 400)
    alone = evaluate.calibration(known, 0.0)
    both = evaluate.calibration(known, 0.0, unseen)
    said = {name: own["gain_slope"] * 2.03 + own["gain_intercept"] for name, own in (("alone", alone), ("both", both))}
    chance = {name: 1 / (1 + np.exp(-own)) for name, own in said.items()}
    assert abs(chance["alone"] - 0.9) < 0.02
    assert abs(chance["both"] - 0.6) < 0.02
    assert "unseen_reliability" in both and "unseen_reliability" not in alone
