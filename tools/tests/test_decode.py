"""The reference decoder against rules stated in another way: all paths tried one by one."""

import itertools

import numpy as np

from weir_tools import decode


def allowed(before: int | None, after: int) -> bool:
    """May class `after` follow `before` (None: the beginning)? The table of design 4.1."""
    position = (after - 1) % 4 if after else None
    opened = before is not None and before > 0 and (before - 1) % 4 in (decode.BEGIN, decode.INSIDE)
    if not opened:
        return position in (None, decode.BEGIN, decode.SINGLE)
    return position in (decode.INSIDE, decode.END) and (before - 1) // 4 == (after - 1) // 4


def best_by_trying_all(scores: np.ndarray) -> float:
    count, classes = scores.shape
    best = -np.inf
    for path in itertools.product(range(classes), repeat=count):
        steps = zip((None, *path), path, strict=False)
        ends_well = path[-1] == 0 or (path[-1] - 1) % 4 in (decode.END, decode.SINGLE)
        if ends_well and all(allowed(before, after) for before, after in steps):
            best = max(best, scores[np.arange(count), path].sum())
    return best


def test_no_allowed_path_is_better() -> None:
    random = np.random.default_rng(3)
    for count, labels in ((1, 1), (2, 2), (3, 2), (4, 1), (5, 1)):
        for _ in range(10):
            scores = random.normal(size=(count, 1 + 4 * labels))
            path = decode._best_path(scores)
            assert np.isclose(scores[np.arange(count), path].sum(), best_by_trying_all(scores))


def test_a_text_of_no_tokens_has_no_spans() -> None:
    assert decode.decode(np.zeros((0, 5)), 0.0) == []


def test_the_margin_is_to_the_best_of_o_and_other_labels_and_the_gain_to_o() -> None:
    scores = np.array([[1.0, 0, 0, 0, 5, 0, 0, 0, 3]])
    assert decode.decode(scores, 0.0) == [decode.TokenSpan(0, 1, 0, 4.0, 2.0)]
    assert decode.decode(scores, 3.0) == [decode.TokenSpan(0, 1, 0, 1.0, 1.0)]


def test_marks_are_what_each_label_finds_alone() -> None:
    scores = np.random.default_rng(7).normal(0, 3, (40, 13))
    marks = decode.marks(scores, 0.0)
    for label in range(3):
        own = decode.decode(scores[:, [0, *range(1 + 4 * label, 5 + 4 * label)]], 0.0)
        assert [(m.start, m.end) for m in marks if m.label == label] == [(s.start, s.end) for s in own]


def test_each_token_is_answered_for_once() -> None:
    for count in (0, 1, 9, 10, 11, 16, 17, 50, 51):
        for halo in (0, 2, 4):
            starts = decode.window_starts(count, 10, halo)
            rows = [np.arange(at, min(at + 10, count))[:, None] for at in starts]
            assert decode.stitch(rows, starts, halo)[:, 0].tolist() == list(range(count))
