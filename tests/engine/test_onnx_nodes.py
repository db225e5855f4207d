"""The reader of node names against the onnx package."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.engine.onnx_nodes import nodes


@pytest.mark.parametrize("file", ["weak.onnx", "strong-int8.onnx", "body.onnx"])
def test_nodes_are_those_of_the_onnx_package(jetson_bundle, file):
    content = (jetson_bundle / file).read_bytes()
    expected = [(n.name, n.op_type) for n in onnx.load_from_string(content).graph.node]
    assert expected and nodes(content) == expected


@given(st.binary(max_size=60))
def test_what_is_no_onnx_file_has_no_nodes_and_no_crash(content):
    assert isinstance(nodes(content), list)


def test_a_file_cut_short(jetson_bundle):
    content = (jetson_bundle / "weak.onnx").read_bytes()
    assert nodes(content[: len(content) // 2]) == []
