"""The lint rule for convolutions that are too thin for INT8."""

from __future__ import annotations

from onnx import NodeProto

from edgekit.graphs.thin import Convolution, convolution, why_not_int8
from edgekit.preflight.finding import Finding, Target
from edgekit.preflight.network import QUANTIZERS, Network

RULE = "thin"


def convolution_of(network: Network, node: NodeProto) -> Convolution | None:
    """A convolution with weights of known shape. The first one may stand behind the pre-processing."""
    weights = network.shape(node.input[1]) if len(node.input) > 1 else None
    through = (*QUANTIZERS, "Cast", "Transpose", "Sub", "Mul", "Div")
    return convolution(node, weights, bool(node.input) and network.source(node.input[0], through) in network.inputs)


def thin(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """A convolution to leave in float. In a graph with Q/DQ only those that are quantized."""
    conv = convolution_of(network, node)
    if conv is None or (network.has_qdq and not network.is_quantized(node.input[0])):
        return None
    why = why_not_int8(conv)
    if why is None:
        return None
    if network.has_qdq:
        change = "leave it in float: no Q/DQ before it"
        return Finding(RULE, "slow", f"INT8 is slower than FP16 with {why}", change)
    change = "quantizing leaves it in float; to gain from INT8 make its channels multiples of 16"
    return Finding(RULE, "slow", f"INT8 would be slower than FP16 with {why}", change)
