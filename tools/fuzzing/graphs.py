"""Mutators of ONNX graphs: nodes, attributes, initialisers, types, subgraphs, functions, external data."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

from tools.fuzzing.mutate import NAMES, mutate_bytes

SIDES = [-1, 0, 1, 3, 7, 65_536, 2**31, 2**40, 2**62, -(2**63)]


def mutate(rng: random.Random, content: bytes, outside: Path) -> bytes:
    """A graph that is still a protobuf message, in most cases."""
    import onnx

    if rng.random() < 0.1:
        return mutate_bytes(rng, content)
    model = onnx.load_from_string(content)
    for _ in range(rng.choice([1, 1, 1, 2])):
        with contextlib.suppress(IndexError, ValueError, TypeError):  # an earlier mutation left nothing to choose from
            rng.choice(_HOWS)(rng, model, outside)
    return model.SerializeToString()


def _node(rng, model, outside) -> None:
    nodes = model.graph.node
    node, how = rng.choice(nodes), rng.randrange(8)
    if how == 0:
        node.op_type = rng.choice(
            ["Max", "Conv", "Loop", "If", "NoSuchOp", "Identity", "Resize", "ConstantOfShape", "Gather"]
        )
    elif how == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(["", "nowhere", *(o for n in nodes for o in n.output)])
    elif how == 2:
        node.input.append(rng.choice(["", "nowhere", *(o for n in nodes for o in n.output)]))
    elif how == 3:
        del node.input[:]
    elif how == 4:
        node.domain = (
            rng.choice(["com.microsoft", "ai.onnx.ml", "evil", *NAMES[:12]]).encode("utf-8", "replace").decode()
        )
    elif how == 5:
        nodes.remove(node)
    elif how == 6:
        node.output[0] = rng.choice(["", "frames", *(o for n in nodes for o in n.output)])
    else:
        nodes.insert(rng.randrange(len(nodes)), node)


def _attribute(rng, model, outside) -> None:
    having = [node for node in model.graph.node if node.attribute]
    attribute = rng.choice(rng.choice(having).attribute)
    how = rng.randrange(5)
    if how == 0:
        attribute.i = rng.choice(SIDES)
    elif how == 1:
        attribute.ints[:] = [rng.choice([1, 2, 4, *SIDES]) for _ in range(rng.choice([0, 1, 2, 4, 100]))]
    elif how == 2:
        attribute.type = rng.randrange(0, 15)
    elif how == 3:
        attribute.name = rng.choice(["axes", "x", "", "kernel_shape"])
    else:
        attribute.s = rng.choice([b"\xff\xfe", b"linear", b"", b"x" * 1000])


def _initializer(rng, model, outside) -> None:
    import onnx

    tensor, how = rng.choice(model.graph.initializer), rng.randrange(8)
    if how == 0:
        tensor.dims[:] = [rng.choice(SIDES) for _ in range(rng.randrange(5))]
    elif how == 1:
        tensor.data_type = rng.choice([0, 1, 2, 7, 8, 10, 14, 16, 17, 20, 22, 99])
    elif how == 2:
        tensor.raw_data = mutate_bytes(rng, tensor.raw_data)
    elif how == 3:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (
            ("location", rng.choice([str(outside / "canary.txt"), "../outside/canary.txt", "etc/passwd", "fp32.onnx"])),
            ("offset", rng.choice(["0", "-1", "x"])),
            ("length", rng.choice(["4", "24", "99999999999"])),
        ):
            tensor.external_data.add(key=key, value=value)
    elif how == 4:
        tensor.name = rng.choice(["", "frames", "nowhere", "x"])
    elif how == 5:
        tensor.float_data.extend([1.0] * 3)
    elif how == 6:
        model.graph.initializer.remove(tensor)
    else:
        array = onnx.numpy_helper.to_array(tensor)
        value = rng.choice([float("nan"), float("inf"), 1e38, 0, -1])
        if array.dtype.kind == "f":
            tensor.CopyFrom(onnx.numpy_helper.from_array(array * 0 + array.dtype.type(value), tensor.name))


def _interface(rng, model, outside) -> None:
    values = rng.choice([model.graph.input, model.graph.output])
    value = rng.choice(values)
    dims, how = value.type.tensor_type.shape.dim, rng.randrange(6)
    if how == 0 and dims:
        rng.choice(dims).dim_value = rng.choice([1, 2, 5, 64, 96, *SIDES])
    elif how == 1 and dims:
        rng.choice(dims).dim_param = rng.choice(["n", "", *NAMES[:12]]).encode("utf-8", "replace").decode()
    elif how == 2:
        value.type.tensor_type.elem_type = rng.randrange(0, 24)
    elif how == 3:
        value.name = rng.choice(["", "x", "frames", "\x1b[31m"])
    elif how == 4:
        values.add().CopyFrom(value)
    else:
        value.ClearField("type")


def _model(rng, model, outside) -> None:
    how = rng.randrange(5)
    if how == 0:
        model.opset_import[0].version = rng.choice([0, 1, 6, 11, 13, 22, 99, 2**40, -1])
    elif how == 1:
        model.ir_version = rng.choice([0, 1, 3, 9, 11, 99, 2**40])
    elif how == 2:
        model.ClearField(rng.choice(["graph", "opset_import"]))
    elif how == 3:
        model.opset_import.add(domain=rng.choice(["com.microsoft", "evil", ""]), version=rng.choice([1, 99]))
    else:
        model.metadata_props.add(key=rng.choice(["a", "\x1b[2J"]), value=rng.choice(["b", "\x1b[2J", "x" * 10_000]))


def _heavy(rng, model, outside) -> None:
    """Much work from few bytes, behind an output of the graph."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph, how = model.graph, rng.randrange(4)
    if how == 0:
        size = rng.choice([[2**32], [2**34], [65_536, 65_536], [2**62]])
        graph.initializer.append(numpy_helper.from_array(np.array(size, np.int64), "large_shape"))
        graph.node.append(helper.make_node("ConstantOfShape", ["large_shape"], ["large"]))
    elif how == 1:
        body = helper.make_graph(
            [helper.make_node("Identity", ["going"], ["go_on"]), helper.make_node("Add", ["v", "v"], ["w"])],
            "body",
            [helper.make_tensor_value_info(n, t, []) for n, t in (("i", 7), ("going", 9), ("v", 1))],
            [helper.make_tensor_value_info(n, t, []) for n, t in (("go_on", 9), ("w", 1))],
        )
        for name, value in (("trips", np.int64(2**62)), ("yes", np.bool_(True)), ("start", np.float32(1))):
            graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        graph.node.append(helper.make_node("Loop", ["trips", "yes", "start"], ["large"], body=body))
    elif how == 2:
        graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**14], np.int64), "far"))
        graph.initializer.append(numpy_helper.from_array(np.float32([[1]]), "one"))
        graph.node.append(helper.make_node("Expand", ["one", "far"], ["large"]))
    else:
        for i in range(30_000):
            graph.node.append(
                helper.make_node("Identity", [f"chain{i}" if i else graph.node[0].output[0]], [f"chain{i + 1}"])
            )
        graph.node.append(helper.make_node("Identity", ["chain30000"], ["large"]))
    graph.output.add().CopyFrom(helper.make_tensor_value_info("large", TensorProto.FLOAT, None))


def _function(rng, model, outside) -> None:
    from onnx import helper

    body = [helper.make_node(rng.choice(["Identity", "f"]), ["x"], ["y"], domain=rng.choice(["", "evil"]))]
    function = helper.make_function("evil", "f", ["x"], ["y"], body, [helper.make_opsetid("", 17)])
    model.functions.append(function)
    model.opset_import.add(domain="evil", version=1)
    node = rng.choice(model.graph.node)
    node.op_type, node.domain = "f", "evil"
    del node.attribute[:]


_HOWS = [
    _node,
    _node,
    _node,
    _attribute,
    _attribute,
    _initializer,
    _initializer,
    _interface,
    _interface,
    _model,
    _heavy,
    _function,
]
