"""DLA's limits, each from both sides."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.preflight import dla

X = "(float[1,16,32,32] x) => (float[N,C,H,W] y)"


def reason(network, body, signature=X, **constants):
    """What ``falls_back`` says of the graph's last node."""
    net = network(f"{signature} {{ {body} }}", **constants)
    return dla.falls_back(net, net.nodes[-1])


def agrees(found, said) -> bool:
    return found is None if said is None else found is not None and said in found[0]


@pytest.mark.parametrize(
    ("attributes", "kernel", "said"),
    [
        ("pads=[1,1,1,1]", (3, 3), None),
        ("strides=[1,1]", (32, 32), None),
        ("pads=[1,0,1,0]", (33, 1), "a kernel of 33×1"),
        ("strides=[8,8]", (3, 3), None),
        ("strides=[9,1]", (3, 3), "a stride of 9×1"),
        ("pads=[2,2,2,2]", (3, 3), None),
        ("pads=[3,3,3,3]", (3, 3), "not smaller than the kernel of 3×3"),
        ("pads=[8,8,8,8], dilations=[8,8]", (3, 3), None),
        ("pads=[31,31,31,31], dilations=[31,31]", (3, 3), None),
        ("pads=[32,32,32,32], dilations=[32,32]", (3, 3), "a padding of 32×32×32×32; DLA takes 0 to 31"),
        ("pads=[31,31,31,31], dilations=[32,32]", (3, 3), None),
        ("pads=[31,31,31,31], dilations=[33,33]", (2, 2), "a dilation of 33×33"),
    ],
)
def test_convolutions(network, floats, attributes, kernel, said):
    assert agrees(reason(network, f"y = Conv<{attributes}>(x, w)", w=floats(8, 16, *kernel)), said)


@pytest.mark.parametrize(("channels", "said"), [(8192, None), (8193, "8193")])
def test_output_maps(network, channels, said):
    weights = np.zeros((channels, 1, 1, 1), np.float32)
    assert agrees(reason(network, "y = Conv(x, w)", "(float[1,1,2,2] x) => (float[N,C,H,W] y)", w=weights), said)


def test_weights_must_be_constants(network):
    signature = "(float[1,16,8,8] x, float[8,16,3,3] w) => (float[1,8,6,6] y)"
    assert agrees(reason(network, "y = Conv(x, w)", signature), "its weights are computed")


def test_one_dimensional_convolutions(network, floats):
    found = reason(network, "y = Conv(x, w)", "(float[1,16,8] x) => (float[1,8,6] y)", w=floats(8, 16, 3))
    assert agrees(found, "3 dimensions")


@pytest.mark.parametrize(
    ("attributes", "shape", "said"),
    [
        ("strides=[2,2]", (16, 8, 2, 2), None),
        ("strides=[2,2], pads=[1,1,1,1]", (16, 8, 3, 3), "with padding"),
        ("strides=[2,2], output_padding=[1,1]", (16, 8, 3, 3), "with padding"),
        ("strides=[2,2], group=2", (16, 8, 2, 2), "in groups"),
        ("dilations=[2,2]", (16, 8, 2, 2), "with dilation"),
        ("strides=[2,2]", (16, 8, 33, 33), "a kernel of 33×33"),
    ],
)
def test_transposed_convolutions(network, floats, attributes, shape, said):
    assert agrees(reason(network, f"y = ConvTranspose<{attributes}>(x, w)", w=floats(*shape)), said)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("kernel_shape=[8,8], strides=[16,16]", None),
        ("kernel_shape=[9,1]", "a window of 9×1"),
        ("kernel_shape=[2,2], strides=[17,1]", "a stride of 17×1"),
        ("kernel_shape=[8,8], pads=[7,7,7,7]", None),
        ("kernel_shape=[8,8], pads=[0,0,8,0]", "a padding of 0×0×8×0"),
    ],
)
def test_pools(network, op, attributes, said):
    assert agrees(reason(network, f"y = {op}<{attributes}>(x)"), said)


@pytest.mark.parametrize("op", ["Relu", "Sigmoid", "Tanh", "LeakyRelu"])
def test_activations(network, op):
    assert reason(network, f"y = {op}(x)") is None


def test_clip_and_batch_norm(network, floats):
    assert reason(network, "y = Clip(x, least, most)", least=np.float32(0), most=np.float32(6)) is None
    constants = {name: floats(16) for name in "abcd"}
    assert reason(network, "y = BatchNormalization(x, a, b, c, d)", **constants) is None


def test_a_slope_must_be_a_constant(network, floats):
    assert reason(network, "y = PRelu(x, s)", s=floats(16, 1, 1)) is None
    assert agrees(reason(network, "s = Relu(x) y = PRelu(x, s)"), "its slope is computed")


@pytest.mark.parametrize("op", ["Add", "Mul", "Max", "Min", "Sub", "Sum"])
def test_elementwise(network, floats, op):
    assert reason(network, f"z = Relu(x) y = {op}(x, z)") is None
    if op in ("Add", "Mul", "Sub"):
        assert reason(network, f"y = {op}(x, c)", c=floats(1, 16, 1, 1)) is None
    signature = "(float[1,16,32,32] x, float[1,16,1,1] z) => (float[1,16,32,32] y)"
    assert agrees(reason(network, f"y = {op}(x, z)", signature), "operands of 2 shapes")


@pytest.mark.parametrize(("axis", "fits"), [(1, True), (-3, True), (2, False), (-1, False), (0, False)])
def test_concat(network, axis, fits):
    found = reason(network, f"y = Concat<axis={axis}>(x, x)")
    assert agrees(found, None if fits else "DLA concatenates channels")


@pytest.mark.parametrize(
    ("mode", "scales", "coordinates", "said"),
    [
        ("linear", (1, 1, 2, 2), "half_pixel", None),
        ("linear", (1, 1, 4, 4), "pytorch_half_pixel", None),
        ("linear", (1, 1, 5, 5), "half_pixel", "DLA takes 1 to 4"),
        ("linear", (1, 1, 2, 2), "align_corners", "DLA knows half_pixel"),
        ("linear", (1, 1, 2, 2), "asymmetric", "DLA knows half_pixel"),
        ("nearest", (1, 1, 32, 32), "asymmetric", None),
        ("nearest", (1, 1, 33, 33), "asymmetric", "DLA takes 1 to 32"),
        ("nearest", (1, 1, 1.5, 1.5), "asymmetric", "whole factors"),
        ("linear", (1, 1, 0.5, 0.5), "half_pixel", "whole factors"),
        ("cubic", (1, 1, 2, 2), "half_pixel", "DLA knows nearest and linear"),
    ],
)
def test_resizes(network, mode, scales, coordinates, said):
    body = f'y = Resize<mode="{mode}", coordinate_transformation_mode="{coordinates}">(x, , s)'
    assert agrees(reason(network, body, s=np.array(scales, np.float32)), said)


def test_a_resize_to_a_size(network):
    found = reason(network, 'y = Resize<mode="linear">(x, , , s)', s=np.array([1, 16, 64, 64], np.int64))
    assert agrees(found, "wants factors")


@pytest.mark.parametrize(
    "body",
    [
        "y = HardSwish(x)",
        "y = Pad(x, p)",
        "y = GlobalAveragePool(x)",
        "y = ArgMax<axis=1>(x)",
        "y = Softmax<axis=1>(x)",
        "y = Transpose<perm=[0,2,3,1]>(x)",
        "y = Erf(x)",
    ],
)
def test_what_dla_does_not_have(network, body):
    signature = "(float[1,16,32,32] x) => (int64[1,1,32,32] y)" if "ArgMax" in body else X
    why, change = reason(network, body, signature, p=np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    assert why.startswith("DLA has no ") and change


def test_unpooling(network):
    body = "p, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) y = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(p, i)"
    assert "ConvTranspose" in reason(network, body)[1]


def test_quantizers(network):
    body = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)"
    found = reason(network, body, s=np.float32(0.1), z=np.int8(0))
    assert agrees(found, "no Q/DQ before TensorRT 11.4") and "calibration cache" in found[1]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("1,16,H,32", "is open"),
        ("1,1,1,8193", "sides of 8192"),
        ("4097,1,1,1", "at most 4096 frames"),
        ("4096,1,1,8192", None),
    ],
)
def test_shapes(network, shape, said):
    assert agrees(reason(network, "y = Relu(x)", f"(float[{shape}] x) => (float[{shape}] y)"), said)


def test_integers(network):
    found = reason(network, "y = Add(x, x)", "(int32[1,1,4,4] x) => (int32[1,1,4,4] y)")
    assert agrees(found, "DLA computes in FP16 and INT8")


def test_dla_alone_wants_floats_at_both_ends(network):
    plain = network("(float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }")
    assert dla.alone(plain) == []
    frames = network("(uint8[1,8,8,3] x) => (uint8[1,8,8,3] y) { f = Cast<to=1>(x) y = Cast<to=2>(f) }")
    assert len(dla.alone(frames)) == 2


def test_every_row_is_tested():
    """The operators named above and the table's rows are the same."""
    tested = {
        "Conv", "ConvTranspose", "MaxPool", "AveragePool", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "PRelu",
        "BatchNormalization", "Add", "Mul", "Max", "Min", "Sub", "Sum", "Concat", "Resize",
    }  # fmt: skip
    assert set(dla.LIMITS) - {"Upsample"} == tested
