"""A graph whose output is of half precision, as published `model_fp16.onnx` are: usage half_logits.py IN OUT."""

import sys

import onnx

model = onnx.load(sys.argv[1])
output = model.graph.output[0]
for node in model.graph.node:
    node.output[:] = ["whole" if name == output.name else name for name in node.output]
model.graph.node.append(onnx.helper.make_node("Cast", ["whole"], [output.name], to=onnx.TensorProto.FLOAT16))
output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
onnx.save(model, sys.argv[2])
