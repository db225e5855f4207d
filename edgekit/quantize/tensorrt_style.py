"""Where TensorRT wants Q/DQ: at the inputs of layers, and at the branch of a sum that no convolution is fused with."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from onnx import NodeProto

from edgekit.graphs.thin import convolution, why_not_int8
from edgekit.quantize.placement import IntegerPlacement
from edgekit.quantize.topology import LAYER_OPERATORS, Topology, is_passing


def tensorrt_placement(
    topology: Topology, ranges: Mapping[str, tuple[float, float]], keep_float: Collection[str]
) -> IntegerPlacement:
    """Inputs of layers are quantized, their outputs are not: TensorRT moves a Q back to what makes the tensor.

    Nothing stands between a convolution and its ReLU, and nothing before a Resize. Of a sum that a layer's input
    depends on, only the identity branch is quantized: the other is the convolution that TensorRT fuses the sum into.
    """
    out = IntegerPlacement()
    carried: set[str] = set()  # tensors that reach an integer layer through sums and what only passes values on
    for node in reversed(topology.model.graph.node):
        if node.name in keep_float or node.output[0] in topology.constants:
            continue
        if node.op_type in LAYER_OPERATORS:
            if node.input[0] not in ranges or (topology.is_layer(node) and is_thin(topology, node)):
                continue
            if topology.is_layer(node):
                out.layers.append(node.name)
                edges = [0]
            elif node.op_type == "MatMul" and node.input[1] in ranges:
                edges = [0, 1]
            else:
                continue
            out.readings.update((node.name, i) for i in edges)
            carried.update(node.input[i] for i in edges)
        elif node.output[0] in carried:
            if node.op_type == "Add":
                edges = [i for i in identities(topology, node) if node.input[i] in ranges]
                out.readings.update((node.name, i) for i in edges)
                carried.update(node.input)
            elif is_passing(node) or node.op_type in ("Concat", "Relu"):
                carried.update(node.input)
    out.layers.reverse()
    return out


def identities(topology: Topology, add: NodeProto) -> list[int]:
    """Inputs of a sum that are not fresh from a layer; all but one where every input is, and none that is constant."""
    moving = [i for i, name in enumerate(add.input) if name not in topology.constants]
    fresh = [i for i in moving if _is_fresh(topology, add.input[i])]
    if len(fresh) == len(moving):
        return fresh[:-1]
    return [i for i in moving if i not in fresh]


def _is_fresh(topology: Topology, tensor: str) -> bool:
    """Whether a layer makes the tensor for this sum alone, with nothing but passing operators between."""
    if len(topology.consumers[tensor]) > 1 or tensor in topology.outputs:
        return False
    node = topology.producers.get(tensor)
    if node is None:
        return False
    if is_passing(node) or node.op_type == "BatchNormalization":
        return _is_fresh(topology, node.input[0])
    return node.op_type in LAYER_OPERATORS


def is_thin(topology: Topology, node: NodeProto) -> bool:
    """Whether a convolution has so few channels that TensorRT runs it slower in INT8 than in FP16."""
    conv = convolution(node, topology.value(node.input[1]).shape, node.input[0] in topology.inputs)
    return conv is not None and why_not_int8(conv) is not None
