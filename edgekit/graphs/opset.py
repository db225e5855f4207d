"""Converting a graph to the operator set that a lane's runtimes read."""

from __future__ import annotations

import onnx

from edgekit.graphs.check import GraphError
from edgekit.graphs.read import opset


def at_opset(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """The model in that operator set, by onnx's own converter; inputs and outputs keep their names.

    GraphError where the converter refuses an operator, or hands back another version than it was asked for.
    """
    if opset(model) == version:
        return model
    try:
        out = onnx.version_converter.convert_version(model, version)
    except Exception as error:  # the C++ converter's errors reach Python as RuntimeError and others
        raise GraphError(f"the graph cannot be written in opset {version}: {error}") from error
    if opset(out) != version:
        raise GraphError(f"conversion to opset {version} gave opset {opset(out)}")
    out.ir_version = model.ir_version
    return out
