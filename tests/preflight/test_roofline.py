"""Kernels, multiply-adds and bytes by hand; the estimate against a roofline on paper."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from edgekit.boards.lookup import find_board
from edgekit.errors import EdgekitError
from edgekit.export.body import body
from edgekit.networks.macs import multiply_adds as macs_of_module
from edgekit.preflight.kernels import kernels, node_multiply_adds
from edgekit.preflight.network import Network
from edgekit.preflight.roofline import BEST, USUAL, WORST, assumptions, default_precision, estimate, peak_bytes
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student
from edgekit.tasks import Task

ORIN = find_board("orin-nx-16gb")  # 30 TOPS, 15 TFLOPS, 102.4 GB/s
Q = "{0}_q = QuantizeLinear({1}, s, z) {0} = DequantizeLinear({0}_q, s, z) "


@pytest.mark.parametrize("name", STUDENTS)
def test_the_sum_is_what_torch_counts(name):
    student = Student(name, [Task("semantic", "semantic", classes=("a", "b", "c"))]).eval()
    network = Network(body(student, (32, 48)))
    if hasattr(student.network, "fuse"):
        student.network.fuse()
    expected = macs_of_module(student, torch.zeros(1, 3, 32, 48))
    assert sum(node_multiply_adds(network, node) for node in network.nodes) == expected
    assert estimate(network, ORIN, "fp16", name).multiply_adds == expected


@pytest.mark.parametrize(
    ("layer", "weights", "expected"),
    [
        ("Conv<pads=[1,1,1,1], strides=[2,2]>(x, w)", (8, 4, 3, 3), 5 * 6 * 8 * 4 * 9),
        ("Conv<group=4>(x, w)", (4, 1, 3, 3), 8 * 10 * 4 * 9),
        ("ConvTranspose<strides=[2,2]>(x, w)", (4, 6, 3, 3), 10 * 12 * 4 * 6 * 9),
        ("MatMul(x, w)", (12, 7), 4 * 10 * 12 * 7),
        ("Relu(x)", (1,), 0),
    ],
)
def test_multiply_adds_by_hand(network, floats, layer, weights, expected):
    net = network(f"(float[1,4,10,12] x) => (float[A,B,C,D] y) {{ y = {layer} }}", w=floats(*weights))
    assert node_multiply_adds(net, net.nodes[0]) == expected


def test_a_matrix_product_with_transposed_factors(network, floats):
    net = network("(float[5,3] x) => (float[A,B] y) { y = Gemm<transA=1, transB=1>(x, w) }", w=floats(7, 5))
    assert node_multiply_adds(net, net.nodes[0]) == 3 * 7 * 5


def ops(net):
    return ["+".join(node.op_type for node in kernel.nodes) for kernel in kernels(net)]


def test_convolution_sum_and_relu_are_one_kernel(network, floats):
    text = "(float[1,4,8,8] x) => (float[1,4,8,8] y) {{ a = Relu(x) c = Conv<pads=[1,1,1,1]>(a, w) {} }}"
    net = network(text.format("d = Add(c, a) y = Relu(d)"), w=floats(4, 4, 3, 3))
    assert ops(net) == ["Relu", "Conv+Add+Relu"]
    (_, conv) = kernels(net)
    assert (conv.reads, conv.weights, conv.writes) == (["a"], ["w"], ["y"])


def test_what_two_read_is_not_fused_away(network, floats):
    conv, weights = "c = Conv<pads=[1,1,1,1]>(x, w)", floats(4, 4, 3, 3)
    text = f"(float[1,4,8,8] x) => (float[1,4,8,8] y, float[1,4,8,8] c) {{ {conv} y = Relu(c) }}"
    assert ops(network(text, w=weights)) == ["Conv", "Relu"]
    text = f"(float[1,4,8,8] x) => (float[1,4,8,8] y) {{ {conv} r = Relu(c) t = Tanh(c) y = Add(r, t) }}"
    assert ops(network(text, w=weights)) == ["Conv", "Relu", "Tanh+Add"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("c = Cast<to=1>(x) y = Transpose<perm=[0,3,1,2]>(c)", ["Cast+Transpose"]),
        ("c = Cast<to=1>(x) t = Transpose<perm=[0,3,1,2]>(c) y = Neg(t)", ["Cast+Transpose+Neg"]),
        ("c = Cast<to=1>(x) y = Transpose<perm=[0,3,1,2]>(c) z = Neg(c)", ["Cast", "Transpose", "Neg"]),
        ("z = Cast<to=1>(x) y = Transpose<perm=[0,3,1,2]>(z)", ["Cast", "Transpose"]),
        ("c = Cast<to=1>(x) y = ArgMax<axis=1>(c)", ["Cast+ArgMax"]),
        ("a = ArgMax<axis=1>(x) c = Cast<to=1>(a) y = Transpose<perm=[0,3,1,2]>(c)", ["ArgMax+Cast", "Transpose"]),
        ("c = Cast<to=1>(x) y = Softmax<axis=1>(c)", ["Cast", "Softmax"]),
    ],
)
def test_pointwise_work_is_taken_by_what_moves_its_result(network, body, expected):
    """As TensorRT for RTX does, unless something else wants the result."""
    outputs = "float[A,B,C,D] y" + (", float[A,B,C,D] z" if "z =" in body else "")
    assert ops(network(f"(uint8[1,8,8,3] x) => ({outputs}) {{ {body} }}")) == expected


def test_a_chain_of_sums_over_what_others_read_is_one_kernel(network, floats):
    text = (
        "(float[1,4,8,8] x) => (float[1,4,8,8] y) { a = Conv(x, w) b = Conv(a, w) c = Conv(b, w) "
        "e = Add(a, b) f = Add(e, c) d = Conv(c, w) y = Add(f, d) }"
    )
    assert ops(network(text, w=floats(4, 4, 1, 1))) == ["Conv", "Conv", "Conv", "Add+Add", "Conv+Add"]


def test_a_bare_convolution_is_joined_by_nothing(network, floats):
    """Conv → ReLU → Conv → sum with the first → Conv, quantized as the strong lane is."""
    text = (
        "(float[1,16,8,8] x) => (float[1,16,8,8] y) { " + Q.format("a", "x") + Q.format("w", "k") +
        "c = Conv<pads=[1,1,1,1]>(a, w) r = Relu(c) " + Q.format("b", "r") +
        "d = Conv<pads=[1,1,1,1]>(b, w) s2 = Add(d, b) " + Q.format("e", "s2") +
        "f = Conv<pads=[1,1,1,1]>(e, w) " + Q.format("g", "f") + "h = Conv<pads=[1,1,1,1]>(g, w) y = Relu(h) }"
    )  # fmt: skip
    net = network(text, k=floats(16, 16, 3, 3), s=np.float32(0.1), z=np.int8(0))
    assert ops(net) == ["Conv+Relu", "Conv+Add", "Conv", "Conv+Relu"]
    found = kernels(net, bare=lambda node: node.op_type == "Conv")
    assert ["+".join(node.op_type for node in kernel.nodes) for kernel in found] == [
        *("QuantizeLinear", "Conv", "Relu", "Conv", "Add", "Conv", "QuantizeLinear", "Conv", "Relu")
    ]


def test_the_worst_of_int8_is_of_bare_convolutions(network, floats):
    text = (
        "(float[1,16,64,64] x) => (float[1,32,64,64] y) { " + Q.format("a", "x") + Q.format("w", "k") +
        "c = Conv<pads=[1,1,1,1]>(a, w) y = Relu(c) }"
    )  # fmt: skip
    net = network(text, k=floats(32, 16, 3, 3), s=np.float32(0.1), z=np.int8(0))
    result = estimate(net, ORIN, "int8", "n")
    assert (len(result.layers), result.estimate_most_kernels) == (1, 3)
    read, written, weights = 16 * 64 * 64, 32 * 64 * 64, 32 * 16 * 9
    compute = 2 * 64 * 64 * weights / 30e12 / WORST.compute
    quantize, relu = 1 * read + 1 * read, (4 + 2) * written  # the input's one reader takes it as a byte
    seconds = [
        quantize / 102.4e9 / WORST.bandwidth,
        max(compute, (read + 4 * written + weights) / 102.4e9 / WORST.bandwidth),
        relu / 102.4e9 / WORST.bandwidth,
    ]
    expected = 1e3 * sum(seconds) + 3 * WORST.launch_us / 1e3
    assert result.estimate_most_ms == pytest.approx(expected, rel=1e-5)  # scales and zero-points are bytes too
    fp16 = estimate(net, ORIN, "fp16", "n")
    assert fp16.estimate_most_kernels == len(fp16.layers) == 1


def test_views_and_quantizers_are_no_kernels(network, floats):
    text = (
        "(float[1,4,8,8] x) => (float[A,B] y) { " + Q.format("a", "x") + Q.format("w", "k") +
        "c = Conv(a, w) r = Relu(c) " + Q.format("b", "r") + "y = Flatten(b) }"
    )  # fmt: skip
    net = network(text, k=floats(16, 4, 3, 3), s=np.float32(0.1), z=np.int8(0))
    (only,) = kernels(net)
    assert [node.op_type for node in only.nodes] == ["Conv", "Relu"]
    assert (only.reads, only.weights, only.writes) == (["x"], ["w"], ["r"])


def conv_net(network, floats, size=64):
    maps = f"(float[1,16,{size},{size}] x) => (float[1,32,{size},{size}] y)"
    text = f"{maps} {{ c = Conv<pads=[1,1,1,1]>(x, w) y = Relu(c) }}"
    return network(text, w=floats(32, 16, 3, 3))


def test_a_roofline_on_paper(network, floats):
    """One convolution, 16 to 32 channels at 64×64 in FP16."""
    result = estimate(conv_net(network, floats), ORIN, "fp16", "conv")
    macs = 64 * 64 * 16 * 32 * 9
    moved = 2 * (16 * 64 * 64 + 32 * 64 * 64 + 32 * 16 * 9)
    assert (result.multiply_adds, result.estimate_bytes) == (macs, moved)

    def milliseconds(e):
        return 1e3 * max(2 * macs / 15e12 / e.compute, moved / 102.4e9 / e.bandwidth) + e.launch_us / 1e3

    assert result.estimate_ms == pytest.approx(milliseconds(USUAL))
    assert result.estimate_least_ms == pytest.approx(milliseconds(BEST))
    assert result.estimate_most_ms == pytest.approx(milliseconds(WORST))
    assert [layer.ops for layer in result.layers] == ["Conv + Relu"] and result.layers[0].share == 1.0


def test_precisions(network, floats):
    net = conv_net(network, floats)
    fp32, fp16, int8 = (estimate(net, ORIN, p, "conv") for p in ("fp32", "fp16", "int8"))
    assert fp32.estimate_bytes == 2 * fp16.estimate_bytes
    assert int8.layers[0].precision == "int8"
    # weights of a byte, the input in int8, the output, which leaves the graph, in fp16
    assert int8.estimate_bytes == 16 * 64 * 64 + 2 * 32 * 64 * 64 + 32 * 16 * 9
    assert fp32.estimate_ms > fp16.estimate_ms > int8.estimate_ms
    assert fp32.multiply_adds == int8.multiply_adds


def test_thin_layers_stay_in_fp16_and_are_padded(network, floats):
    text = "(float[1,6,64,64] x) => (float[1,6,64,64] y) { c = Conv<pads=[1,1,1,1]>(x, w) d = Conv(c, v) y = Relu(d) }"
    net = network(text, w=floats(6, 6, 3, 3), v=floats(6, 6, 1, 1))
    assert {layer.precision for layer in estimate(net, ORIN, "int8", "n").layers} == {"fp16"}


def test_qdq_decides_what_runs_in_int8(network, floats):
    text = (
        "(float[1,16,8,8] x) => (float[1,16,8,8] y) { " + Q.format("a", "x") + Q.format("w", "k") +
        "c = Conv<pads=[1,1,1,1]>(a, w) r = Relu(c) y = Conv<pads=[1,1,1,1]>(r, k) }"
    )  # fmt: skip
    net = network(text, k=floats(16, 16, 3, 3), s=np.float32(0.1), z=np.int8(0))
    assert default_precision(net) == "int8"
    assert [layer.precision for layer in estimate(net, ORIN, "int8", "n").layers] == ["int8", "fp16"]
    assert default_precision(conv_net(network, floats)) == "fp16"


def test_a_map_is_int8_in_memory_where_all_its_readers_take_it_so(network, floats):
    """16 channels of 8×8, read by a convolution and by what ``other`` is: a byte, or two, for each of its pixels."""
    pixels = 16 * 8 * 8
    maps = "(float[1,16,8,8] x) => (float[1,16,8,8] y, float[N,C,H,W] z)"
    conv = "y = Conv<pads=[1,1,1,1]>({}, w)"

    def moved(text, **constants):
        """Bytes of the kernels that read x: theirs alone, without weights and what they write."""
        layers = estimate(network(f"{maps} {{ {text} }}", **constants), ORIN, "int8", "n").layers
        return sum(layer.estimate_bytes for layer in layers)

    wide, narrow = floats(16, 16, 3, 3), floats(3, 16, 1, 3)
    written = 2 * pixels + 16 * 16 * 9  # y leaves the graph in two bytes, the weights have one
    both_int8 = moved(f"{conv.format('x')} z = Conv<pads=[1,1,1,1]>(x, w)", w=wide)
    assert both_int8 == 2 * (pixels + written)
    for other in ("MaxPool<kernel_shape=[1,1]>(x)", "Tanh(x)"):  # neither is a layer that would be quantized
        assert moved(f"{conv.format('x')} z = {other}", w=wide) == 2 * pixels + written + 2 * (2 * pixels), other
    thin = moved(f"{conv.format('x')} z = Conv(x, v)", w=wide, v=narrow)  # 3 channels out: it stays in FP16
    assert thin == 2 * pixels + written + 2 * pixels + 2 * 3 * 8 * 6 + 2 * 3 * 16 * 3


@pytest.mark.parametrize(
    ("readers", "bytes_a_pixel"),
    [
        ("y = Conv<pads=[1,1,1,1]>(a, w) v = MaxPool<kernel_shape=[1,1]>(a)", 1),  # both behind the quantizer
        ("y = Conv<pads=[1,1,1,1]>(a, w) v = MaxPool<kernel_shape=[1,1]>(r)", 2),  # one reads what is before it
        ("y = Conv<pads=[1,1,1,1]>(a, w) v = Tanh(r)", 2),
        ("y = Conv<pads=[1,1,1,1]>(r, k) v = Tanh(a)", 2),
    ],
)
def test_a_quantized_map_is_a_byte_where_no_reader_wants_floats(network, floats, readers, bytes_a_pixel):
    text = (
        "(float[1,16,8,8] x) => (float[1,16,8,8] y, float[1,16,8,8] v) { r = MaxPool<kernel_shape=[1,1]>(x) "
        + Q.format("a", "r") + Q.format("w", "k") + readers + " }"
    )  # fmt: skip
    net = network(text, k=floats(16, 16, 3, 3), s=np.float32(0.1), z=np.int8(0))
    (first, *_) = estimate(net, ORIN, "int8", "n").layers
    assert first.ops == "MaxPool" and first.estimate_bytes == 16 * 8 * 8 * (2 + bytes_a_pixel)


def test_a_sum_joins_a_kernel_only_where_nothing_else_reads_any_of_its_inputs(network, floats):
    """Split makes both inputs of the sum: one that is read elsewhere keeps it a kernel of its own, in either place."""
    maps = "(float[1,8,8,8] x) => (float[1,4,8,8] y, float[1,4,8,8] z) {{ a, b = Split<axis=1>(x) {} }}"
    assert ops(network(maps.format("y = Add(a, b) z = Relu(y)"))) == ["Split+Add", "Relu"]
    for sum_of in ("a, b", "b, a"):
        for read in ("a", "b"):
            net = network(maps.format(f"y = Add({sum_of}) z = Softmax<axis=1>({read})"))
            assert ops(net) == ["Split", "Add", "Softmax"], (sum_of, read)
    given = "(float[1,8,8,8] x) => (float[1,4,8,8] y, float[1,4,8,8] b) { a, b = Split<axis=1>(x) y = Add(a, b) }"
    assert ops(network(given)) == ["Split", "Add"]


def test_uint8_is_a_byte(network):
    net = network("(uint8[1,8,8,3] x) => (float[1,8,8,3] y) { y = Cast<to=1>(x) }")
    assert estimate(net, ORIN, "fp16", "n").estimate_bytes == 192 + 2 * 192


def test_what_bounds_a_kernel(network, floats):
    def bound(text, **constants):
        return [layer.bound for layer in estimate(network(text, **constants), ORIN, "fp16", "n").layers]

    many = "(float[1,256,64,64] x) => (float[1,256,64,64] y) { y = Conv<pads=[1,1,1,1]>(x, w) }"
    assert bound(many, w=np.zeros((256, 256, 3, 3), np.float32)) == ["compute"]
    assert bound("(float[1,64,512,512] x) => (float[1,64,512,512] y) { y = Relu(x) }") == ["memory"]
    assert bound("(float[1,1,2,2] x) => (float[1,1,2,2] y) { y = Relu(x) }") == ["launch"]


def test_an_open_shape_is_asked_for(network):
    net = network("(float[1,3,H,W] x) => (float[1,3,H,W] y) { y = Relu(x) }")
    with pytest.raises(EdgekitError, match="the shape of 'x' is") as caught:
        estimate(net, ORIN, "fp16", "n")
    assert "--size" in caught.value.fix


def test_every_number_is_called_an_estimate(network, floats):
    document = asdict(estimate(conv_net(network, floats), ORIN, "fp16", "conv"))
    counted = {"multiply_adds", "share"}  # exact, or relative

    def numbers(node, key=""):
        if isinstance(node, dict):
            for name, value in node.items():
                yield from numbers(value, name)
        elif isinstance(node, list | tuple):
            for value in node:
                yield from numbers(value, key)
        elif isinstance(node, int | float):
            yield key

    found = set(numbers(json.loads(json.dumps(document))))
    assert all("estimate" in name for name in found - counted)
    assert any("Assumed, not measured" in line for line in assumptions(ORIN))
    assert "not verified" in assumptions(ORIN)[0]
    assert any("upper end of the band" in line and "TensorRT for RTX" in line for line in assumptions(ORIN))


def test_the_most_memory_at_once_by_hand(network, floats):
    conv = "Conv<pads=[1,1,1,1]>"
    text = f"{{ y = {conv}(x, w) u = {conv}(y, v) z = Concat<axis=1>(u, x) }}"
    net = network(f"(float[1,4,8,8] x) => (float[A,B,C,D] z) {text}", w=floats(8, 4, 3, 3), v=floats(2, 8, 3, 3))
    x, y, u, w, v = 4 * 64, 8 * 64, 2 * 64, 8 * 4 * 9, 2 * 8 * 9
    maps = x + y + u  # while u is made; x is read once more, by the Concat, when y is gone
    assert peak_bytes(net, "fp32") == 4 * (maps + w + v)
    assert peak_bytes(net, "fp16") == 2 * (maps + w + v)
    # two output channels are too few for INT8, so that the second convolution and both maps it is between are floats
    assert peak_bytes(net, "int8") == 2 * (maps + v) + w
    assert peak_bytes(net, "int8", floats="fp32") == 4 * (maps + v) + w
