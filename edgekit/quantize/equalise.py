"""Cross-layer equalisation: factors move from one layer's weights to the next's until channels have similar ranges.

Nagel et al., "Data-free quantization through weight equalization and bias correction", arXiv 1906.04721: ReLU and all
that passes channels on by sums with positive factors commute with a positive factor per channel.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

from edgekit.graphs.read import attribute
from edgekit.quantize.parameters import along, largest
from edgekit.quantize.placement import weight_axis
from edgekit.quantize.topology import LAYER_OPERATORS, Topology, named

_SWEEPS = 20
_SETTLED = 1e-3
_NEGLIGIBLE = 1e-3

_HOMOGENEOUS = frozenset({"AveragePool", "GlobalAveragePool", "Identity", "LeakyRelu", "MaxPool", "Relu", "Resize"})
"""f(s·x) = s·f(x) for s > 0 per channel, and no channel mixes with another."""


@dataclass
class _Tie:
    """Tensors whose channels scale together, with the layers that make and read them."""

    makers: list[NodeProto] = field(default_factory=list)
    readers: list[NodeProto] = field(default_factory=list)


def equalise(model: ModelProto) -> ModelProto:
    """The same function with weights W1/s and s·W2 for s = √(max|W1| / max|W2|) per channel, until nothing changes.

    Through a sum, its branches and all their makers and readers scale together. What touches the graph's input or
    output, a Concat or an operator that is not homogeneous stays as it is. Copies; names stay.
    """
    model = named(model)
    topology = Topology(model)
    tensors = {t.name: t for t in model.graph.initializer}
    values = {name: numpy_helper.to_array(t).astype(np.float64) for name, t in tensors.items()}
    ties = _ties(topology)
    for _ in range(_SWEEPS):
        change = max((_balance(tie, values) for tie in ties), default=0.0)
        if change < _SETTLED:
            break
    for name in {i for tie in ties for node in (*tie.makers, *tie.readers) for i in node.input[1:] if i}:
        tensors[name].CopyFrom(numpy_helper.from_array(values[name].astype(np.float32), name))
    return model


def _balance(tie: _Tie, values: dict[str, np.ndarray]) -> float:
    """Scale one tie's channels; returns the largest |log s|."""
    out = np.max([largest(values[n.input[1]], weight_axis(n)) for n in tie.makers], axis=0)
    into = np.max([largest(values[n.input[1]], _in_axis(n)) for n in tie.readers], axis=0)
    # A channel that training has silenced: its tiny weights say nothing of its bias, which a factor would blow up.
    live = (out > _NEGLIGIBLE * np.median(out)) & (into > 0)
    if not live.any():
        return 0.0
    s = np.where(live, np.sqrt(np.divide(out, into, out=np.ones_like(out), where=live)), 1.0)
    s = np.where(live, s, np.median(s[live]))
    for node in tie.makers:
        _scale(values, node.input[1], 1.0 / s, weight_axis(node))
        if len(node.input) > 2 and node.input[2]:
            values[node.input[2]] = values[node.input[2]] / s
    for node in tie.readers:
        _scale(values, node.input[1], s, _in_axis(node))
    return float(np.abs(np.log(s)).max())


def _ties(topology: Topology) -> list[_Tie]:
    """Every set of tensors that can be scaled, found from the tensors outward."""
    shared = Counter(name for node in topology.model.graph.node for name in node.input if name)
    ties, done = [], set()
    for tensor in topology.activations:
        if tensor in done:
            continue
        tie, members, sound = _Tie(), set(), True
        waiting = [tensor]
        while waiting:
            name = waiting.pop()
            if name in members:
                continue
            members.add(name)
            maker = topology.producers.get(name)
            if name in topology.outputs or maker is None:
                sound = False
                continue
            if _is_scalable(topology, maker, shared):
                tie.makers.append(maker)
            elif maker.op_type == "Add" or maker.op_type in _HOMOGENEOUS:
                sound &= _spread(topology, maker, waiting)
            else:
                sound = False
            for reader, index in topology.consumers[name]:
                if index == 0 and _is_scalable(topology, reader, shared):
                    tie.readers.append(reader)
                elif reader.op_type == "Add" or (reader.op_type in _HOMOGENEOUS and index == 0):
                    sound &= _spread(topology, reader, waiting)
                else:
                    sound = False
        done |= members
        channels = {_channels(topology, n, reads=False) for n in tie.makers}
        channels |= {_channels(topology, n, reads=True) for n in tie.readers}
        if sound and tie.makers and tie.readers and len(channels) == 1:
            ties.append(tie)
    return ties


def _spread(topology: Topology, node: NodeProto, waiting: list[str]) -> bool:
    """Tie what the node reads and makes; False where it adds a constant, which would not scale with the rest."""
    inputs = list(node.input) if node.op_type == "Add" else [node.input[0]]
    waiting += [*inputs, node.output[0]]
    return not any(name in topology.constants for name in inputs)


def _is_scalable(topology: Topology, node: NodeProto, shared: Counter) -> bool:
    """Whether the layer's weights and bias are its own to scale."""
    if node.op_type not in LAYER_OPERATORS - {"MatMul", "Gemm"}:
        return False
    own = all(name in topology.initializers and shared[name] == 1 for name in node.input[1:] if name)
    return own and (attribute(node, "group", 1) == 1 or _is_depthwise(topology, node))


def _is_depthwise(topology: Topology, node: NodeProto) -> bool:
    shape = topology.value(node.input[1]).shape
    return node.op_type == "Conv" and attribute(node, "group", 1) == shape[0] and shape[1] == 1


def _channels(topology: Topology, node: NodeProto, *, reads: bool) -> int:
    axis = _in_axis(node) if reads else weight_axis(node)
    return topology.value(node.input[1]).shape[axis]


def _in_axis(node: NodeProto) -> int:
    """The axis of a layer's weights that holds its input channels; a depthwise layer reads channel i with kernel i."""
    return 0 if node.op_type == "ConvTranspose" or attribute(node, "group", 1) > 1 else 1


def _scale(values: dict[str, np.ndarray], name: str, factors: np.ndarray, axis: int) -> None:
    values[name] = values[name] * along(factors, axis, values[name].ndim)
