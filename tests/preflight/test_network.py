"""Reading graphs: shapes, constants, files that are no graphs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgekit.errors import EdgekitError
from edgekit.preflight.network import Network, network_of, read_onnx


def test_what_depends_on_no_input_is_folded(network, floats):
    net = network(
        "(float[1,16,8,8] x) => (float[1,16,8,8] y)"
        "{ w_q = QuantizeLinear(k, s, z) w = DequantizeLinear(w_q, s, z) n = Shape(x)"
        "c = Conv<pads=[1,1,1,1]>(x, w) y = Reshape(c, n) }",
        k=floats(16, 16, 3, 3), s=np.float32(0.1), z=np.int8(0),
    )  # fmt: skip
    assert [node.op_type for node in net.nodes if net.is_folded(node)] == [
        "QuantizeLinear",
        "DequantizeLinear",
        "Shape",
    ]


def test_constants_in_every_form(network):
    net = network(
        "(float[2] x) => (float[2] y) { a = Constant<value_floats=[1.0, 2.0]>() b = Identity(a) y = Add(x, b) }"
    )
    assert net.value("b").tolist() == [1.0, 2.0] and net.value("x") is None and net.value("y") is None


def test_an_open_size_is_given(model):
    made = model("(float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }")
    assert Network(made).shape("y") is None
    assert network_of(made, "g", (32, 48)).shape("y") == (1, 3, 32, 48)
    frames = model("(uint8[N,H,W,3] x) => (float[N,H,W,3] y) { y = Cast<to=1>(x) }")
    assert network_of(frames, "g", (32, 48)).shape("y") == (1, 32, 48, 3)


def test_another_size_than_the_graphs_is_refused(model):
    made = model("(float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }")
    assert network_of(made, "g", (8, 8)).shape("y") == (1, 3, 8, 8)
    with pytest.raises(EdgekitError, match="made for frames of 8x8, not 32x48"):
        network_of(made, "g", (32, 48))


def test_files_that_are_no_graphs(tmp_path, model):
    with pytest.raises(EdgekitError, match="a file is missing"):
        read_onnx(tmp_path / "none.onnx")
    with pytest.raises(EdgekitError, match="not a regular file"):
        read_onnx(tmp_path)
    for name, content in (("noise", b"\xff\x00garbage"), ("empty", b""), ("text", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EdgekitError, match="not a whole ONNX graph"):
            read_onnx(tmp_path / name)
    whole = model("(float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }")
    raw = whole.SerializeToString()
    for end in range(1, len(raw) - 1, 7):
        (tmp_path / "cut.onnx").write_bytes(raw[:end])
        with pytest.raises(EdgekitError):
            read_onnx(tmp_path / "cut.onnx")
    onnx.save(whole, tmp_path / "whole.onnx")
    assert read_onnx(tmp_path / "whole.onnx").graph.node[0].op_type == "Relu"


def test_attributes_of_every_type_are_read_and_a_damaged_tensor_of_one_is_not(model, tmp_path):
    """An attribute that holds no tensor has an empty one, which is no damage."""
    nodes = "c = Constant<value = float[3] {1, 2, 3}>() p = AveragePool<kernel_shape = [2, 2]>(x) y = Add(p, c)"
    whole = model(f"(float[1,3,9,4] x) => (float[1,3,8,3] y) {{ {nodes} }}")
    onnx.save(whole, tmp_path / "whole.onnx")
    assert len(read_onnx(tmp_path / "whole.onnx").graph.node) == 3
    whole.graph.node[0].attribute[0].t.dims[0] = 2**40
    onnx.save(whole, tmp_path / "damaged.onnx")
    with pytest.raises(EdgekitError, match="not a whole ONNX graph"):
        read_onnx(tmp_path / "damaged.onnx")
