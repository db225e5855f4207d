"""Where a graph is quantized: which inputs of which nodes, and which layers have integer weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnx import NodeProto

from edgekit.graphs.read import attribute
from edgekit.quantize.topology import Topology

Edge = tuple[str, int]
"""(name of a node, index of its input)."""


@dataclass
class IntegerPlacement:
    """readings: edges that read the tensor's quantized values; layers: nodes with integer weights, in order."""

    readings: set[Edge] = field(default_factory=set)
    layers: list[str] = field(default_factory=list)


def weight_axis(node: NodeProto) -> int:
    """The axis of a layer's weights that holds its output channels."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return 1  # ConvTranspose (in, out, h, w); MatMul (k, n)


def makers(topology: Topology, tensor: str) -> NodeProto | None:
    """The node that makes the tensor, seen through the activation fused into it."""
    node = topology.producers.get(tensor)
    while node is not None and topology.is_fused_away(node.input[0]):
        node = topology.producers[node.input[0]]
    return node
