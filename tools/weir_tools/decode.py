"""The reference decoder: plain and slow, so that it is easy to believe. weir's must agree with it.

Classes of N labels are numbered O = 0, then B, I, E, S of each label: 1 + 4 × label + position.
"""

from dataclasses import dataclass

import numpy as np

BEGIN, INSIDE, END, SINGLE = range(4)


@dataclass(frozen=True)
class TokenSpan:
    start: int
    end: int  # exclusive
    label: int
    gain: float  # mean over its tokens of what the best class of any label scores above O, never below 0
    margin: float  # mean over its tokens of what its class scores above O and all other labels


def window_starts(count: int, width: int, halo: int) -> list[int]:
    """Windows of `width` tokens start every `width - 2 × halo`; the last one ends the text."""
    stride = width - 2 * halo
    last = max(0, -(-(count - width) // stride))
    return [index * stride for index in range(last + 1)]


def stitch(scores: list[np.ndarray], starts: list[int], halo: int) -> np.ndarray:
    """Each token's scores from the window in which it stands farthest from an edge."""
    last = len(scores) - 1
    cores = [
        own[(0 if index == 0 else halo) : (len(own) if index == last else len(own) - halo)]
        for index, own in enumerate(scores)
    ]
    assert all(start == index * (starts[1] - starts[0]) for index, start in enumerate(starts) if index)
    return np.concatenate(cores)


def decode(scores: np.ndarray, o_bias: float) -> list[TokenSpan]:
    """One constrained BIOES Viterbi over scores (tokens, 1 + 4 × labels)."""
    biased = scores.astype(np.float64)
    biased[:, 0] += o_bias
    classes = _best_path(biased)
    return [_span(biased, classes, start, end) for start, end in _runs(classes)]


def marks(scores: np.ndarray, o_bias: float) -> list[TokenSpan]:
    """What each label would mark if it were asked alone; gain and margin are those of all labels together."""
    biased = scores.astype(np.float64)
    biased[:, 0] += o_bias
    found = []
    for label in range((scores.shape[1] - 1) // 4):
        columns = [0, *range(1 + 4 * label, 5 + 4 * label)]
        alone = _best_path(biased[:, columns])
        classes = np.where(alone > 0, alone + 4 * label, 0)
        found += [_span(biased, classes, start, end) for start, end in _runs(alone)]
    return found


def _best_path(scores: np.ndarray) -> np.ndarray:
    count, classes = scores.shape
    labels = (classes - 1) // 4
    begin, inside, end, single = (1 + np.arange(labels) * 4 + position for position in range(4))
    closed = np.concatenate([[0], end, single])  # classes after which anything but I and E may follow
    came_from = np.zeros((count, classes), np.int64)
    best = np.full(classes, -np.inf)
    best[0] = 0.0  # before the first token
    for token in range(count):
        free = closed[np.argmax(best[closed])]
        opened = np.where(best[begin] >= best[inside], begin, inside)
        arrived = np.full(classes, best[free])
        came_from[token] = free
        for position in (inside, end):
            arrived[position] = best[opened]
            came_from[token, position] = opened
        best = arrived + scores[token]
    if count == 0:
        return np.zeros(0, np.int64)
    path = np.zeros(count, np.int64)
    path[-1] = closed[np.argmax(best[closed])]
    for token in range(count - 1, 0, -1):
        path[token - 1] = came_from[token, path[token]]
    return path


def _runs(classes: np.ndarray) -> list[tuple[int, int]]:
    runs, start = [], 0
    for token, chosen in enumerate(classes):
        position = (chosen - 1) % 4
        if chosen == 0:
            continue
        if position in (BEGIN, SINGLE):
            start = token
        if position in (END, SINGLE):
            runs.append((start, token + 1))
    return runs


def _span(scores: np.ndarray, classes: np.ndarray, start: int, end: int) -> TokenSpan:
    label = (classes[start] - 1) // 4
    own = scores[np.arange(start, end), classes[start:end]]
    others = scores[start:end].copy()
    others[:, 1 + 4 * label : 5 + 4 * label] = -np.inf
    gains = np.maximum(scores[start:end, 1:].max(axis=1) - scores[start:end, 0], 0)
    return TokenSpan(start, end, int(label), float(gains.mean()), float((own - others.max(axis=1)).mean()))


def probability(figure: float, slope: float, intercept: float) -> float:
    return float(1 / (1 + np.exp(-(slope * figure + intercept))))
