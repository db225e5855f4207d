"""ONNX graphs that read files, take all memory or never end, and operators that crash the runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ON = ("--precision", "fp32", "--threads", "1")


def changed(bundle, edit) -> None:
    path = bundle / "fp32.onnx"
    model = onnx.load(path, load_external_data=False)
    edit(model)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("how", ["domain", "function"])
def test_operators_that_are_not_ours_are_refused_and_looked_at_by_lint(refused, attempt, change, bundle, how):
    def foreign(model):
        model.opset_import.add(domain="evil", version=1)
        node = model.graph.node[0]
        node.domain, node.op_type = "evil", "f"
        del node.attribute[:]
        if how == "function":
            body = [helper.make_node("Identity", ["x"], ["y"])]
            model.functions.append(helper.make_function("evil", "f", ["x"], ["y"], body, [helper.make_opsetid("", 17)]))

    changed(bundle, foreign)
    change()
    refused("bundle", "verify", bundle, says="functions" if how == "function" else "evil")
    for command in ("lint", "estimate"):
        attempt(command, bundle / "fp32.onnx", "--board", "orin-nano-8gb")


def loop(model) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["go_on"]), helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", 7), ("going", 9), ("v", 1))],
        [helper.make_tensor_value_info(n, t, []) for n, t in (("go_on", 9), ("w", 1))],
    )
    for name, value in (("trips", np.int64(2**62)), ("yes", np.bool_(True)), ("start", np.float32(1))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    model.graph.node.append(helper.make_node("Loop", ["trips", "yes", "start"], ["large"], body=body))
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("large", TensorProto.FLOAT, []))


def constant(model) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**32], np.int64), "size"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["large"]))
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("large", TensorProto.FLOAT, [2**32]))


def expanded(model) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**16, 2**16], np.int64), "size"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32([[1]]), "one"))
    model.graph.node.append(helper.make_node("Expand", ["one", "size"], ["large"]))
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("large", TensorProto.FLOAT, [2**16, 2**16]))


def enlarged(model) -> None:
    """Not while it is loaded, but when a frame comes."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2**12, 2**12, 1], np.int64), "times"))
    model.graph.node.append(helper.make_node("Tile", [model.graph.input[0].name, "times"], ["large"]))
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("large", TensorProto.UINT8, None))


def as_pixels_say(model) -> None:
    frames = model.graph.input[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "flat"))
    model.graph.node.append(helper.make_node("Reshape", [frames, "flat"], ["pixels"]))
    model.graph.node.append(helper.make_node("Cast", ["pixels"], ["sides"], to=TensorProto.INT64))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["sides"], ["large"]))
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("large", TensorProto.FLOAT, None))


def empty_input(model) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Max")
    node.input[1] = ""


def many_nodes(model) -> None:
    for i in range(50_000):
        before = f"chain{i}" if i else model.graph.node[0].output[0]
        model.graph.node.append(helper.make_node("Identity", [before], [f"chain{i + 1}"]))


@pytest.mark.parametrize("edit", [loop, constant, expanded, enlarged, as_pixels_say, empty_input, many_nodes])
@pytest.mark.parametrize("command", ["verify", "lint", "estimate"])
def test_graphs_that_never_end_take_all_memory_or_crash(refused, attempt, change, bundle, edit, command):
    changed(bundle, edit)
    change()
    if command == "verify":
        refused("verify", bundle, *ON)
    else:
        outcome = attempt(command, bundle / "fp32.onnx", "--board", "orin-nano-8gb")
        assert outcome.code in (0, 1, 2)


def short_data(tensor):
    tensor.raw_data = tensor.raw_data[:3]


def huge_dims(tensor):
    tensor.dims[:] = [2**40, 2**40]


def negative(tensor):
    tensor.dims[:] = [-3]


def no_such_type(tensor):
    tensor.data_type = 99


@pytest.mark.parametrize("edit", [short_data, huge_dims, negative, no_such_type])
@pytest.mark.parametrize("command", ["lint", "estimate", "verify"])
def test_malformed_initializers(refused, change, bundle, edit, command):
    for name in ("mean", "enlarge", "channel", "grey"):
        changed(bundle, lambda model, name=name: edit(next(t for t in model.graph.initializer if t.name == name)))
    change()
    if command == "verify":
        refused("verify", bundle, *ON)
    else:
        refused(command, bundle / "fp32.onnx", "--board", "orin-nano-8gb")
