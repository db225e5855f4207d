"""Checking a graph that edgekit made."""

from __future__ import annotations

from copy import deepcopy

import onnx

from edgekit.graphs.read import opset

NEWEST_IR = 10
"""The newest file format that onnxruntime 1.23, the last for Python 3.10, can read."""


class GraphError(Exception):
    """A graph that edgekit made is invalid: a fault of edgekit or of a package, never the user's."""


def checked(model: onnx.ModelProto, expected_opset: int) -> onnx.ModelProto:
    """The model with every tensor's shape and type inferred.

    GraphError where onnx's checker or strict shape inference refuses it, where the operator set is another one than
    ``expected_opset`` (converters have been seen to fail and go on), or where its format is newer than runtimes read.
    """
    if opset(model) != expected_opset:
        raise GraphError(f"the graph came out with opset {opset(model)}, expected {expected_opset}")
    if model.ir_version > NEWEST_IR:
        raise GraphError(f"the graph came out with IR version {model.ir_version}, expected at most {NEWEST_IR}")
    bare = deepcopy(model)
    del bare.graph.value_info[:]  # what an earlier graph inferred may not hold for this one
    try:
        onnx.checker.check_model(bare, full_check=True)
        return onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(f"the graph does not check: {error}") from error
