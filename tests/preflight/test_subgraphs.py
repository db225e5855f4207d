"""Nodes inside If and Loop: by the same rules as all others, with what they read of the graph around them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.boards.lookup import find_board
from edgekit.errors import EdgekitError
from edgekit.preflight.lint import lint
from edgekit.preflight.network import Network
from edgekit.preflight.roofline import estimate
from edgekit.preflight.subgraphs import subgraph_networks

MAP = (1, 12, 8, 8)


def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    result = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), name, [], [result])


def graph_of(*nodes: onnx.NodeProto, domains: tuple[str, ...] = ()) -> Network:
    """A graph with an input ``x``, a condition ``c`` and weights ``w`` (12 to 12 channels, 3×3)."""
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, MAP),
        helper.make_tensor_value_info("c", TensorProto.BOOL, ()),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    constants = [numpy_helper.from_array(np.zeros((12, 12, 3, 3), np.float32), "w")]
    constants.append(numpy_helper.from_array(np.array(3, np.int64), "trips"))
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, constants)
    sets = [helper.make_opsetid(domain, 17) for domain in ("", *domains)]
    return Network(helper.make_model(graph, opset_imports=sets, ir_version=8))


def choice(then: onnx.GraphProto, otherwise: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["c"], ["y"], name="choice", then_branch=then, else_branch=otherwise)


def node(op: str, read: list[str], made: str, **attributes) -> onnx.NodeProto:
    return helper.make_node(op, read, [made], name=f"{made}_by_{op.lower()}", **attributes)


def test_both_branches_are_checked(target):
    network = graph_of(
        node("Relu", ["x"], "a"),
        choice(
            branch("then", node("Conv", ["a", "w"], "thin", pads=[1] * 4)), branch("else", node("Unique", ["x"], "u"))
        ),
    )
    report = lint(network, target(), "g")
    assert [(n.number, n.name, n.place) for n in report.nodes] == [
        (0, "a_by_relu", "GPU"),
        (1, "choice", "GPU"),
        (1, "choice/else_branch/u_by_unique", "refused"),
        (1, "choice/then_branch/thin_by_conv", "GPU"),
    ]
    assert not report.builds
    by_name = {n.name: n for n in report.nodes}
    thin = by_name["choice/then_branch/thin_by_conv"]
    # shape and weights are those of the graph around it
    assert thin.shape == MAP and [f.rule for f in thin.findings] == ["thin"]
    assert "TensorRT does not know Unique" in by_name["choice/else_branch/u_by_unique"].findings[0].why


def test_a_body_of_a_loop_and_a_body_in_it(target):
    inner = choice(branch("then", node("Erf", ["state"], "e")), branch("else", node("Det", ["state"], "d")))
    inner.output[0] = "next"
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["still"]), inner],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, MAP),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    inner.input[0] = "go"
    network = graph_of(helper.make_node("Loop", ["trips", "c", "x"], ["y"], name="loop", body=body))
    report = lint(network, target(), "g")
    refused = [n.name for n in report.nodes if n.place == "refused"]
    assert refused == ["loop/body/choice/else_branch/d_by_det"]
    assert len(report.nodes) == 5


def test_uint8_inside_a_body_is_not_the_engines_input(target):
    made = branch("then", node("Cast", ["x"], "bytes", to=TensorProto.UINT8), node("Cast", ["bytes"], "t", to=1))
    network = graph_of(choice(made, branch("else", node("Relu", ["x"], "e"))))
    rules = {f.rule for n in lint(network, target(), "g").nodes for f in n.findings}
    assert rules == {"control-flow", "uint8"}


def test_nothing_in_a_body_runs_on_dla(target):
    network = graph_of(choice(branch("then", node("Relu", ["x"], "t")), branch("else", node("Relu", ["x"], "e"))))
    report = lint(network, target(dla=True), "g")
    assert [n.place for n in report.nodes] == ["falls back"] * 3


def test_what_a_body_reads(floats):
    network = graph_of(
        choice(branch("then", node("Conv", ["x", "w"], "t")), branch("else", node("Identity", ["x"], "e")))
    )
    found = dict(subgraph_networks(network, network.nodes[0]))
    then, otherwise = found.pop("then_branch"), found.pop("else_branch")
    assert not found
    assert then.inputs == ["x"] == otherwise.inputs and then.outputs == []
    assert then.shapes["x"] == MAP and then.value("w").shape == (12, 12, 3, 3) and "w" in then.folded
    assert "w" not in otherwise.shapes  # which it does not read


def test_no_estimate_of_what_is_decided_while_running():
    network = graph_of(choice(branch("then", node("Relu", ["x"], "t")), branch("else", node("Relu", ["x"], "e"))))
    with pytest.raises(EdgekitError, match="what If computes is decided while it runs") as raised:
        estimate(network, find_board("orin-nx-16gb"), "fp16", "g")
    assert "choice" in raised.value.where and raised.value.fix
