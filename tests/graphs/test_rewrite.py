"""Rewriting keeps what a graph computes."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

from edgekit.graphs.check import GraphError, checked
from edgekit.graphs.draft import Draft
from edgekit.graphs.opset import at_opset
from edgekit.graphs.read import activations, consumers, opset, producers, shapes
from edgekit.graphs.rewrite import pad_by_pad, scale_resizes, split_channels


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')


def run(model: onnx.ModelProto, **feeds: np.ndarray) -> list[np.ndarray]:
    return ReferenceEvaluator(model).run(None, feeds)


def ramp(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_a_resize_to_twice_the_size_becomes_one_by_two():
    model = parse(
        """g (float[1,1,2,3] x) => (float[1,1,4,6] y)
        <int64[4] sizes = {1, 1, 4, 6}, int64[4] odd = {1, 1, 5, 9}>
        { y = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(x, , , sizes) }"""
    )
    x = ramp(1, 1, 2, 3)
    before = run(model, x=x)
    scale_resizes(model)
    assert list(model.graph.node[0].input)[:2] == ["x", ""] and len(model.graph.node[0].input) == 3
    np.testing.assert_allclose(run(checked(model, 17), x=x)[0], before[0], atol=1e-6)


def test_a_resize_by_no_whole_factor_is_left_alone():
    model = parse(
        """g (float[1,1,2,3] x) => (float[1,1,5,9] y) <int64[4] sizes = {1, 1, 5, 9}>
        { y = Resize<mode="nearest">(x, , , sizes) }"""
    )
    scale_resizes(model)
    assert list(model.graph.node[0].input) == ["x", "", "", "sizes"]


def test_zeros_behind_rows_and_columns_become_one_pad():
    model = parse(
        """g (float[1,2,2,3] x) => (float[1,2,4,4] y)
        <float[1,2,2,1] column = {0,0,0,0}, float[1,2,2,4] rows = {0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}>
        { wide = Concat<axis=-1>(x, column)
          y = Concat<axis=2>(wide, rows) }"""
    )
    x = ramp(1, 2, 2, 3)
    before = run(model, x=x)
    pad_by_pad(model)
    assert [node.op_type for node in model.graph.node] == ["Pad"]
    np.testing.assert_array_equal(run(checked(model, 17), x=x)[0], before[0])


@pytest.mark.parametrize(
    "text",
    [
        # ones, not zeros; zeros before, not behind; zeros as channels
        "<float[1,1,2,1] c = {1, 0}> { y = Concat<axis=3>(x, c) }",
        "<float[1,1,2,1] c = {0, 0}> { y = Concat<axis=3>(c, x) }",
        "<float[1,1,2,3] c = {0, 0, 0, 0, 0, 0}> { y = Concat<axis=1>(x, c) }",
    ],
)
def test_other_concatenations_stay(text):
    shape = "1,2,2,3" if "axis=1" in text else "1,1,2,4"
    model = parse(f"g (float[1,1,2,3] x) => (float[{shape}] y) {text}")
    pad_by_pad(model)
    assert [node.op_type for node in model.graph.node] == ["Concat"]


def test_a_head_becomes_one_convolution_per_part():
    model = parse(
        """g (float[1,2,3,3] x) => (float[1,3,3,3] y)
        <float[3,2,1,1] weight = {1,2,3,4,5,6}, float[3] bias = {7,8,9}>
        { y = Conv(x, weight, bias) }"""
    )
    x = ramp(1, 2, 3, 3)
    (before,) = run(model, x=x)
    split_channels(model, {"a_logits": 2, "b_logits": 1})
    a, b = run(checked(model, 17), x=x)
    np.testing.assert_allclose(np.concatenate([a, b], axis=1), before, atol=1e-5)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Conv"]


def test_what_no_convolution_makes_is_sliced():
    model = parse("g (float[1,3,2,2] x) => (float[1,3,2,2] y) { y = Relu(x) }")
    x = ramp(1, 3, 2, 2)
    split_channels(model, {"a_logits": 1, "b_logits": 2})
    a, b = run(checked(model, 17), x=x)
    np.testing.assert_array_equal(np.concatenate([a, b], axis=1), np.maximum(x, 0))
    assert (a.shape[1], b.shape[1]) == (1, 2)


def test_a_graph_of_another_operator_set_is_refused():
    model = parse("g (float[1] x) => (float[1] y) { y = Relu(x) }")
    assert opset(at_opset(model, 19)) == 19
    with pytest.raises(GraphError, match="opset 17, expected 19"):
        checked(model, 19)
    model.ir_version = 11
    with pytest.raises(GraphError, match="IR version 11"):
        checked(model, 17)


def test_a_graph_that_contradicts_itself_is_refused():
    with pytest.raises(GraphError, match="does not check"):
        checked(parse("g (float[1,2] x) => (float[1,3] y) { y = Relu(x) }"), 17)


def test_a_conversion_that_onnx_cannot_do_is_a_failure():
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18]> g (float[1,4] x) => (float[1,2] a, float[1,2] b)
        { a, b = Split<axis=1, num_outputs=2>(x) }"""
    )
    with pytest.raises(GraphError, match="opset 17"):
        at_opset(model, 17)


def test_reading_a_graph():
    model = parse(
        """g (float[N,2] x) => (float[N,2] y) <float[1] c = {2}>
        { a = Relu(x)  b = Add(a, a)  y = Mul(b, c) }"""
    )
    assert producers(model.graph)["b"].op_type == "Add"
    assert [node.op_type for node in consumers(model.graph)["a"]] == ["Add"]
    assert activations(model.graph) == ["x", "a", "b", "y"]
    assert shapes(model)["b"] == ("N", 2) and shapes(model)["c"] == (1,)


def test_a_draft_drops_what_no_output_needs():
    model = parse("g (float[2] x) => (float[2] y) <float[1] c = {2}> { a = Mul(x, c)  y = Relu(x) }")
    draft = Draft(model, "post.")
    doubled = draft.node("Add", ["y", draft.constant("one", [1.0])], "more")
    assert draft.constant("one", [1.0]) == "post.one" and doubled == "post.more"
    y = model.graph.output[0]
    y.name = doubled
    draft.outputs([y])
    assert [node.op_type for node in draft.graph.node] == ["Relu", "Add"]
    assert [tensor.name for tensor in draft.graph.initializer] == ["post.one"]
