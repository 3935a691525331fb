"""Times models of MiniLM's shape: ours, nine of ten weights zero, against onnxruntime's
dense int8 model of the same shape, turn by turn, each on one thread.

    python3 -m venv /tmp/ort && /tmp/ort/bin/pip install onnx onnxruntime numpy
    /tmp/ort/bin/python benchmarks/against_onnxruntime.py

Weights are random on both sides: the times are those of such models, the answers mean
nothing. The models for onnxruntime are quantised by its own `quantize_dynamic` and run with
all of its graph optimisations: one is written in ONNX's own operations, one in the fused
operations that its optimiser for transformers makes (`Attention`, `SkipLayerNormalization`,
`BiasGelu`). The quicker of the two is what ours are compared with. Ours start from text,
theirs from token ids.

Times are those that the thread had the processor for, so that other work on the machine
counts little; the time by the clock is next to them.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

LAYERS, HIDDEN, HEADS, INTERMEDIATE = 6, 384, 12, 1536
VOCABULARY, POSITIONS, LABELS = 30522, 512, 2
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
OURS = ["minilm-90", "minilm-90-blocks", "minilm-dense"]


class Graph:
    """Nodes and weights of a model, added in order."""

    def __init__(self, fused):
        self.fused = fused
        self.random = numpy.random.default_rng(7)
        self.nodes, self.weights = [], []

    def weight(self, *shape, value=None):
        name = f"w{len(self.weights)}"
        array = self.random.normal(0, 0.05, shape) if value is None else value
        array = numpy.asarray(array)
        if array.dtype == numpy.float64:
            array = array.astype(numpy.float32)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operation, *inputs, domain="", **attributes):
        name = f"n{len(self.nodes)}"
        node = helper.make_node(
            operation, inputs, [name], name=name, domain=domain, **attributes
        )
        self.nodes.append(node)
        return name

    def linear(self, x, inputs, outputs):
        product = self.node("MatMul", x, self.weight(inputs, outputs))
        return self.node("Add", product, self.weight(outputs))

    def norm(self, x):
        gain, shift = self.weight(value=numpy.ones(HIDDEN)), self.weight(HIDDEN)
        return self.node("LayerNormalization", x, gain, shift, epsilon=1e-5)

    def add_and_norm(self, x, update):
        if not self.fused:
            return self.norm(self.node("Add", x, update))
        gain, shift = self.weight(value=numpy.ones(HIDDEN)), self.weight(HIDDEN)
        return self.node(
            "SkipLayerNormalization", update, x, gain, shift,
            domain="com.microsoft", epsilon=1e-5,
        )

    def attention(self, x):
        if self.fused:
            return self.node(
                "Attention", x, self.weight(HIDDEN, 3 * HIDDEN), self.weight(3 * HIDDEN),
                domain="com.microsoft", num_heads=HEADS,
            )
        split = self.weight(value=numpy.array([0, 0, HEADS, HIDDEN // HEADS]))
        heads = [self.node("Reshape", self.linear(x, HIDDEN, HIDDEN), split) for _ in range(3)]
        query = self.node("Transpose", heads[0], perm=[0, 2, 1, 3])
        key = self.node("Transpose", heads[1], perm=[0, 2, 3, 1])
        value = self.node("Transpose", heads[2], perm=[0, 2, 1, 3])
        scores = self.node("MatMul", query, key)
        factor = self.weight(value=numpy.array((HIDDEN / HEADS) ** -0.5))
        weights = self.node("Softmax", self.node("Mul", scores, factor), axis=-1)
        read = self.node("Transpose", self.node("MatMul", weights, value), perm=[0, 2, 1, 3])
        return self.node("Reshape", read, self.weight(value=numpy.array([0, 0, HIDDEN])))

    def model(self):
        tokens = self.node("Gather", self.weight(VOCABULARY, HIDDEN), "ids")
        positions = self.node("Gather", self.weight(POSITIONS, HIDDEN), "positions")
        x = self.norm(self.node("Add", tokens, positions))
        for _ in range(LAYERS):
            x = self.add_and_norm(x, self.linear(self.attention(x), HIDDEN, HIDDEN))
            if self.fused:
                product = self.node("MatMul", x, self.weight(HIDDEN, INTERMEDIATE))
                bias = self.weight(INTERMEDIATE)
                neurons = self.node("BiasGelu", product, bias, domain="com.microsoft")
            else:
                neurons = self.node("Gelu", self.linear(x, HIDDEN, INTERMEDIATE))
            x = self.add_and_norm(x, self.linear(neurons, INTERMEDIATE, HIDDEN))
        axes = self.weight(value=numpy.array([1]))
        pooled = self.node("ReduceMean", x, axes, keepdims=0)
        logits = self.linear(pooled, HIDDEN, LABELS)
        ids = [
            helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"])
            for name in ("ids", "positions")
        ]
        output = helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, LABELS])
        graph = helper.make_graph(self.nodes, "minilm", ids, [output], self.weights)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = 10
        return model


def session(folder, fused, integers):
    """Their model: a session on one thread."""
    path = folder / f"dense-{fused}.onnx"
    onnx.save(Graph(fused).model(), path)
    if integers:
        quantized = folder / f"int8-{fused}.onnx"
        types = {"DefaultTensorType": TensorProto.FLOAT}
        quantize_dynamic(path, quantized, weight_type=QuantType.QInt8, extra_options=types)
        path = quantized
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def theirs(session, tokens):
    """Their model: seconds of a classification of token ids, on the thread and by the clock.

    With one thread the caller's is the one that computes.
    """
    ids = numpy.arange(tokens, dtype=numpy.int64)[None] + 100
    positions = numpy.arange(tokens, dtype=numpy.int64)[None]

    def run():
        start, start_of_thread = time.perf_counter(), time.thread_time()
        session.run(None, {"ids": ids, "positions": positions})
        return time.thread_time() - start_of_thread, time.perf_counter() - start

    return run


def ours(program, model, tokens):
    """Our model: seconds of a classification of a text, as of [theirs]."""
    child = subprocess.Popen(
        [program, model, str(tokens)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def run():
        child.stdin.write(b"\n")
        child.stdin.flush()
        elapsed = child.stdout.readline().split()
        return tuple(int(nanoseconds) * 1e-9 for nanoseconds in elapsed)

    return run


def cargo(*arguments):
    subprocess.run(["cargo", *arguments], cwd=REPOSITORY, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="turns that count (30)")
    parser.add_argument("--tokens", type=int, nargs="+", default=[16, 128])
    arguments = parser.parse_args()

    cargo("build", "--release", "--quiet", "-p", "neuroprune-host-bench")
    target = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target")
    program = target / "release" / "time_model"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        cargo("xtask", "bench", "--write-models", name)
        sessions = {
            "onnxruntime int8": session(folder, fused=False, integers=True),
            "onnxruntime int8, fused": session(folder, fused=True, integers=True),
            "onnxruntime f32, fused": session(folder, fused=True, integers=False),
        }
        print(f"onnxruntime {onnxruntime.__version__}, {arguments.rounds} rounds, medians, one thread")
        for tokens in arguments.tokens:
            runs = {name: theirs(session, tokens) for name, session in sessions.items()}
            for model in OURS:
                runs[model] = ours(program, folder / f"{model}.neuro", tokens)
            compare(runs, tokens, arguments.rounds)


def compare(runs, tokens, rounds):
    """Prints the medians, and each over that of onnxruntime's quicker int8 model."""
    times = {name: [] for name in runs}
    warming = 3
    for turn in range(warming + rounds):
        for name, run in runs.items():
            elapsed = run()
            if turn >= warming:
                times[name].append(elapsed)
    medians = {
        name: [statistics.median(column) for column in zip(*measured)]
        for name, measured in times.items()
    }
    int8 = [medians[name] for name in medians if name.startswith("onnxruntime int8")]
    reference = min(thread for thread, _ in int8)
    print(f"\n{tokens} tokens\n")
    print("| model | ms | of onnxruntime int8 | ms by the clock |\n|---|---:|---:|---:|")
    for name, (thread, clock) in medians.items():
        ratio = thread / reference
        print(f"| {name} | {thread * 1e3:.2f} | {ratio:.2f} | {clock * 1e3:.2f} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
