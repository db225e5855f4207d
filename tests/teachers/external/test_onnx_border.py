"""An ONNX teacher runs what a bundle may hold, unless --allow-code is given."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import EdgekitError
from edgekit.teachers.external.permission import VARIABLE

SAME = {"semantic": {"classes": ["land", "water", "sky"]}}


def loops(graph) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["go_on"]), helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", 7), ("going", 9), ("v", 1))],
        [helper.make_tensor_value_info(n, t, []) for n, t in (("go_on", 9), ("w", 1))],
    )
    for name, value in (("trips", np.int64(2**62)), ("yes", np.bool_(True)), ("start", np.float32(1))):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    graph.node.append(helper.make_node("Loop", ["trips", "yes", "start"], ["endless"], body=body))


def foreign(graph) -> None:
    last = graph.node[-1].output[0]
    graph.node[-1].output[0] = "before"
    graph.node.append(helper.make_node("Gelu", ["before"], [last], domain="com.microsoft"))


def large(graph) -> None:
    last = graph.node[-1].output[0]
    graph.node[-1].output[0] = "before"
    graph.initializer.append(numpy_helper.from_array(np.array([10**9, 3, 6, 8], np.int64), "times"))
    graph.node.append(helper.make_node("Expand", ["before", "times"], ["many"]))
    graph.node.append(helper.make_node("ReduceMean", ["many"], [last], axes=[0]))


def outside(graph) -> None:
    tensor = graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


@pytest.fixture
def changed(linear, tmp_path):
    def change(edit) -> None:
        linear(np.eye(3))
        path = tmp_path / "net.onnx"
        model = onnx.load(path)
        model.opset_import.add(domain="com.microsoft", version=1)
        edit(model.graph)
        path.write_bytes(model.SerializeToString())

    return change


@pytest.mark.parametrize(
    ("edit", "says"),
    [(loops, "graph inside"), (foreign, "com.microsoft"), (large, "bytes"), (outside, "another file")],
)
def test_what_is_not_bounded_is_refused(changed, open_teacher, ask, edit, says):
    changed(edit)
    with pytest.raises(EdgekitError, match=says) as caught:
        ask(open_teacher(kind="onnx", file="net.onnx", outputs=SAME))
    assert "net.onnx" in caught.value.where and "--allow-code" in caught.value.fix


def test_whoever_trusts_it_may_run_it(changed, open_teacher, ask, monkeypatch):
    changed(foreign)
    monkeypatch.setenv(VARIABLE, "1")
    assert ask(open_teacher(kind="onnx", file="net.onnx", outputs=SAME))["semantic"].shape == (3, 6, 8)
