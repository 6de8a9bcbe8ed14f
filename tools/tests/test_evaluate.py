"""What the figures say of themselves."""

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
