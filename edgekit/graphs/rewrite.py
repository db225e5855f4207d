"""Equivalent forms of a graph that more runtimes support, and run faster."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.graphs.draft import prune, replace_nodes
from edgekit.graphs.read import attribute, constants, consumers, producers, shapes


def scale_resizes(model: onnx.ModelProto) -> None:
    """Every ``Resize`` to a fixed size becomes one by whole factors, in place, where its factors are whole.

    A factor holds for any batch and frame size, and is the only form that DLA takes.
    """
    known, values = shapes(model), constants(model.graph)
    for node in model.graph.node:
        if node.op_type != "Resize" or len(node.input) < 4 or node.input[3] not in values:
            continue
        before, after = known.get(node.input[0], ()), values[node.input[3]]
        if len(before) != len(after) or any(
            not isinstance(b, int) or not b or a % b for a, b in zip(after, before, strict=True)
        ):
            continue
        name = f"{node.output[0]}.scales"
        factors = np.asarray(after // np.asarray(before), np.float32)
        model.graph.initializer.append(numpy_helper.from_array(factors, name))
        del node.input[1:]
        node.input.extend(["", name])
    prune(model.graph)


def pad_by_pad(model: onnx.ModelProto) -> None:
    """Zeros concatenated behind rows or columns become a ``Pad``, in place; two in a row become one.

    The constants would fix batch and frame size, and a quantiser would want a range of them. (Networks concatenate
    because torch's conversion to older operator sets fails on ``Pad``; here the operator set is settled.)
    """
    graph = model.graph
    known, values = shapes(model), constants(graph)
    made, used = producers(graph), consumers(graph)
    nodes = list(graph.node)
    for place, node in enumerate(nodes):
        axis = attribute(node, "axis", 0) if node.op_type == "Concat" and len(node.input) == 2 else None
        tail = values.get(node.input[1]) if axis is not None else None
        rank = len(known.get(node.output[0], ()))
        if tail is None or np.any(tail) or node.input[0] in values or axis % rank < 2:
            continue
        pads = [0] * (2 * rank)
        pads[rank + axis % rank] = tail.shape[axis]
        source = node.input[0]
        before = made.get(source)
        if before is not None and before.op_type == "Pad" and len(used[source]) == 1:
            pads = [a + b for a, b in zip(pads, constants(graph)[before.input[1]].tolist(), strict=True)]
            source = before.input[0]
            nodes[nodes.index(before)] = None
        name = f"{node.output[0]}.pads"
        graph.initializer.append(numpy_helper.from_array(np.asarray(pads, np.int64), name))
        nodes[place] = helper.make_node("Pad", [source, name], node.output, name=node.name, mode="constant")
        made[node.output[0]] = nodes[place]
    replace_nodes(graph, [node for node in nodes if node is not None])
    prune(graph)


def split_channels(model: onnx.ModelProto, parts: dict[str, int]) -> None:
    """The one output becomes one output per part, in place: ``parts`` is output name → number of channels.

    Where a convolution makes it, each part gets a convolution of its own, with its share of the kernels (the same
    numbers): so that a quantiser can leave one task's layer in float. Else the parts are sliced from it.
    """
    graph = model.graph
    (whole,) = graph.output
    conv = producers(graph)[whole.name]
    values = constants(graph)
    alone = whole.name not in consumers(graph)
    by_convolution = conv.op_type == "Conv" and attribute(conv, "group", 1) == 1 and alone
    edges = np.cumsum([0, *parts.values()]).tolist()
    outputs = []
    for name, first, last in zip(parts, edges, edges[1:], strict=False):
        node = _share if by_convolution else _slice
        graph.node.append(node(graph, conv, name, (first, last), values))
        out = deepcopy(whole)
        out.name = name
        out.type.tensor_type.shape.dim[1].dim_value = last - first
        outputs.append(out)
    del graph.output[:]
    graph.output.extend(outputs)
    prune(graph)


def _share(graph, conv, name: str, channels: tuple[int, int], values: dict[str, np.ndarray]) -> onnx.NodeProto:
    """The convolution of these output channels alone."""
    layer = f"{conv.input[1].rpartition('.')[0]}.{name.removesuffix('_logits')}"
    inputs = [conv.input[0]]
    for parameter in conv.input[1:]:
        part = f"{layer}.{parameter.rpartition('.')[2]}"
        share = np.ascontiguousarray(values[parameter][slice(*channels)])
        graph.initializer.append(numpy_helper.from_array(share, part))
        inputs.append(part)
    node = helper.make_node("Conv", inputs, [name], name=layer)
    node.attribute.extend(conv.attribute)
    return node


def _slice(graph, source, name: str, channels: tuple[int, int], values: dict[str, np.ndarray]) -> onnx.NodeProto:
    inputs = [source.output[0]]
    for what, value in (("starts", channels[0]), ("ends", channels[1]), ("axes", 1)):
        graph.initializer.append(numpy_helper.from_array(np.asarray([value], np.int64), f"{name}.{what}"))
        inputs.append(f"{name}.{what}")
    return helper.make_node("Slice", inputs, [name], name=name)
