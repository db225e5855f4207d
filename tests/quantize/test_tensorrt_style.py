"""Q/DQ for TensorRT: each placement rule, the thin-channel table, types and opsets."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from edgekit.quantize.qdq import write_qdq
from edgekit.quantize.tensorrt_style import is_thin
from edgekit.quantize.topology import Topology

THREE = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


class Written:
    """A quantized model and questions to it."""

    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.made = {name: n for n in model.graph.node for name in n.output}
        self.nodes = {n.name: n for n in model.graph.node}

    def quantized(self, node: str, index: int) -> bool:
        """Whether that input comes from Q → DQ."""
        dq = self.made.get(self.nodes[node].input[index])
        return (
            dq is not None and dq.op_type == "DequantizeLinear" and self.made[dq.input[0]].op_type == "QuantizeLinear"
        )

    def scale(self, node: str, index: int) -> np.ndarray:
        return self.values[self.made[self.nodes[node].input[index]].input[1]]


@pytest.fixture(scope="module")
def ranges(student, frames, calibrate):
    return calibrate(student, frames, observer="minmax").ranges


@pytest.fixture(scope="module")
def written(student, ranges) -> Written:
    return Written(write_qdq(student, ranges, style="tensorrt"))


def test_every_input_of_a_layer_is_quantized_and_no_output(written):
    layers = [n for n in written.model.graph.node if n.op_type == "Conv"]
    assert len(layers) == 5
    for layer in layers:
        assert written.quantized(layer.name, 0) and written.quantized(layer.name, 1)
    readers = [n for n in written.model.graph.node if "logits" in n.input]
    assert readers == [] and written.made["logits"].op_type == "Conv"


def test_nothing_between_a_convolution_and_its_relu(written):
    for node in written.model.graph.node:
        if node.op_type == "Relu":
            assert written.made[node.input[0]].op_type == "Conv"


def test_weights_and_biases_stay_float(written, student):
    originals = {t.name: numpy_helper.to_array(t) for t in student.graph.initializer}
    for index in range(5):
        np.testing.assert_array_equal(written.values[f"w{index}"], originals[f"w{index}"])
        node = next(n for n in written.model.graph.node if n.op_type == "Conv" and n.input[2] == f"b{index}")
        scale = written.scale(node.name, 1)
        np.testing.assert_array_equal(scale, np.abs(originals[f"w{index}"]).max(axis=(1, 2, 3)) / np.float32(127))


def test_symmetric_with_zero_point_zero(written, ranges):
    points = [v for name, v in written.values.items() if name.endswith("zero_point")]
    assert points and all(p.dtype == np.int8 and not p.any() for p in points)
    lo, hi = ranges["sum"]
    assert written.values["sum.scale"] == np.float32(max(-lo, hi)) / np.float32(127)


def test_no_quantization_before_resize_and_on_the_identity_of_a_sum_alone(written):
    assert not written.quantized("up_node", 0)
    assert written.quantized("sum_node", 0) and not written.quantized("sum_node", 1)
    assert written.nodes["sum_node"].input[1] == "up"


def test_what_is_joined_has_one_scale(written):
    """r0 is read by a layer of its own; r3 and r0 meet in the Concat, whose result a layer reads."""
    assert not written.quantized("both_node", 0)
    assert written.scale("c1_node", 0) == written.scale("logits_node", 0)


def test_one_pair_serves_all_readers(written):
    assert written.nodes["c1_node"].input[0] == written.nodes["sum_node"].input[0] == "r0.dequantized"


def test_a_float_layer_reads_and_has_floats(student, ranges):
    written = Written(write_qdq(student, ranges, style="tensorrt", keep_float={"c3_node"}))
    assert list(written.nodes["c3_node"].input) == ["sum", "w3", "b3"]
    assert not written.quantized("sum_node", 0)  # the sum feeds no integer layer any more


def test_a_sum_of_two_convolutions_keeps_one_to_be_fused(build, frames, calibrate):
    weight = np.random.default_rng(0).standard_normal((16, 3, 3, 3)).astype(np.float32)
    square = np.random.default_rng(1).standard_normal((16, 16, 3, 3)).astype(np.float32)
    model = build(
        [
            ("Conv", ["input", "w"], "a", THREE),
            ("Conv", ["input", "w"], "b", THREE),
            ("Add", ["a", "b"], "sum", {}),
            ("Relu", ["sum"], "r", {}),
            ("Conv", ["r", "v"], "out", THREE),
        ],
        {"w": weight, "v": square},
        ["out"],
    )
    written = Written(write_qdq(model, calibrate(model, frames).ranges, style="tensorrt"))
    assert [written.quantized("sum_node", i) for i in (0, 1)] == [True, False]
    # Weights that two layers share get a pair each, under names of their own.
    assert written.nodes["a_node"].input[1] != written.nodes["b_node"].input[1]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("second_reader", ["a layer", "a float operator", "the output", None])
def test_a_branch_that_something_else_reads_is_no_convolution_to_fuse(
    build, frames, order, between, second_reader, calibrate
):
    """a and b are fresh from convolutions. Where a is read elsewhere too, it stays in memory: b is fused, a quantized.

    ``between``: a passes through a pooling on its way into the sum, and the second reader stands before that.
    """
    weight = np.random.default_rng(0).standard_normal((16, 3, 3, 3)).astype(np.float32)
    square = np.random.default_rng(1).standard_normal((16, 16, 3, 3)).astype(np.float32)
    first = "c" if between else "a"
    nodes = [("Conv", ["input", "w"], first, THREE), ("Conv", ["input", "w"], "b", THREE)]
    nodes += [("MaxPool", ["c"], "a", {"kernel_shape": [1, 1]})] if between else []
    nodes += [("Add", list(order), "sum", {}), ("Relu", ["sum"], "r", {}), ("Conv", ["r", "v"], "out", THREE)]
    outputs = ["out"]
    if second_reader == "a layer":
        nodes.append(("Conv", [first, "v"], "other", THREE))
    elif second_reader == "a float operator":
        nodes.append(("Tanh", [first], "other", {}))
    if second_reader:
        outputs.append(first if second_reader == "the output" else "other")
    model = build(nodes, {"w": weight, "v": square}, outputs)
    written = Written(write_qdq(model, calibrate(model, frames).ranges, style="tensorrt"))
    quantized = {name for i, name in enumerate(order) if written.quantized("sum_node", i)}
    assert quantized == ({"a"} if second_reader else {order[0]})


def test_transposed_convolutions_have_a_scale_per_output_channel(build, frames, calibrate):
    weight = np.random.default_rng(0).standard_normal((3, 16, 2, 2)).astype(np.float32)
    square = np.random.default_rng(0).standard_normal((16, 32, 2, 2)).astype(np.float32)
    model = build(
        [
            ("ConvTranspose", ["input", "w"], "a", {"strides": [2, 2]}),
            ("ConvTranspose", ["a", "v"], "out", {"strides": [2, 2]}),
        ],
        {"w": weight, "v": square},
        ["out"],
    )
    written = Written(write_qdq(model, calibrate(model, frames).ranges, style="tensorrt"))
    np.testing.assert_array_equal(written.scale("out_node", 1), np.abs(square).max(axis=(0, 2, 3)) / np.float32(127))
    axes = {a.i for n in written.model.graph.node for a in n.attribute if a.name == "axis" and "out_node" in n.name}
    assert axes == {1}


def test_products_of_activations_are_quantized_on_both_sides(build, frames, calibrate):
    model = build(
        [("Transpose", ["input"], "t", {"perm": [0, 1, 3, 2]}), ("MatMul", ["input", "t"], "out", {})], {}, ["out"]
    )
    written = Written(write_qdq(model, calibrate(model, frames).ranges, style="tensorrt"))
    assert written.quantized("out_node", 0) and written.quantized("out_node", 1)


@pytest.mark.parametrize(
    ("c_in", "c_out", "kernel", "groups", "first", "thin"),
    [
        (3, 16, (3, 3), 1, True, False),  # a stem
        (3, 10, (3, 3), 1, True, True),  # 10 is no multiple of 8
        (3, 8, (3, 3), 1, True, False),  # the first layer need not have 16
        (8, 8, (3, 3), 1, False, True),  # behind the first, one side must
        (8, 16, (3, 3), 1, False, False),
        (32, 5, (1, 1), 1, False, False),  # a head: 32 in
        (10, 20, (3, 3), 1, False, True),
        (8, 16, (1, 3), 1, False, True),  # not square
        (32, 32, (1, 3), 1, False, False),  # enough channels: any shape
        (16, 16, (3, 3), 1, False, False),
        (16, 16, (1, 3), 1, False, False),  # 16 is enough, whatever the shape
        (17, 16, (3, 3), 1, False, False),
        (16, 17, (1, 3), 1, False, False),
        (15, 16, (1, 3), 1, False, True),
        (16, 16, (1, 1), 16, False, False),
        (16, 8, (3, 3), 1, False, False),  # 16 on one side, 8 on the other
        (15, 8, (3, 3), 1, False, True),
        (32, 32, (3, 3), 32, False, False),  # depthwise
        (8, 8, (3, 3), 8, False, False),  # thin depthwise, 8 and 3×3
        (8, 8, (1, 1), 8, False, True),
        (12, 12, (3, 3), 12, False, True),
        (32, 32, (3, 3), 8, False, False),  # 4 to a group
        (32, 32, (3, 3), 16, False, True),  # 2 to a group
        (64, 32, (3, 3), 16, False, True),  # 4 in, 2 out
    ],
)
def test_thin_layers_are_left_alone(build, frames, c_in, c_out, kernel, groups, first, thin, calibrate):
    weight = np.ones((c_out, c_in // groups, *kernel), np.float32)
    before = [] if first else [("Conv", ["input", "w0"], "x", {})]
    model = build(
        [*before, ("Conv", ["input" if first else "x", "w"], "out", {"group": groups})],
        {"w": weight, **({} if first else {"w0": np.ones((c_in, 3, 1, 1), np.float32)})},
        ["out"],
    )
    node = model.graph.node[-1]
    assert is_thin(Topology(model), node) == thin
    written = Written(write_qdq(model, calibrate(model, frames).ranges, style="tensorrt"))
    assert written.quantized("out_node", 0) == written.quantized("out_node", 1) == (not thin)


def test_weakly_typed_is_opset_17_in_float32(written):
    assert written.model.opset_import[0].version == 17
    assert {t.data_type for t in written.model.graph.initializer if t.name.endswith(".scale")} == {TensorProto.FLOAT}


def test_strongly_typed_is_opset_19_in_float16(student, ranges):
    model = write_qdq(student, ranges, style="tensorrt", dtype="float16")
    assert model.opset_import[0].version == 19
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    assert {kind for name, kind in kinds.items() if name.endswith((".scale", "w0", "b0"))} == {TensorProto.FLOAT16}
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.graph.value_info, *inferred.graph.output)}
    assert types["logits"] == types["sum.dequantized"] == TensorProto.FLOAT16
    assert types["sum.quantized"] == TensorProto.INT8
    assert kinds["scales"] == TensorProto.FLOAT  # Resize wants them so


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_it_says_what_the_float_network_says(student, ranges, frames, dtype):
    model = write_qdq(student, ranges, style="tensorrt", dtype=dtype)
    exact = onnxruntime.InferenceSession(student.SerializeToString(), providers=["CPUExecutionProvider"])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for frame in frames():
        expected = exact.run(None, {"input": frame})[0]
        said = session.run(None, {"input": frame.astype(dtype)})[0]
        assert np.abs(said - expected).mean() < 0.03 * np.abs(expected).mean()


def test_tiny_weights_survive_float16(build, frames, calibrate):
    """max|w| / 127 is below what float16 holds: rounded to zero, the channel would be lost."""
    weight = np.full((16, 3, 1, 1), 1e-6, np.float32)
    model = build([("Conv", ["input", "w"], "out", {})], {"w": weight}, ["out"])
    written = Written(write_qdq(model, calibrate(model, frames).ranges, style="tensorrt", dtype="float16"))
    scale = written.scale("out_node", 1)
    assert (scale > 0).all() and (scale.astype(np.float64) * 127 >= 1e-6).all()
