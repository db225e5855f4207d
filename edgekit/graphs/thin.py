"""Convolutions with so few channels that TensorRT runs them slower in INT8 than in FP16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import NodeProto

from edgekit.graphs.read import attribute

THIN = 16


@dataclass(frozen=True)
class Convolution:
    """``c_in`` and ``c_out`` are all channels, not those of one group."""

    c_in: int
    c_out: int
    groups: int
    kernel: tuple[int, ...]
    is_first: bool


def convolution(node: NodeProto, weights: tuple[int, ...] | None, is_first: bool) -> Convolution | None:
    """What a convolution is, by the shape of its weights; None for another node, or weights of unknown shape."""
    if node.op_type not in ("Conv", "ConvTranspose") or weights is None or len(weights) < 3:
        return None
    groups = attribute(node, "group", 1)
    c_out, c_in = weights[0], weights[1] * groups
    if node.op_type == "ConvTranspose":
        c_in, c_out = weights[0], weights[1] * groups
    return Convolution(c_in, c_out, groups, tuple(weights[2:]), is_first)


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
        return None if pays else f"{channels} in {conv.groups} groups, {by(conv.kernel)}"
    square = len(set(conv.kernel)) == 1
    by_eight = conv.c_in % 8 == 0 or conv.c_out % 8 == 0
    pays = square and by_eight and (max(conv.c_in, conv.c_out) >= THIN or conv.is_first)
    return None if pays else f"{channels}, {by(conv.kernel)}"


def by(numbers: Sequence) -> str:
    """``3×3``."""
    return "×".join(map(str, numbers))
