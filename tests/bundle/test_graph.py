"""What is read of a graph without onnx, against onnx; and what no bundle's graph may hold."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit import limits
from edgekit.bundle.graph import read_graph


def model(nodes=(), constants=(), inputs=None, outputs=None, **more) -> onnx.ModelProto:
    inputs = inputs or [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))]
    outputs = outputs or [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, [numpy_helper.from_array(v, n) for n, v in constants])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **more)


def scanned(made: onnx.ModelProto, shape=(1, 3, 8, 8)):
    found = read_graph(made.SerializeToString())
    found.check_sizes(dict.fromkeys(found.inputs, shape))
    return found


SIDES = st.lists(st.one_of(st.integers(1, 2**40), st.sampled_from(["batch", "height/4"])), max_size=5)
TYPES = {
    np.dtype(t).name: onnx.helper.np_dtype_to_tensor_dtype(np.dtype(t)) for t in ("f2", "f4", "f8", "u1", "i8", "?")
}
NAMES = st.text(min_size=1, max_size=8)


@given(
    st.dictionaries(NAMES, st.tuples(st.sampled_from(sorted(TYPES)), SIDES), min_size=2, max_size=6), st.integers(1, 99)
)
def test_inputs_outputs_and_opset_are_what_onnx_wrote(values, version):
    made = [helper.make_tensor_value_info(n, TYPES[dtype], sides) for n, (dtype, sides) in values.items()]
    graph = helper.make_graph([], "g", made[:1], made[1:])
    foreign = helper.make_opsetid("com.example", 3)
    written = helper.make_model(graph, opset_imports=[foreign, helper.make_opsetid("", version)])
    found = read_graph(written.SerializeToString())
    expected = {name: (dtype, tuple(sides)) for name, (dtype, sides) in values.items()}
    assert {**found.inputs, **found.outputs} == expected and len(found.inputs) == 1 and found.opset == version


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i1", "i4", "i8", "?"])
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (2, 1, 2)])
def test_constants_in_every_spelling_are_taken(dtype, raw, shape):
    value = np.zeros(shape, dtype)
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    held = helper.make_tensor("c", kind, shape, value.tobytes() if raw else value.ravel().tolist(), raw=raw)
    made = model([helper.make_node("Identity", ["x"], ["y"])])
    made.graph.initializer.append(held)
    made.graph.node.append(helper.make_node("Constant", [], ["d"], value=held))
    assert list(scanned(made).inputs) == ["x"]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_graph_or_a_phrase(content):
    whole = model([helper.make_node("Identity", ["x"], ["y"])]).SerializeToString()
    for mutated in (content, whole + content, whole[: len(content)] + content + whole[2 * len(content) :]):
        try:
            read_graph(mutated)
        except ValueError as error:
            assert str(error)


def changed(change):
    made = model([helper.make_node("Identity", ["x"], ["y"])], [("c", np.zeros(6, np.float32))])
    change(made.graph.initializer[0])
    return made


def of_constants(op, *shapes, **attributes):
    names = [f"c{i}" for i in range(len(shapes))]
    constants = [(n, np.zeros(s, np.float32)) for n, s in zip(names, shapes, strict=True)]
    return model([helper.make_node(op, names, ["y"], **attributes)], constants)


INNER = helper.make_graph([], "inner", [], [])
REFUSED = {
    "another file": (changed(lambda t: t.external_data.add(key="location", value="a")), "another file"),
    "said to be outside": (changed(lambda t: setattr(t, "data_location", 1)), "another file"),
    "short": (changed(lambda t: setattr(t, "raw_data", t.raw_data[:3])), "another size"),
    "huge": (changed(lambda t: t.dims.extend([2**40, 2**40])), "another size"),
    "negative": (changed(lambda t: t.dims.append(-3)), "another size"),
    "many sides": (changed(lambda t: t.dims.extend([1] * 100)), "another size"),
    "type": (changed(lambda t: setattr(t, "data_type", 99)), "unknown type"),
    "If": (model([helper.make_node("If", ["x"], ["y"], then_branch=INNER, else_branch=INNER)]), "graph inside"),
    "Loop": (model([helper.make_node("Loop", ["x", "x"], ["y"], body=INNER)]), "graph inside"),
    "foreign": (model([helper.make_node("f", ["x"], ["y"], domain="evil")]), "evil"),
    "no input": (model([helper.make_node("Max", ["x", ""], ["y"])]), "no input in place 1"),
    "no first input": (model([helper.make_node("Resize", ["", "x"], ["y"])]), "no input in place 0"),
    "before it is made": (model([helper.make_node("Add", ["x", "z"], ["y"])]), "before it is made"),
    "twice": (model([helper.make_node("Abs", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["y"])]), "'y' twice"),
    "no such operator": (model([helper.make_node("NonZero", ["x"], ["y"])]), "NonZero"),
    "random": (model([helper.make_node("RandomNormal", [], ["y"], shape=[2**31])]), "RandomNormal"),
    "outer sum": (of_constants("Add", (20_000, 1), (1, 20_000)), "bytes of constants"),
    "doubled": (
        model(
            [helper.make_node("Concat", [f"c{i}"] * 2, [f"c{i + 1}"], axis=0) for i in range(40)],
            [("c0", np.zeros(9, np.float32))],
        ),
        "bytes of constants",
    ),
    "nodes": (
        model([helper.make_node("Identity", ["x"], [f"y{i}"]) for i in range(limits.GRAPH_NODES + 1)]),
        "nodes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_bundle_holds(name):
    made, says = REFUSED[name]
    with pytest.raises(ValueError, match=says):
        scanned(made)


def test_functions_sparse_constants_and_what_stands_twice():
    whole = model([helper.make_node("Identity", ["x"], ["y"])])
    function = model()
    function.functions.add(name="f", domain="")
    sparse = model()
    sparse.graph.sparse_initializer.add().dims.append(2**40)
    for content, says in (
        (function.SerializeToString(), "functions"),
        (sparse.SerializeToString(), "sparse"),
        (whole.SerializeToString() * 2, "twice"),
        (whole.SerializeToString()[:-1], "early"),
    ):
        with pytest.raises(ValueError, match=says):
            read_graph(content)


def test_what_exported_graphs_do_is_taken():
    """Weights that are dequantised, inputs left out of Resize and Clip, shapes that are put together."""
    weights = [("w", np.zeros((4, 3, 1, 1), np.int8)), ("s", np.ones(4, np.float32)), ("z", np.zeros(4, np.int8))]
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["kernel"], axis=0),
        helper.make_node("Conv", ["x", "kernel"], ["a"]),
        helper.make_node("Clip", ["a", "", "most"], ["b"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "two"], ["side"]),
        helper.make_node("Mul", ["side", "two"], ["twice"]),
        helper.make_node("Concat", ["two", "two", "twice", "side"], ["sizes"], axis=0),
        helper.make_node("Resize", ["b", "", "", "sizes"], ["y"]),
    ]
    more = [("most", np.float32(6)), ("two", np.array([2], np.int64))]
    assert list(scanned(model(nodes, [*weights, *more])).outputs) == ["y"]
