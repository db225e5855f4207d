"""Where onnxruntime's CPU kernels take integers.

Its optimizer turns a node whose every input is dequantized and whose output is quantized again into an integer kernel.
So every tensor between such nodes is quantized, and none of those that a layer left in float reads. ConvTranspose has
no such kernel and runs in float between integers; its weights are stored as integers all the same, because onnxruntime
would otherwise quantize them itself, per tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from onnx import NodeProto

from edgekit.quantize.placement import IntegerPlacement, makers
from edgekit.quantize.topology import LAYER_OPERATORS, Topology

OTHER_KERNELS = frozenset({
    "Add", "AveragePool", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Mul", "Reshape", "Resize",
    "Sigmoid", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip
"""Operators with an integer kernel, or that move integers as they are."""


def onnxruntime_placement(
    topology: Topology, ranges: Mapping[str, tuple[float, float]], keep_float: Collection[str]
) -> IntegerPlacement:
    """From the outputs back: a node is integer where its output is wanted as integers, and then wants its inputs so."""
    wanted: set[str] = set()
    out = IntegerPlacement()
    for node in reversed(topology.model.graph.node):
        if node.output[0] in topology.constants:
            continue
        whole = [i for i, name in enumerate(node.input) if name in ranges or _is_joined_constant(topology, node, i)]
        if node.name in keep_float:
            continue
        if topology.is_layer(node):
            if node.input[0] not in ranges:
                continue
            out.layers.append(node.name)
            edges = [0]
        elif node.op_type in OTHER_KERNELS:
            edges = whole if node.output[0] in wanted and _is_complete(topology, node, ranges) else []
        elif topology.is_fused_away(node.input[0]):
            continue  # an activation reads what the node before it has just computed
        else:
            # A float operator behind an integer one: with anything but a quantized output that one would be float too.
            edges = [i for i in whole if _is_integer(topology, node.input[i], keep_float)]
        out.readings.update((node.name, i) for i in edges)
        wanted.update(node.input[i] for i in edges)
    out.layers.reverse()
    return out


def _is_joined_constant(topology: Topology, node: NodeProto, index: int) -> bool:
    """Whether the input is a constant that has to be quantized as activations are."""
    name = node.input[index]
    return node.op_type in ("Add", "Concat", "Mul") and name in topology.constants and name in topology.floats


def _is_complete(topology: Topology, node: NodeProto, ranges: Mapping[str, tuple[float, float]]) -> bool:
    """Whether every float activation it reads has a range."""
    return all(n in ranges for n in node.input if n in topology.floats and n not in topology.constants)


def _is_integer(topology: Topology, tensor: str, keep_float: Collection[str]) -> bool:
    maker = makers(topology, tensor)
    return maker is not None and maker.name not in keep_float and maker.op_type in LAYER_OPERATORS | OTHER_KERNELS
