"""A graph in half precision, written in its types."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from edgekit.graphs.check import GraphError

# Inputs that the operator wants in float32, whatever it computes in.
_STAYS_FLOAT = {("Resize", 1), ("Resize", 2)}
_MOST = float(np.finfo(np.float16).max)


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes in float16 throughout: constants, inputs and outputs too. Shapes must be inferred anew.

    GraphError for a constant beyond float16's range, or for a graph that states types in a way unknown here.
    """
    out = deepcopy(model)
    graph = out.graph
    stays = {
        name for node in graph.node for place, name in enumerate(node.input) if (node.op_type, place) in _STAYS_FLOAT
    }
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in stays:
            values = numpy_helper.to_array(tensor)
            if values.size and np.abs(values).max() > _MOST:
                raise GraphError(f"'{tensor.name}' reaches {np.abs(values).max():g}, beyond float16's {_MOST:g}")
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
    typed = [node.op_type for node in graph.node if node.op_type in ("Cast", "Constant", "ConstantOfShape")]
    if typed:
        raise GraphError(f"cannot halve a graph with {', '.join(sorted(set(typed)))}")
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    del graph.value_info[:]
    return out
