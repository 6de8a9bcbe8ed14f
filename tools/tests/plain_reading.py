"""A plain reading of a token classifier's logits, which weir's is compared with: one text at a time, no windows, the words
by regular expression, a Viterbi over all pairs of classes.
"""

import re

import numpy as np

# What rounding may move a path's score by.
NEAR = 2e-3


def words(text: str, encoding) -> list[list[int]]:  # noqa: ANN001
    """Tokens of each word: the tokenizer's, cut where letters and digits meet what is neither."""
    runs = [match.span() for match in re.finditer(r"\w+|[^\w\s]+", text.replace("_", "-"))]
    known: dict[tuple[int | None, int], list[int]] = {}
    for at, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        if encoding.special_tokens_mask[at]:
            continue
        # White space by itself belongs to the word that it stands before.
        first = next((place for place in range(start, len(text)) if not text[place].isspace()), start)
        run = next((number for number, (a, b) in enumerate(runs) if a <= first < b), -1)
        known.setdefault((word, run), []).append(at)
    return list(known.values())


def row(logits: np.ndarray, how: str) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    p = powers / powers.sum(-1, keepdims=True)
    if how == "average":
        return np.log(p.mean(0))
    return np.log(p[p.max(-1).argmax()] if how == "max" else p[0])


def part(name: str) -> tuple[str, str]:
    found = re.match(r"([BIELSU])-(.+)", name)
    return (found[1], found[2]) if found else ("", name)


def follows(names: list[str], before: str, after: str) -> bool:
    """Whether class `after` may stand behind class `before` ("" at the begin and the end of a text)."""
    iob1 = "I-PERSON" in names and "B-PERSON" not in names
    bioes = any(name[:2] in ("E-", "L-") for name in names)
    (p, x), (q, y) = part(before), part(after)
    if iob1 or not (p or q):
        return True
    if bioes:
        is_open = p in ("B", "I")
        goes_on = q in ("I", "E", "L")
        return (is_open and goes_on and x == y) or (not is_open and not goes_on)
    return q != "I" or (p in ("B", "I") and x == y)


def viterbi(rows: np.ndarray, names: list[str]) -> tuple[list[str], bool]:
    """The best path, and whether another one is near."""
    allowed = np.array([[follows(names, a, b) for b in names] for a in names])
    begins = np.array([follows(names, "O", name) for name in names])
    ends = np.array([follows(names, name, "O") for name in names])
    low = -1e9
    forward = [np.where(begins, rows[0], low)]
    for own in rows[1:]:
        forward.append((forward[-1][:, None] + np.where(allowed, 0, low)).max(0) + own)
    backward = [np.where(ends, 0, low)]
    for own in rows[:0:-1]:
        backward.insert(0, (np.where(allowed, 0, low) + (backward[0] + own)[None]).max(1))
    through = np.array(forward) + np.array(backward)
    best = np.sort(through, -1)
    return [names[at] for at in through.argmax(-1)], bool((best[:, -1] - best[:, -2]).min() < NEAR)


def entities(path: list[str]) -> list[tuple[int, int, str]]:
    found: list[list] = []
    for at, name in enumerate(path):
        if name == "O":
            continue
        letter, category = part(name)
        goes_on = found and found[-1][1] == at and found[-1][2] == category and not closed
        if goes_on and letter in ("I", "E", "L", ""):
            found[-1][1] = at + 1
        else:
            found.append([at, at + 1, category])
        closed = letter in ("E", "L", "S", "U")
    return [(start, end, category) for start, end, category in found]


def read(rows: np.ndarray, names: list[str], decode: str) -> tuple[list[tuple[int, int, str]], bool]:
    if decode == "argmax":
        best = np.sort(rows, -1)
        path = [names[at] for at in rows.argmax(-1)]
        # The hub's `simple` aggregation knows B and I alone: any other letter goes on.
        path = [re.sub(r"^[ELM]-", "I-", re.sub(r"^[SU]-", "B-", name)) for name in path]
        return entities(path), bool((best[:, -1] - best[:, -2]).min() < NEAR)
    path, near = viterbi(rows, names)
    return entities(path), near


def spans(text: str, encoding, grouped, found) -> list[tuple[int, int, str]]:  # noqa: ANN001
    placed = []
    for start, end, category in found:
        pieces = [encoding.offsets[at] for word in grouped[start:end] for at in word]
        a, b = min(piece[0] for piece in pieces), max(piece[1] for piece in pieces)
        while a < b and text[a].isspace():
            a += 1
        placed.append((a, b, category))
    return placed
