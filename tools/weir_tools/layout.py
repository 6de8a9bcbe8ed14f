"""How the rows of a batch lie side by side: filled up to the longest, or one behind the other.

Both give what attention sees, and what the adaptive family adds to a row: h <- (1 - gate) h + gate (h Vt) V / labels.
Attention is a band: a token sees `window` tokens to either side, in its own row, and a sink, a score of each head that
joins the softmax and is dropped.
"""

from typing import Protocol

import numpy as np
from onnx import TensorProto

from .graph import Graph
from .shape import Shape

# Far below every score, and still finite where it is added to others.
UNSEEN = np.float32(-1e9)


class Layout(Protocol):
    ids: str

    def __init__(self, graph: Graph, shape: Shape, longest: int, points: int) -> None:
        """Adds the inputs, and `cosines` and `sines` of `longest` positions; `points` that something is injected at."""

    def attend(self, query: str, key: str, value: str, sinks: np.ndarray, name: str) -> str:
        """All (rows, tokens, heads x head): what each token takes from the tokens that it sees.

        Queries and keys are turned by their positions first.
        """

    def inject(self, x: str, point: int, gate: float) -> str: ...

    def finish(self, x: str, name: str, width: int) -> None:
        """Makes the last node's output the graph's."""


class _Names:
    def __init__(self, graph: Graph, shape: Shape, longest: int) -> None:
        self._graph, self._shape = graph, shape
        angles = np.arange(longest, dtype=np.float32)[:, None] * shape.frequencies
        graph.constant("cosines", np.cos(angles) * np.float32(shape.cosine_scale))
        graph.constant("sines", np.sin(angles) * np.float32(shape.cosine_scale))

    def _number(self, name: str, value: object) -> str:
        return self._graph.shared(f"number.{name}", np.asarray(value, np.int64))

    def _turned(self, states: str, positions: str, heads: int) -> str:
        """(batch, tokens, heads x head) by `positions` (batch, tokens)."""
        return self._graph.contrib(
            "RotaryEmbedding",
            [states, positions, "cosines", "sines"],
            f"{states}.turned",
            interleaved=1,
            num_heads=heads,
            rotary_embedding_dim=0,
        )

    def _square(self, real: str, count: str, at: str) -> str:
        """(rows, 1, queries, keys): 0 where a token sees another, `real` (rows, tokens): where there is a token.

        `count`: tokens of a row, a scalar.
        """
        graph = self._graph
        order = graph.node("Range", [self._number("zero", 0), count, self._number("one", 1)], f"{at}order")
        across = graph.node("Unsqueeze", [order, self._number("first", [0])], f"{at}order.across")
        down = graph.node("Unsqueeze", [order, self._number("second", [1])], f"{at}order.down")
        apart = graph.node("Abs", [graph.node("Sub", [down, across], f"{at}order.apart")], f"{at}distance")
        near = graph.node("LessOrEqual", [apart, self._number("window", self._shape.window)], f"{at}near")
        keys = graph.node("Unsqueeze", [real, self._number("middle", [1, 2])], f"{at}real.keys")
        return self._band(graph.node("And", [keys, near], f"{at}seen"), f"{at}band")

    def _band(self, seen: str, name: str) -> str:
        """0 where `seen`."""
        nothing, unseen = (
            self._graph.shared(own, np.float32(value)) for own, value in (("nothing", 0), ("unseen", UNSEEN))
        )
        return self._graph.node("Where", [seen, nothing, unseen], name)

    def _keys(self, rows: str, count: str, at: str) -> None:
        """How many keys each of `rows` rows has, as GroupQueryAttention asks for it: all `count`, the band hides some."""
        graph = self._graph
        last = graph.node("Sub", [count, self._number("one", 1)], f"{at}count.last")
        last = graph.node("Cast", [last], f"{at}last", to=TensorProto.INT32)
        graph.node("Expand", [last, rows], f"{at}last_keys")
        graph.node("Cast", [count], f"{at}all_keys", to=TensorProto.INT32)

    def _whole(self, query: str, key: str, value: str, sink: str, at: str, name: str) -> str:
        """Attention of whole rows (rows, tokens, heads x head)."""
        graph, shape = self._graph, self._shape
        query = self._turned(query, f"{at}positions", shape.heads)
        key = self._turned(key, f"{at}positions", shape.key_heads)
        graph.nodes(
            "GroupQueryAttention",
            [query, key, value, "", "", f"{at}last_keys", f"{at}all_keys", "", "", "", f"{at}band", sink],
            [name, f"{name}.keys", f"{name}.values"],
            domain="com.microsoft",
            num_heads=shape.heads,
            kv_num_heads=shape.key_heads,
            causal=0,
            do_rotary=0,
            scale=shape.head**-0.5,
        )
        return name

    def _moved(self, x: str, v: str, share: str, any_label: str, point: int, gate: float) -> str:
        """`share`: 1 / labels where a token's row asks for a label; `any_label`: 1 where it asks for any."""
        graph, at = self._graph, f"inject{point}"
        across = graph.node("Transpose", [v], f"{at}.across", perm=[0, 2, 1])
        shared = graph.node("Mul", [graph.node("MatMul", [x, across], f"{at}.scores"), share], f"{at}.shared")
        seen = graph.node("MatMul", [shared, v], f"{at}.seen")
        own = graph.node("Mul", [any_label, graph.constant(f"{at}.gate", np.float32(gate))], f"{at}.open")
        moved = graph.node("Mul", [own, graph.node("Sub", [seen, x], f"{at}.change")], f"{at}.moved")
        return graph.node("Add", [x, moved], f"{at}.out")


class Padded(_Names):
    """Rows filled up on the right: `input_ids`, `attention_mask` (batch, tokens).

    With injection `v` (batch, points, labels, width), zeros behind a row's own labels, and `n_labels` (batch).
    ONNX Runtime's attention computes the whole square: fast up to some 300 tokens a row, twice the time at 2,048.
    """

    def __init__(self, graph: Graph, shape: Shape, longest: int, points: int) -> None:
        super().__init__(graph, shape, longest)
        self.ids = graph.input("input_ids", TensorProto.INT64, ["batch", "tokens"])
        mask = graph.input("attention_mask", TensorProto.INT64, ["batch", "tokens"])
        if points:
            graph.input("v", TensorProto.FLOAT, ["batch", points, "labels", shape.width])
            graph.input("n_labels", TensorProto.INT64, ["batch"])
        graph.node("Shape", [self.ids], "ids.shape")
        rows = graph.node("Shape", [self.ids], "rows", start=0, end=1)
        length = graph.node("Shape", [self.ids], "length", start=1, end=2)
        count = graph.node("Squeeze", [length], "count")
        real = graph.node("Cast", [mask], "real", to=TensorProto.BOOL)
        self._square(real, count, "")
        graph.node("Expand", ["order.across", "ids.shape"], "positions")
        self._keys(rows, count, "")

    def attend(self, query: str, key: str, value: str, sinks: np.ndarray, name: str) -> str:
        return self._whole(query, key, value, self._graph.constant(f"{name}.sinks", sinks), "", name)

    def inject(self, x: str, point: int, gate: float) -> str:
        graph = self._graph
        if point == 0:
            labels = graph.node("Cast", ["n_labels"], "labels", to=TensorProto.FLOAT)
            labels = graph.node("Unsqueeze", [labels, self._number("middle", [1, 2])], "labels.row")
            one = graph.constant("unit", np.float32(1))
            graph.node("Reciprocal", [graph.node("Max", [labels, one], "labels.some")], "labels.share")
            graph.node("Min", [labels, one], "labels.any")
        which = graph.constant(f"inject{point}.point", np.array([point]))
        own = graph.node("Gather", ["v", which], f"inject{point}.own", axis=1)
        v = graph.node("Squeeze", [own, self._number("second", [1])], f"inject{point}.v")
        return self._moved(x, v, "labels.share", "labels.any", point, gate)

    def finish(self, x: str, name: str, width: int) -> None:
        self._graph.node("Identity", [x], name)
        self._graph.output(name, ["batch", "tokens", width])


class Packed(_Names):
    """Rows one behind the other: `input_ids`, `position_ids` and `segment_ids`, the number of a token's row (tokens).

    With injection `v` (points, labels, width) of all label sets one behind the other, `label_sets` (labels), the number
    of the set that a label is of, and `token_sets` (tokens), the set that a token's row asks for; -1: none.

    No padding, and a cost per token that no row's length changes. Where rows are short, attention alone fills them up
    and computes the whole square. Else it is cut into blocks of queries, which see their own keys and those of the
    neighbours that the band reaches. A block's keys have one dimension more, 0; the sink is a key that is 1 there, and
    queries hold their head's sink there.
    """

    # Keys of a token up to which whole rows are faster, filled up as they are.
    whole = 384

    def __init__(self, graph: Graph, shape: Shape, longest: int, points: int) -> None:
        super().__init__(graph, shape, longest)
        # Blocks of 64 against 128 and 32: 320 keys a query against 384 and 288, and products of a good size still
        self._block = min(64, shape.window)
        self._sides = -(-shape.window // self._block)
        ids = graph.input("input_ids", TensorProto.INT64, ["tokens"])
        positions = graph.input("position_ids", TensorProto.INT64, ["tokens"])
        segments = graph.input("segment_ids", TensorProto.INT64, ["tokens"])
        if points:
            graph.input("v", TensorProto.FLOAT, [points, "labels", shape.width])
            graph.input("label_sets", TensorProto.INT64, ["labels"])
            graph.input("token_sets", TensorProto.INT64, ["tokens"])
        self._length = graph.node("Shape", [ids], "length")
        block = self._number("block", [self._block])
        over = graph.node("Mod", [graph.node("Neg", [self._length], "length.minus"), block], "over")
        self._fill = graph.node("Concat", [self._number("none", [0]), over], "fill", axis=0)
        self.ids = self._row(ids, "ids", 0)
        graph.node("Shape", [self.ids], "ids.shape")
        self._layouts(positions, segments)

    def _layouts(self, positions: str, segments: str) -> None:
        """What attention of whole rows needs, and that of blocks; only one of them is computed."""
        graph, one = self._graph, self._number("one", 1)
        longest = graph.node("Add", [graph.node("ReduceMax", [positions], "position.last", keepdims=1), one], "longest")
        rows = graph.node("Add", [graph.node("ReduceMax", [segments], "segment.last", keepdims=1), one], "count.rows")
        square = graph.node("Mul", [graph.node("Mul", [longest, longest], "longest.square"), rows], "square")
        most = graph.node("Mul", [self._length, self._number("whole", self.whole)], "square.most")
        self._short = graph.node("LessOrEqual", [square, most], "short")
        first = self._number("first", [0])
        self._rows = graph.node("Concat", [rows, longest, self._number("rest", [-1])], "rows.shape", axis=0)
        place = graph.node("Add", [graph.node("Mul", [segments, longest], "segment.start"), positions], "place.own")
        blocks = self._number("blocks", [-1, self._block])
        own = self._row(segments, "segments", -1)
        own = graph.node("Reshape", [own, blocks], "segments.blocks")
        self._blocks = graph.node("Shape", [own], "blocks", start=0, end=1)

        def whole() -> list[str]:
            cells = graph.node("Mul", [rows, longest], "rows.cells")
            nobody = graph.node("Expand", [self._number("nobody", [-1]), cells], "rows.nobody")
            order = graph.node("Range", [self._number("zero", 0), self._length, one], "rows.tokens")
            source = graph.node("ScatterElements", [nobody, place, order], "rows.filled", axis=0)
            real = graph.node("GreaterOrEqual", [source, self._number("zero", 0)], "rows.real.flat")
            by_row = graph.node("Concat", [rows, longest], "rows.by_row", axis=0)
            real = graph.node("Reshape", [real, by_row], "rows.real")
            band = self._square(real, longest, "rows.")
            turned = graph.node("Expand", ["rows.order.across", by_row], "rows.turned")
            somebody = graph.node("Max", [source, self._number("zero", 0)], "rows.somebody")
            back = graph.node("Pad", [place, self._fill, self._number("filler0", 0)], "rows.back")
            return [band, turned, somebody, back]

        def blocked() -> list[str]:
            turned = self._row(positions, "positions", 0)
            turned = graph.node("Reshape", [turned, blocks], "positions.blocks")
            unused = [graph.node("Identity", [first], f"unused{index}") for index in range(2)]
            return [self._blocks_band(own), turned, *unused]

        kinds = [TensorProto.FLOAT, *[TensorProto.INT64] * 3]
        graph.branches(self._short, ["own.band", "own.positions", "row.source", "row.back"], kinds, whole, blocked)
        self._keys(rows, longest, "own.")

    def _row(self, x: str, name: str, filler: int) -> str:
        """(tokens) as (1, whole blocks)."""
        filled = self._graph.node("Pad", [x, self._fill, self._number(f"filler{filler}", filler)], f"{name}.filled")
        return self._graph.node("Unsqueeze", [filled, self._number("first", [0])], f"{name}.row")

    def _blocks_band(self, own: str) -> str:
        """(blocks, 1, queries, keys and the sink): 0 where a query sees a key. `own`: segments of each block."""
        graph, block, sides = self._graph, self._block, self._sides
        keys = self._neighbours(own, "segments", 1, filler=self._number("outside", -2))
        same = graph.node(
            "Equal",
            [
                graph.node("Unsqueeze", [own, self._number("third", [2])], "segments.queries"),
                graph.node("Unsqueeze", [keys, self._number("second", [1])], "segments.keys"),
            ],
            "same",
        )
        query, key = np.arange(block)[:, None], np.arange((2 * sides + 1) * block) - sides * block
        near = graph.constant("near", np.abs(query - key) <= self._shape.window)
        band = self._band(graph.node("And", [same, near], "seen"), "band.keys")
        sink = graph.node("Pad", [band, self._number("sink", [0, 0, 0, 0, 0, 1])], "band.sink")
        return graph.node("Unsqueeze", [sink, self._number("second", [1])], "band")

    def _neighbours(self, x: str, name: str, axis: int, filler: str = "") -> str:
        """(blocks, ...): each block with those beside it, along `axis`."""
        graph, sides, rank = self._graph, self._sides, axis + (1 if axis == 1 else 2)
        outside = [0] * rank
        outside[0] = sides
        pads = self._number(f"neighbours{rank}", outside * 2)
        wide = graph.node("Pad", [x, pads, *([filler] if filler else [])], f"{name}.outside")
        first = self._number("first", [0])
        ends = [self._number(f"end{side}", [side - 2 * sides]) for side in range(2 * sides)]
        ends.append(self._number("end", [np.iinfo(np.int64).max]))
        parts = [
            graph.node("Slice", [wide, self._number(f"side{side}", [side]), end, first], f"{name}.side{side}")
            for side, end in enumerate(ends)
        ]
        return graph.node("Concat", parts, f"{name}.neighbours", axis=axis)

    def attend(self, query: str, key: str, value: str, sinks: np.ndarray, name: str) -> str:
        def whole() -> list[str]:
            return [self._in_rows(query, key, value, sinks, name)]

        def blocked() -> list[str]:
            return [self._in_blocks(query, key, value, sinks, name)]

        self._graph.branches(self._short, [name], [TensorProto.FLOAT], whole, blocked)
        return name

    def _in_rows(self, query: str, key: str, value: str, sinks: np.ndarray, name: str) -> str:
        graph, shape = self._graph, self._shape

        def filled(x: str, part: str) -> str:
            cells = graph.node("Gather", [x, "row.source"], f"{name}.{part}.cells", axis=1)
            return graph.node("Reshape", [cells, self._rows], f"{name}.{part}.rows")

        query, key, value = (filled(x, part) for x, part in ((query, "q"), (key, "k"), (value, "v")))
        sink = graph.constant(f"{name}.sinks.whole", sinks)
        taken = self._whole(query, key, value, sink, "own.", f"{name}.whole")
        wide = self._number("together", [1, -1, shape.heads * shape.head])
        cells = graph.node("Reshape", [taken, wide], f"{name}.whole.cells")
        return graph.node("Gather", [cells, "row.back"], f"{name}.whole.back", axis=1)

    def _in_blocks(self, query: str, key: str, value: str, sinks: np.ndarray, name: str) -> str:
        graph, shape, block = self._graph, self._shape, self._block
        heads, groups, head = shape.heads, shape.key_heads, shape.head
        keys = (2 * self._sides + 1) * block + 1
        query, key, value = self._blocked(query, heads), self._blocked(key, groups), self._blocked(value, groups)
        query, key = self._turned(query, "own.positions", heads), self._turned(key, "own.positions", groups)
        queries = self._by_head(query, heads)
        sink = np.zeros((1, heads, 1, 1), np.float32)
        sink[0, :, 0, 0] = sinks * head**0.5
        tall = graph.node("Concat", [self._blocks, self._number("sinks", [heads, block, 1])], f"{name}.tall", axis=0)
        sink = graph.node("Expand", [graph.constant(f"{name}.sinks", sink), tall], f"{name}.sink")
        queries = graph.node("Concat", [queries, sink], f"{name}.q.wide", axis=3)
        grouped = self._number("grouped", [0, groups, heads // groups * block, head + 1])
        queries = graph.node("Reshape", [queries, grouped], f"{name}.q.grouped")
        one_wider = self._number("one_wider", [0, 0, 0, 0, 0, 0, 0, 1])
        key = graph.node("Pad", [self._by_head(key, groups), one_wider], f"{name}.k.wide")
        key = self._neighbours(key, f"{name}.k", 2)
        value = self._neighbours(self._by_head(value, groups), f"{name}.v", 2)
        last = np.zeros((1, groups, 1, head + 1), np.float32)
        last[..., head] = 1
        key = graph.node("Concat", [key, self._every_block(last, f"{name}.k.last")], f"{name}.k.all", axis=2)
        nothing = self._every_block(np.zeros((1, groups, 1, head), np.float32), f"{name}.v.last")
        value = graph.node("Concat", [value, nothing], f"{name}.v.all", axis=2)
        scores = graph.contrib("FusedMatMul", [queries, key], f"{name}.scores", transB=1, alpha=head**-0.5)
        scores = graph.node("Reshape", [scores, self._number("by_head", [-1, heads, block, keys])], f"{name}.by_head")
        banded = graph.node("Add", [scores, "own.band"], f"{name}.banded")
        shares = graph.node("Softmax", [banded], f"{name}.shares", axis=-1)
        by_group = self._number("by_group", [0, groups, heads // groups * block, keys])
        shares = graph.node("Reshape", [shares, by_group], f"{name}.by_group")
        taken = graph.node("MatMul", [shares, value], f"{name}.taken")
        taken = graph.node("Reshape", [taken, self._number("apart", [0, heads, block, head])], f"{name}.apart")
        taken = graph.node("Transpose", [taken], f"{name}.turned", perm=[0, 2, 1, 3])
        return graph.node("Reshape", [taken, self._number("together", [1, -1, heads * head])], f"{name}.blocked")

    def _blocked(self, x: str, heads: int) -> str:
        """(1, tokens, heads x head) as (blocks, block, heads x head)."""
        shape = self._number(f"blocks_of_{heads}", [-1, self._block, heads * self._shape.head])
        return self._graph.node("Reshape", [x, shape], f"{x}.blocks")

    def _by_head(self, x: str, heads: int) -> str:
        """(blocks, block, heads x head) as (blocks, heads, block, head)."""
        shape = self._number(f"heads_{heads}", [0, 0, heads, self._shape.head])
        apart = self._graph.node("Reshape", [x, shape], f"{x}.apart")
        return self._graph.node("Transpose", [apart], f"{x}.heads", perm=[0, 2, 1, 3])

    def _every_block(self, value: np.ndarray, name: str) -> str:
        own = self._number("_".join(map(str, value.shape[1:])), value.shape[1:])
        sizes = self._graph.node("Concat", [self._blocks, own], f"{name}.shape", axis=0)
        return self._graph.node("Expand", [self._graph.constant(f"{name}.one", value), sizes], name)

    def inject(self, x: str, point: int, gate: float) -> str:
        graph = self._graph
        if point == 0:
            tokens = self._row("token_sets", "token_sets", -1)
            down = graph.node("Unsqueeze", [tokens, self._number("third", [2])], "token_sets.down")
            asks = graph.node("Equal", [down, "label_sets"], "asks")
            asks = graph.node("Cast", [asks], "asks.one", to=TensorProto.FLOAT)
            labels = graph.node("ReduceSum", [asks, self._number("third", [2])], "labels", keepdims=1)
            one = graph.constant("unit", np.float32(1))
            graph.node("Div", [asks, graph.node("Max", [labels, one], "labels.some")], "labels.share")
            graph.node("Min", [labels, one], "labels.any")
        which = graph.constant(f"inject{point}.point", np.array([point]))
        v = graph.node("Gather", ["v", which], f"inject{point}.v", axis=0)
        return self._moved(x, v, "labels.share", "labels.any", point, gate)

    def finish(self, x: str, name: str, width: int) -> None:
        graph = self._graph
        tokens = graph.node("Squeeze", [x, self._number("first", [0])], f"{name}.filled")
        graph.node("Slice", [tokens, self._number("none", [0]), self._length, self._number("first", [0])], name)
        graph.output(name, ["tokens", width])
