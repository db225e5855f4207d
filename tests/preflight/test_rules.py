"""What TensorRT refuses or does badly, each rule from both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.graphs.thin import Convolution, why_not_int8
from edgekit.preflight import operators
from edgekit.preflight.lint import RULES
from edgekit.preflight.thin import convolution_of, thin

X = "(float[1,16,8,8] x) => (float[N,C,H,W] y)"
SCALE = {"s": np.float32(0.1), "z": np.int8(0)}


def qdq(source: str, name: str) -> str:
    return f"{name}_q = QuantizeLinear({source}, s, z) {name} = DequantizeLinear({name}_q, s, z) "


@pytest.fixture
def said(network, target):
    """Rules and levels found in a graph: {(rule, level)}."""

    def look(body, signature=X, opset=17, version="6.2", **constants):
        net = network(f"{signature} {{ {body} }}", opset, **constants)
        where = target(version)
        found = (rule(net, node, where) for node in net.nodes for rule in RULES)
        return {(finding.rule, finding.level) for finding in found if finding}

    return look


# --- operators ----------------------------------------------------------------------------------------------------


def test_operators(said):
    assert said("y = Relu(x)") == set()
    unpool = (
        "p, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) y = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(p, i)"
    )
    assert said(unpool) == {("operator", "error"), ("pooling", "error")}
    assert said("y = mine.Deform(x)") == {("operator", "error")}


def test_operators_that_came_later(said):
    body = "y = LayerNormalization<axis=1>(x, w)"
    weights = {"w": np.ones((16, 8, 8), np.float32)}
    assert said(body, version="5.1", **weights) == {("operator", "error")}
    assert said(body, version="6.0", **weights) == set()
    windows = {"body": "w = HannWindow(n) y = Mul(x, w)", "n": np.int64(8)}
    assert said(**windows, version="6.2") == {("operator", "error")} and said(**windows, version="7.1") == set()
    gelu = {"body": "y = Gelu(x)", "opset": 20}
    assert said(**gelu, version="6.2") == {("operator", "error")}
    assert said(**gelu, version="7.2") == set()


def test_the_lists_do_not_overlap():
    lists = (operators.SINCE_8_5, *operators.SINCE.values())
    assert sum(map(len, lists)) == len(frozenset().union(*lists))
    # rows of the 8.5 table that say no
    refused = (
        "Bernoulli BitShift BlackmanWindow Compress ConcatFromSequence ConvInteger DFT Det DynamicQuantizeLinear "
        "HammingWindow HannWindow Hardmax IsInf LayerNormalization MatMulInteger MaxRoiPool MaxUnpool MelWeightMatrix "
        "Multinomial NegativeLogLikelihoodLoss Optional QLinearConv QLinearMatMul SequenceAt SequenceMap "
        "SoftmaxCrossEntropyLoss SplitToSequence StringNormalizer STFT TfIdfVectorizer Unique"
    )
    assert not operators.SINCE_8_5 & set(refused.split())


# --- types --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "version", "found"),
    [
        ("float16", "6.2", set()),
        ("int64", "6.2", set()),
        ("bfloat16", "6.2", set()),
        ("bfloat16", "5.1", {("type", "error")}),
        ("uint16", "6.2", {("type", "error")}),
        ("double", "6.2", {("double", "slow")}),
    ],
)
def test_types(said, kind, version, found):
    assert said("y = Identity(x)", f"({kind}[1,2] x) => ({kind}[1,2] y)", version=version) == found


@pytest.mark.parametrize(
    ("body", "kinds", "fine"),
    [
        ("f = Cast<to=1>(x) y = Transpose<perm=[0,3,1,2]>(f)", ("uint8", "float"), True),
        ("f = Cast<to=10>(x) y = Relu(f)", ("uint8", "float16"), True),
        ("f = Transpose<perm=[0,3,1,2]>(x) y = Cast<to=1>(f)", ("uint8", "float"), False),
        ("y = Cast<to=6>(x)", ("uint8", "int32"), False),
        ("f = Relu(x) y = Cast<to=2>(f)", ("float", "uint8"), True),
        ("i = ArgMax<axis=1>(x) y = Cast<to=2>(i)", ("float", "uint8"), False),
        ("i = ArgMax<axis=1>(x) f = Cast<to=1>(i) y = Cast<to=2>(f)", ("float", "uint8"), True),
        ("u = Cast<to=2>(x) y = Cast<to=1>(u)", ("float", "float"), False),
        ("u = Cast<to=2>(x) y = Squeeze(u)", ("float", "uint8"), False),
    ],
)
def test_uint8_only_next_to_casts(said, body, kinds, fine):
    found = said(body, f"({kinds[0]}[1,8,8,3] x) => ({kinds[1]}[A,B,C,D] y)")
    assert found == (set() if fine else {("uint8", "error")})


# --- single operators ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "fine"),
    [("kernel_shape=[2,2]", True), ("kernel_shape=[2,2], dilations=[2,2]", False)],
)
def test_pools(said, attributes, fine):
    assert said(f"y = MaxPool<{attributes}>(x)") == (set() if fine else {("pooling", "error")})


@pytest.mark.parametrize("sides", [1, 2, 3, 4])
def test_pools_have_up_to_three_dimensions(said, sides):
    signature = f"(float[1,16{',8' * sides}] x) => (float[{','.join('ABCDEF'[: sides + 2])}] y)"
    found = said(f"y = MaxPool<kernel_shape=[{','.join('2' * sides)}]>(x)", signature)
    assert found == (set() if sides < 4 else {("pooling", "error")})


@pytest.mark.parametrize(
    ("attributes", "opset", "fine"),
    [
        ('mode="linear", coordinate_transformation_mode="half_pixel"', 17, True),
        ('mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric"', 17, True),
        ('mode="quintic"', 17, False),
        ('mode="linear", coordinate_transformation_mode="tf_crop_and_resize"', 17, False),
        ('mode="linear", antialias=1', 18, False),
    ],
)
def test_resizes(said, attributes, opset, fine):
    scales = {"k": np.array([1, 1, 2, 2], np.float32)}
    assert said(f"y = Resize<{attributes}>(x, , k)", opset=opset, **scales) == (
        set() if fine else {("resize", "error")}
    )


def test_cubic_resizes_from_tensorrt_10_on(said):
    cubic = {"body": 'y = Resize<mode="cubic">(x, , k)', "k": np.array([1, 1, 2, 2], np.float32)}
    assert said(**cubic, version="6.0") == {("resize", "error")} and said(**cubic, version="6.2") == set()


def test_inputs_that_must_be_constants(said):
    signature = "(float[1,16,8,8] x, int64[1] a) => (float[A,B,C,D] y)"
    assert said("y = ReduceSum(x, a)", signature) == {("constant-input", "error")}
    assert said("y = ReduceSum(x, a)", a=np.array([1])) == set()
    top = "(float[1,16,8,8] x, int64[1] a) => (float[A,B,C,D] y, int64[A,B,C,D] i)"
    assert said("y, i = TopK(x, a)", top, version="5.1") == {("constant-input", "error")}
    assert said("y, i = TopK(x, a)", top, version="6.0") == set()


def test_control_flow_breaks_fusion(said):
    branch = "{0}_branch = {0} () => (float[1] of_{0}) {{ of_{0} = Constant<value_floats=[1.0]>() }}"
    branches = [branch.format(side) for side in ("then", "else")]
    body = f"y = If(c) <{', '.join(branches)}>"
    assert said(body, "(bool c) => (float[1] y)") == {("control-flow", "slow")}


# --- Q/DQ ---------------------------------------------------------------------------------------------------------


def test_symmetric_int8(said):
    assert said(qdq("x", "y"), **SCALE) == set()
    assert said(qdq("x", "y"), s=SCALE["s"], z=np.int8(3)) == {("zero-point", "error")}
    assert said(qdq("x", "y"), s=SCALE["s"], z=np.uint8(0)) == {("zero-point", "error")}
    bare = "q = QuantizeLinear(x, s) y = DequantizeLinear(q, s)"
    assert said(bare, s=SCALE["s"]) == {("zero-point", "error")}


def test_scales_are_constants(said):
    signature = "(float[1,16,8,8] x, float s) => (float[A,B,C,D] y)"
    assert said(qdq("x", "y"), signature, z=np.int8(0)) == {("scale", "error")}


def test_activations_have_one_scale(said):
    many = {"s": np.full(16, 0.1, np.float32), "z": np.zeros(16, np.int8)}
    assert said(qdq("x", "y"), **many) == {("scale", "error")}


@pytest.mark.parametrize(
    ("op", "axis", "fine"),
    [("Conv", 0, True), ("Conv", 1, False), ("ConvTranspose", 1, True), ("ConvTranspose", 0, False)],
)
def test_weights_have_a_scale_per_output_channel(said, floats, op, axis, fine):
    body = (
        qdq("x", "a")
        + f"w_q = QuantizeLinear<axis={axis}>(k, t, u) w = DequantizeLinear<axis={axis}>(w_q, t, u) y = {op}(a, w)"
    )
    channels = {"k": floats(16, 16, 3, 3), "t": np.full(16, 0.1, np.float32), "u": np.zeros(16, np.int8)}
    assert said(body, **channels, **SCALE) == (set() if fine else {("scale", "error")})


def test_float16_from_opset_19(said):
    signature = "(float16[1,16,8,8] x) => (float16[1,16,8,8] y)"
    scale = {"s": np.float16(0.1), "z": np.int8(0)}
    assert said(qdq("x", "y"), signature, opset=17, **scale) == {("half-qdq", "error")}
    assert said(qdq("x", "y"), signature, opset=19, **scale) == set()


@pytest.mark.parametrize(
    ("body", "opset", "mixed"),
    [
        ("d = DequantizeLinear(q, s, z) y = Cast<to=1>(d)", 19, True),
        ("y = DequantizeLinear<output_dtype=1>(q, s, z)", 23, True),
        ("d = DequantizeLinear(q, s, z) r = Relu(d) y = Cast<to=1>(r)", 19, False),
        ("d = DequantizeLinear(q, t, z) y = Relu(d)", 19, False),
    ],
)
def test_float16_scales_of_float32_tensors_do_not_build_on_orin(network, target, body, opset, mixed):
    text = f"(float16[1,16,8,8] x) => (float[1,16,8,8] y) {{ q = QuantizeLinear(x, s, z) {body} }}"
    net = network(text, opset, s=np.float16(0.1), t=np.float32(0.1), z=np.int8(0))

    def found(where):
        return {f.rule for node in net.nodes for rule in RULES if (f := rule(net, node, where)) and f.level == "error"}

    assert all(("mixed-qdq" in found(target(version))) == mixed for version in ("7.2", "6.2"))
    assert "mixed-qdq" not in found(target("7.2", "agx-thor")) | found(target("6.0"))


def test_biases_stay_float(said, floats):
    layer = qdq("x", "a") + qdq("k", "w")
    constants = {"k": floats(16, 16, 3, 3), **SCALE}
    assert said(f"{layer} y = Conv(a, w, b)", b=floats(16), **constants) == set()
    int32 = f"{layer} b = DequantizeLinear(i, s) y = Conv(a, w, b)"
    assert said(int32, i=np.zeros(16, np.int32), **constants) == {("bias", "error")}


def test_quantized_is_dequantized_next(said):
    signature = "(float[1,16,8,8] x) => (int8[1,16,8,8] y)"
    assert said("y = QuantizeLinear(x, s, z)", signature, **SCALE) == {("pair", "error")}
    body = "q = QuantizeLinear(x, s, z) r = MaxPool<kernel_shape=[2,2]>(q) y = DequantizeLinear(r, s, z)"
    assert said(body, **SCALE) == {("pair", "error")}


def test_both_factors_are_quantized(said, floats):
    constants = {"k": floats(16, 16, 3, 3), **SCALE}
    assert said(qdq("x", "a") + qdq("k", "w") + "y = Conv(a, w)", **constants) == set()
    assert said(qdq("x", "a") + "y = Conv(a, k)", **constants) == {("inputs", "slow")}
    assert said(qdq("k", "w") + "y = Conv(x, w)", **constants) == {("inputs", "slow")}
    assert said("y = Conv(x, k)", **constants) == set()


def test_nothing_between_a_convolution_and_its_relu(said, floats):
    layer = qdq("x", "a") + qdq("k", "w") + "c = Conv(a, w)"
    constants = {"k": floats(16, 16, 3, 3), **SCALE}
    behind = layer + "r = Relu(c)" + qdq("r", "e") + "y = Conv(e, w)"
    assert said(behind, **constants) == set()
    assert said(layer + qdq("c", "d") + "y = Relu(d)", **constants) == {("placement", "slow")}


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (qdq("c", "y"), True),
        (qdq("c", "d") + "y = Exp(d)", True),
        ("r = Relu(c)" + qdq("r", "y"), True),
        (qdq("c", "d") + "p = MaxPool<kernel_shape=[2,2]>(d) y = Exp(p)", True),
        (qdq("c", "d") + "y = Conv(d, w)", False),
        (qdq("c", "d") + "e = Exp(d) f = Conv(d, w) y = Sub(e, f)", False),  # one of two readers wants it
        (qdq("c", "d") + "p = MaxPool<kernel_shape=[2,2]>(d) y = Conv(p, w)", False),  # a pool of integers
        (qdq("c", "d") + "p = MaxPool<kernel_shape=[2,2]>(d)" + qdq("p", "e") + "y = Conv(e, w)", False),
    ],
)
def test_the_outputs_of_layers_stay_float_where_nothing_reads_them_in_int8(said, floats, end, found):
    layer = qdq("x", "a") + qdq("k", "w") + "c = Conv<pads=[1,1,1,1]>(a, w)"
    rules = {rule for rule, _ in said(layer + end, k=floats(16, 16, 3, 3), **SCALE)}
    assert ("outputs" in rules) == found
    assert rules <= {"outputs"}


def test_nothing_before_a_resize(said):
    scales = {"k": np.array([1, 1, 2, 2], np.float32), **SCALE}
    assert said('r = Resize<mode="linear">(x, , k)' + qdq("r", "y"), **scales) == set()
    assert said(qdq("x", "a") + 'y = Resize<mode="linear">(a, , k)', **scales) == {("placement", "slow")}


def test_only_the_identity_branch_of_a_sum(said, floats):
    layer = qdq("x", "a") + qdq("k", "w") + "c = Conv<pads=[1,1,1,1]>(a, w)"
    constants = {"k": floats(16, 16, 3, 3), **SCALE}
    assert said(layer + "y = Add(a, c)", **constants) == set()
    assert said(layer + qdq("c", "d") + "y = Add(a, d)", **constants) == {("placement", "slow")}


def test_concat_shares_a_scale(said):
    two = qdq("x", "a") + "b_q = QuantizeLinear(x, t, z) b = DequantizeLinear(b_q, t, z) y = Concat<axis=1>(a, b)"
    assert said(two, t=np.float32(0.1), **SCALE) == set()
    assert said(two, t=np.float32(0.2), **SCALE) == {("concat", "slow")}


# --- thin channels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("c_in", "c_out", "groups", "kernel", "first", "pays"),
    [
        (16, 16, 1, (3, 3), False, True),
        (32, 17, 1, (3, 1), False, True),  # nothing is thin
        (16, 16, 1, (3, 1), False, True),  # 16 is enough
        (16, 15, 1, (3, 1), False, False),
        (16, 16, 1, (3, 1), False, True),  # 16 is enough, whatever the shape
        (16, 17, 1, (3, 3), False, True),
        (17, 16, 1, (1, 1), False, True),
        (16, 16, 16, (1, 1), False, True),
        (15, 16, 1, (3, 1), False, False),
        (16, 8, 1, (3, 3), False, True),  # and 16 on one side, where the other is divisible by 8
        (15, 8, 1, (3, 3), False, False),
        (8, 16, 1, (3, 3), False, True),  # one side of 16, one divisible by 8
        (10, 20, 1, (3, 3), False, False),
        (3, 16, 1, (3, 3), True, True),
        (3, 8, 1, (3, 3), True, True),  # the first layer
        (3, 8, 1, (3, 3), False, False),
        (8, 16, 1, (3, 1), False, False),  # not square
        (6, 12, 1, (3, 3), False, False),
        (8, 8, 8, (3, 3), False, True),  # grouped, divisible by 8, kernel of 3
        (8, 8, 8, (1, 1), False, False),
        (12, 12, 12, (3, 3), False, False),
        (64, 64, 16, (3, 3), False, True),  # 4 channels a group
        (64, 64, 32, (3, 3), False, False),  # 2 channels a group
        (64, 64, 64, (3, 3), False, True),  # depthwise is another kernel
    ],
)
def test_where_int8_pays(c_in, c_out, groups, kernel, first, pays):
    assert (why_not_int8(Convolution(c_in, c_out, groups, kernel, first)) is None) == pays


def test_thin_layers_of_a_float_graph_and_of_one_with_qdq(network, target, floats):
    text = "(float[1,6,8,8] x) => (float[1,6,6,6] y) {{ {0} }}"
    plain = network(text.format("a = Relu(x) y = Conv(a, k)"), k=floats(6, 6, 3, 3))
    assert thin(plain, plain.nodes[1], target()).change.startswith("quantizing leaves it in float")
    quantized = network(text.format(qdq("x", "a") + qdq("k", "w") + "y = Conv(a, w)"), k=floats(6, 6, 3, 3), **SCALE)
    assert thin(quantized, quantized.nodes[-1], target()).change.startswith("leave it in float")
    left = network(text.format(qdq("x", "a") + "b = Relu(x) y = Conv(b, k)"), k=floats(6, 6, 3, 3), **SCALE)
    assert thin(left, left.nodes[-1], target()) is None


def test_the_first_layer_is_found_behind_the_preprocessing(network, floats):
    body = "f = Cast<to=1>(x) t = Transpose<perm=[0,3,1,2]>(f) m = Sub(t, c) y = Conv(m, w)"
    net = network(f"(uint8[1,8,8,3] x) => (float[N,C,H,W] y) {{ {body} }}", c=np.float32(127), w=floats(8, 3, 3, 3))
    assert convolution_of(net, net.nodes[-1]).is_first
    deeper = network(
        f"(uint8[1,8,8,3] x) => (float[N,C,H,W] y) {{ {body.replace('Sub(t, c)', 'Relu(t)')} }}", w=floats(8, 3, 3, 3)
    )
    assert not convolution_of(deeper, deeper.nodes[-1]).is_first


def test_the_rule_is_the_one_that_quantizing_goes_by(network, floats):
    """What lint calls thin is what quantizing leaves alone."""
    from edgekit.quantize.tensorrt_style import is_thin
    from edgekit.quantize.topology import Topology

    @given(
        st.sampled_from([3, 6, 8, 12, 16, 24]), st.sampled_from([4, 8, 12, 16, 24]), st.sampled_from([1, 2, 4, 8]),
        st.sampled_from([(1, 1), (3, 3), (3, 1)]), st.sampled_from(["Conv", "ConvTranspose"]), st.booleans(),
    )  # fmt: skip
    @settings(deadline=None, max_examples=60)
    def check(c_in, c_out, groups, kernel, op, first):
        if c_in % groups or c_out % groups:
            return
        shape = (c_out, c_in // groups) if op == "Conv" else (c_in, c_out // groups)
        start = "" if first else "r = Relu(x)"
        layer = f"{start} y = {op}<group={groups}>({'x' if first else 'r'}, w)"
        text = f"(float[1,{c_in},8,8] x) => (float[N,C,H,W] y) {{ {layer} }}"
        net = network(text, w=floats(*shape, *kernel))
        ours = why_not_int8(convolution_of(net, net.nodes[-1])) is not None
        assert is_thin(Topology(net.model), net.nodes[-1]) == ours

    check()
