"""Convolutions with so few channels that TensorRT runs them slower in INT8 than in FP16."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from edgekit.graphs.read import attribute
from edgekit.preflight.finding import Finding, Target
from edgekit.preflight.network import QUANTIZERS, Network

CONVOLUTIONS = ("Conv", "ConvTranspose")
THIN = 16
RULE = "thin"


@dataclass(frozen=True)
class Convolution:
    """``c_in`` and ``c_out`` are all channels, not those of one group."""

    c_in: int
    c_out: int
    groups: int
    kernel: tuple[int, ...]
    is_first: bool


def convolution(network: Network, node: NodeProto) -> Convolution | None:
    """What a convolution's weights say; None for another node, or weights whose shape is not known."""
    shape = network.shape(node.input[1]) if node.op_type in CONVOLUTIONS and len(node.input) > 1 else None
    if shape is None or len(shape) < 3:
        return None
    groups = attribute(node, "group", 1)
    c_out, c_in = shape[0], shape[1] * groups
    if node.op_type == "ConvTranspose":
        c_in, c_out = shape[0], shape[1] * groups
    through = (*QUANTIZERS, "Cast", "Transpose", "Sub", "Mul", "Div")  # pre-processing stands before the first layer
    return Convolution(c_in, c_out, groups, shape[2:], network.source(node.input[0], through) in network.inputs)


def why_not_int8(conv: Convolution) -> str | None:
    """Why INT8 does not pay for this convolution; None where it may."""
    depthwise = conv.groups == conv.c_in == conv.c_out
    if conv.groups > 1 and not depthwise and (conv.c_in // conv.groups % 4 or conv.c_out // conv.groups % 4):
        return f"{conv.c_in // conv.groups} to {conv.c_out // conv.groups} channels a group, no multiple of 4"
    if min(conv.c_in, conv.c_out) >= THIN:
        return None
    channels = f"{conv.c_in} to {conv.c_out} channels"
    if conv.groups > 1:
        pays = conv.c_out % 8 == 0 and min(conv.kernel) >= 3
        return None if pays else f"{channels} in {conv.groups} groups, {_by(conv.kernel)}"
    square = len(set(conv.kernel)) == 1
    by_eight = conv.c_in % 8 == 0 or conv.c_out % 8 == 0
    pays = square and by_eight and (max(conv.c_in, conv.c_out) >= THIN or conv.is_first)
    return None if pays else f"{channels}, {_by(conv.kernel)}"


def thin(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """A convolution to leave in float. In a graph with Q/DQ only those that are quantized."""
    conv = convolution(network, node)
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


def _by(kernel: tuple[int, ...]) -> str:
    return "×".join(map(str, kernel))
