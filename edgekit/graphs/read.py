"""Reading a graph: its constants, which nodes make and read a tensor, shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

Shape = tuple[int | str, ...]


def constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Initialisers by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Tensor name → the node that makes it; inputs and initialisers have none."""
    return {name: node for node in graph.node for name in node.output if name}


def consumers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Tensor name → the nodes that read it, each once, in the graph's order."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(n for n in node.input if n):
            found.setdefault(name, []).append(node)
    return found


def attribute(node: onnx.NodeProto, name: str, default=None):
    """An attribute's value, ``default`` where the node does not state it."""
    for a in node.attribute:
        if a.name == name:
            return onnx.helper.get_attribute_value(a)
    return default


def tensor_shape(value: onnx.ValueInfoProto) -> Shape:
    """Shape of an input, output or inferred tensor; open dimensions by their name."""
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in value.type.tensor_type.shape.dim)


_FEW = 17  # more channels than a network's input has


def spatial_places(shape: Sequence[object]) -> tuple[int, int]:
    """Where height and width are in the shape of an input of four sides: behind the channels, or before them.

    Channels are a number where height and width are open; else few.
    """
    known = [place for place in (1, 3) if isinstance(shape[place], int) and shape[place]]
    if len(known) == 1:
        return (2, 3) if known == [1] else (1, 2)
    return (1, 2) if known and shape[3] < min(shape[1], _FEW) else (2, 3)


def dtype_of(value: onnx.ValueInfoProto) -> str:
    """``float32``, ``uint8`` …"""
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)).name


def shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Tensor name → shape, of inputs, outputs, constants and everything that shape inference finds."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found = {value.name: tensor_shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    return {**found, **{tensor.name: tuple(tensor.dims) for tensor in graph.initializer}}


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operator set; 0 where the model imports none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def activations(graph: onnx.GraphProto) -> list[str]:
    """The graph's inputs and every tensor that a node makes, in topological order."""
    return [*(v.name for v in graph.input), *(name for node in graph.node for name in node.output if name)]


def names_used(graph: onnx.GraphProto) -> Iterable[str]:
    """Every tensor name that some node reads or that leaves the graph."""
    yield from (name for node in graph.node for name in node.input if name)
    yield from (value.name for value in graph.output)
