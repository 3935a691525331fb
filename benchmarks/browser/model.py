"""Writes an encoder of random weights as ONNX, in float32 and in int8, for onnxruntime-web.

    model.py FOLDER NAME LAYERS HIDDEN INTERMEDIATE HEADS TOKENS

Writes FOLDER/NAME.float.onnx and FOLDER/NAME.int8.onnx. The graph is that of an exported BERT
classifier: embeddings, post-LayerNorm layers, mean of the tokens, 17 classes. int8 is
onnxruntime's own dynamic quantisation. A runtime for dense weights takes as long for random
ones as for trained ones.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

VOCABULARY = 30522
CLASSES = 17
EPSILON = 1e-12


class Graph:
    """Nodes and constants of a graph, each named once."""

    def __init__(self):
        self.nodes, self.constants, self.random = [], [], np.random.default_rng(7)

    def node(self, kind, inputs, **attributes):
        """Adds a node of one output and returns the output's name."""
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def constant(self, array):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape):
        return self.constant(self.random.normal(0, 0.05, shape).astype(np.float32))

    def linear(self, x, inputs, outputs):
        product = self.node("MatMul", [x, self.weights(inputs, outputs)])
        return self.node("Add", [product, self.weights(outputs)])

    def norm(self, x, width):
        gain, shift = np.ones(width, np.float32), np.zeros(width, np.float32)
        constants = [self.constant(gain), self.constant(shift)]
        return self.node("LayerNormalization", [x, *constants], axis=-1, epsilon=EPSILON)


def encoder(layers, hidden, intermediate, heads, tokens):
    """ids, `[1, length]` to logits, `[1, CLASSES]`."""
    graph = Graph()
    head = hidden // heads
    apart = graph.constant(np.array([0, 0, heads, head], np.int64))
    together = graph.constant(np.array([0, 0, hidden], np.int64))
    scale = graph.constant(np.float32(1 / np.sqrt(head)))

    words = graph.node("Gather", [graph.weights(VOCABULARY, hidden), "ids"])
    length = graph.node("Shape", ["ids"], start=1, end=2)
    first = graph.constant(np.array([0], np.int64))
    positions = graph.node("Slice", [graph.weights(tokens, hidden), first, length])
    x = graph.norm(graph.node("Add", [words, positions]), hidden)
    for _ in range(layers):
        parts = []
        for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
            part = graph.node("Reshape", [graph.linear(x, hidden, hidden), apart])
            parts.append(graph.node("Transpose", [part], perm=order))
        query, key, value = parts
        scores = graph.node("Mul", [graph.node("MatMul", [query, key]), scale])
        mixed = graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), value])
        mixed = graph.node("Transpose", [mixed], perm=[0, 2, 1, 3])
        mixed = graph.node("Reshape", [mixed, together])
        update = graph.linear(mixed, hidden, hidden)
        x = graph.norm(graph.node("Add", [update, x]), hidden)
        neurons = graph.node("Gelu", [graph.linear(x, hidden, intermediate)])
        update = graph.linear(neurons, intermediate, hidden)
        x = graph.norm(graph.node("Add", [update, x]), hidden)
    axis = graph.constant(np.array([1], np.int64))
    pooled = graph.node("ReduceMean", [x, axis], keepdims=0)
    logits = graph.linear(pooled, hidden, CLASSES)

    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "length"])
    output = helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, CLASSES])
    made = helper.make_graph(graph.nodes, "encoder", [ids], [output], graph.constants)
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(made, opset_imports=opset, ir_version=9)


def main():
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    folder, name = Path(sys.argv[1]), sys.argv[2]
    layers, hidden, intermediate, heads, tokens = map(int, sys.argv[3:])
    model = encoder(layers, hidden, intermediate, heads, tokens)
    onnx.checker.check_model(model)
    floats, bytes_ = folder / f"{name}.float.onnx", folder / f"{name}.int8.onnx"
    onnx.save(model, floats)
    quantize_dynamic(floats, bytes_, weight_type=QuantType.QInt8)


main()
