"""A small ONNX graph builder: nodes are added in order, tensors are known by name.

Graphs are written node by node, not traced, so that every kernel that will run is chosen here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
OPSET = 17

Shape = Sequence[int | str]


class Graph:
    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, shape: Shape) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> None:
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        if name in self._constants:
            raise ValueError(f"constant {name} is defined twice")
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def has(self, name: str) -> bool:
        return any(name in node.output for node in self._nodes)

    def node(self, op: str, inputs: Sequence[str], name: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node of one output, which is called `name` as the node is."""
        self._nodes.append(helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def contrib(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Adds a node of ONNX Runtime's own operator set."""
        return self.node(op, inputs, name, domain=MICROSOFT, **attributes)

    def save(self, path: Path) -> None:
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="weir-tools")
        path.write_bytes(model.SerializeToString(deterministic=True))
