"""A small ONNX graph builder: nodes are added in order, tensors are known by name.

Graphs are written node by node, not traced, so that every kernel that will run is chosen here. With a file for its
data a graph of any size is built with one constant in memory at a time.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
OPSET = 17

Shape = Sequence[int | str]


# Constants below this many bytes stand in the graph itself.
SMALL = 1024
# Pages of every common machine begin at multiples of this, so that ONNX Runtime can map what it reads.
PAGE = 4096


class Graph:
    def __init__(self, name: str, data: Path | None = None, beside: "Graph | None" = None) -> None:
        """`data`: a file beside the graph for its large constants.

        `beside`: a graph of the same weights, whose data file this one shares.
        """
        self._name = name
        self._data = beside._data if beside else data
        self._there = beside._constants if beside else {}
        if data:
            data.write_bytes(b"")
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._of_branch: list[str] | None = None  # constants of the branch that is being built
        self._of_branches: set[str] = set()
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._sizes: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, shape: Shape) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def sized(self, name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> None:
        """Tells the shape of what a node gives, where it does not follow from its inputs."""
        self._sizes.append(helper.make_tensor_value_info(name, kind, shape))

    def output(self, name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> None:
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        if name in self._constants:
            raise ValueError(f"constant {name} is defined twice")
        value = np.ascontiguousarray(value)
        if self._data and value.nbytes >= SMALL:
            self._constants[name] = self._shared_with(name, value) or self._outside(name, value)
        else:
            self._constants[name] = numpy_helper.from_array(value, name)
        if self._of_branch is not None:
            self._of_branch.append(name)
        return name

    def _shared_with(self, name: str, value: np.ndarray) -> onnx.TensorProto | None:
        there = self._there.get(name)
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        return there if there is not None and (there.data_type, tuple(there.dims)) == (kind, value.shape) else None

    def _outside(self, name: str, value: np.ndarray) -> onnx.TensorProto:
        with self._data.open("ab") as file:
            file.write(b"\0" * (-file.tell() % PAGE))
            start = file.tell()
            value.tofile(file)
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        tensor = onnx.TensorProto(name=name, data_type=kind, dims=value.shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, text in (("location", self._data.name), ("offset", str(start)), ("length", str(value.nbytes))):
            tensor.external_data.add(key=key, value=text)
        return tensor

    def has(self, name: str) -> bool:
        return any(name in node.output for node in self._nodes)

    def node(self, op: str, inputs: Sequence[str], name: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node of one output, which is called `name` as the node is."""
        self._nodes.append(helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def contrib(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Adds a node of ONNX Runtime's own operator set."""
        return self.node(op, inputs, name, domain=MICROSOFT, **attributes)

    def nodes(self, op: str, inputs: Sequence[str], names: Sequence[str], domain: str = "", **attributes: Any) -> None:
        """Adds a node of several outputs; one that is not wanted is called ""."""
        name = next(name for name in names if name)
        self._nodes.append(helper.make_node(op, list(inputs), list(names), name=name, domain=domain, **attributes))

    def branches(
        self,
        condition: str,
        names: Sequence[str],
        kinds: Sequence[int],
        met: Callable[[], Sequence[str]],
        otherwise: Callable[[], Sequence[str]],
    ) -> None:
        """Adds an `If` with outputs `names` of `kinds`; `met` and `otherwise` add its branches' nodes.

        Branches see all that was added before. Constants that they add are their own, shared ones are not.
        """
        outer, sizes, bodies = self._nodes, self._sizes, []
        for part, build in (("met", met), ("otherwise", otherwise)):
            self._nodes, self._sizes, self._of_branch = [], [], []
            given = [
                helper.make_tensor_value_info(own, kind, None) for own, kind in zip(build(), kinds, strict=True)
            ]
            constants = [self._constants[name] for name in self._of_branch]
            self._of_branches.update(self._of_branch)
            name = f"{names[0]}.{part}"
            bodies.append(helper.make_graph(self._nodes, name, [], given, constants, value_info=self._sizes))
        self._nodes, self._sizes, self._of_branch = outer, sizes, None
        body = {"then_branch": bodies[0], "else_branch": bodies[1]}
        self._nodes.append(helper.make_node("If", [condition], list(names), name=names[0], **body))

    def shared(self, name: str, value: np.ndarray | np.generic) -> str:
        """A constant that several nodes use; its value follows from its name."""
        if name in self._constants:
            return name
        branch, self._of_branch = self._of_branch, None
        self.constant(name, value)
        self._of_branch = branch
        return name

    def save(self, path: Path) -> None:
        constants = [tensor for name, tensor in self._constants.items() if name not in self._of_branches]
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, constants, value_info=self._sizes
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="weir-tools")
        path.write_bytes(model.SerializeToString(deterministic=True))
