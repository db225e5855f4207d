"""A graph with Q/DQ as a torch module whose weights can be trained: rounding passes gradients as if it were not there.

Quantization-aware training: Jacob et al., arXiv 1712.05877; the gradient of a scale: Esser et al., arXiv 1902.08153.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from onnx import ModelProto, NodeProto, numpy_helper
from torch import Tensor, nn

from edgekit.graphs.read import attribute, constants
from edgekit.quantize.parameters import INT8_MOST, largest, with_room_for_bias
from edgekit.quantize.placement import weight_axis
from edgekit.quantize.topology import LAYER_OPERATORS, Topology


class UnknownOperatorError(Exception):
    """An operator that has no differentiable form here."""


class DifferentiableGraph(nn.Module):
    """A float graph, computed as ``quantized`` computes it: {input} (1, C, H, W) → every output by name.

    ``quantized``: what ``write_qdq`` made of ``model``, or ``model`` itself. Weights and biases of its layers are
    parameters; scales of weights follow them, as they do when the graph is written; scales of activations stay.
    UnknownOperatorError for an operator that no student of edgekit has.
    """

    def __init__(self, model: ModelProto, quantized: ModelProto):
        super().__init__()
        topology = Topology(model)
        self._layers = {node.name: node for node in topology.layers()}
        self._nodes = list(quantized.graph.node)
        self._input = quantized.graph.input[0].name
        self._outputs = [value.name for value in quantized.graph.output]
        self._constants = {name: torch.from_numpy(value.copy()) for name, value in constants(quantized.graph).items()}
        named = {name for node in self._layers.values() for name in node.input[1:3] if name}
        self._weights = {n: nn.Parameter(torch.from_numpy(topology.value(n).copy())) for n in sorted(named)}
        for index, value in enumerate(self._weights.values()):  # names of a graph may hold dots
            self.register_parameter(f"weight{index}", value)
        self._most = {name: self._largest_integer(node) for name, node in self._layers.items()}
        if not named <= set(topology.initializers):
            raise UnknownOperatorError("a layer whose weights are computed")
        unknown = sorted({n.op_type for n in self._nodes} - _OPERATORS.keys() - LAYER_OPERATORS - _PAIR)
        if unknown or (moved := sorted(n.op_type for n in self._layers.values() if n.op_type not in _LAYERS)):
            raise UnknownOperatorError((unknown or moved)[0])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        known: dict[str, Tensor] = {**self._constants, **self._weights, self._input: x}
        for node in self._nodes:
            inputs = [known.get(name) if name else None for name in node.input]
            if node.name in self._layers:
                weight, bias = self._of_layer(node, known)
                known[node.output[0]] = _LAYERS[node.op_type](node, inputs[0], weight, bias)
            elif node.op_type == "QuantizeLinear":
                if node.input[0] not in self._weights:
                    known[node.output[0]] = _rounded(*inputs)
            elif node.op_type == "DequantizeLinear":
                known[node.output[0]] = inputs[0]
            else:
                known[node.output[0]] = _OPERATORS[node.op_type](node, *inputs)
        return {name: known[name] for name in self._outputs}

    def trained(self, model: ModelProto) -> ModelProto:
        """The float graph that this was made of, with the weights and biases as they are now."""
        out = deepcopy(model)
        for tensor in out.graph.initializer:
            if tensor.name in self._weights:
                value = self._weights[tensor.name].detach().numpy().reshape(tuple(tensor.dims))
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
        return out

    def _of_layer(self, node: NodeProto, known: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """The layer's weight and bias, as the integers that are written for them stand for."""
        layer = self._layers[node.name]
        weight = self._weights[layer.input[1]]
        bias = self._weights[layer.input[2]] if len(layer.input) > 2 and layer.input[2] else None
        if node.input[1] == layer.input[1]:  # left in float
            return weight, bias
        axis, most = weight_axis(layer), self._most[node.name]
        scales = _per_channel(weight, axis, most)
        rounded = bias
        if bias is not None and node.input[2] != layer.input[2]:  # integers too
            step = self._constants[f"{node.input[0].removesuffix('.dequantized')}.scale"]
            room = with_room_for_bias(scales.detach().numpy(), step.numpy(), bias.detach().numpy().reshape(-1))
            scales = torch.where(torch.from_numpy(room) > scales, torch.from_numpy(room), scales)
            rounded = _in_steps(bias, (step * scales).reshape(bias.shape), np.iinfo(np.int32).max)
        return _in_steps(weight, scales.reshape([-1 if a == axis else 1 for a in range(weight.ndim)]), most), rounded

    def _largest_integer(self, layer: NodeProto) -> int:
        """Of the layer's weights as they were written: 127, or 64 with ``reduce_range``."""
        scales = self._constants.get(f"{layer.name}.weight.scale")
        if scales is None:
            return INT8_MOST
        steps = largest(self._weights[layer.input[1]].detach().numpy(), weight_axis(layer)) / scales.numpy()
        return round(float(steps.max()))  # of a channel whose scale was not raised


def _per_channel(weight: Tensor, axis: int, most: int) -> Tensor:
    """``parameters.per_channel``, with its gradient."""
    found = weight.abs().amax(dim=[a for a in range(weight.ndim) if a != axis]) / most
    return torch.where(found < torch.finfo(torch.float32).tiny, torch.ones_like(found), found)


def _in_steps(value: Tensor, size: Tensor, most: int) -> Tensor:
    steps = value / size
    return (steps + (steps.round().clamp(-most, most) - steps).detach()) * size


def _rounded(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """Integers of the type of ``zero``, as the values that they stand for. Values out of range pass no gradient."""
    info, scale, zero = torch.iinfo(zero.dtype), scale.float(), zero.float()
    inside = torch.maximum(torch.minimum(x, (info.max - zero) * scale), (info.min - zero) * scale)
    integers = ((x.detach() / scale).round() + zero).clamp(info.min, info.max)
    return inside + ((integers - zero) * scale - inside.detach())


def _convolution(node: NodeProto, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    pads = attribute(node, "pads", [0] * 4)
    if pads[:2] != pads[2:]:
        x, pads = F.pad(x, (pads[1], pads[3], pads[0], pads[2])), [0, 0]
    stride, dilation = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
    return F.conv2d(x, weight, bias, stride, pads[:2], dilation, attribute(node, "group", 1))


def _transposed(node: NodeProto, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    pads, extra = attribute(node, "pads", [0] * 4), attribute(node, "output_padding", [0, 0])
    if pads[:2] != pads[2:]:
        raise UnknownOperatorError("ConvTranspose with uneven pads")
    stride, dilation = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
    return F.conv_transpose2d(x, weight, bias, stride, pads[:2], extra, attribute(node, "group", 1), dilation)


def _resized(node: NodeProto, x: Tensor, region=None, scales=None, sizes=None) -> Tensor:
    mode, way = attribute(node, "mode", b"nearest"), attribute(node, "coordinate_transformation_mode", b"half_pixel")
    size = (
        sizes[2:].tolist()
        if sizes is not None
        else [round(s * f) for s, f in zip(x.shape[2:], scales[2:].tolist(), strict=True)]
    )
    if mode == b"linear" and way in (b"half_pixel", b"pytorch_half_pixel"):
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    if mode == b"nearest" and way == b"asymmetric" and attribute(node, "nearest_mode") == b"floor":
        return F.interpolate(x, size=size, mode="nearest")
    raise UnknownOperatorError(f"Resize of mode {mode.decode()}, {way.decode()}")


def _padded(node: NodeProto, x: Tensor, pads: Tensor, value: Tensor | None = None, *rest) -> Tensor:
    before, after = pads.tolist()[: x.ndim], pads.tolist()[x.ndim :]
    ends = [end for pair in reversed(list(zip(before, after, strict=True))) for end in pair]
    return F.pad(x, ends, value=0.0 if value is None else float(value))


_LAYERS: dict[str, Callable[..., Tensor]] = {"Conv": _convolution, "ConvTranspose": _transposed}
_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda node, a, b: a + b,
    "Concat": lambda node, *parts: torch.cat(parts, attribute(node, "axis")),
    "Identity": lambda node, x: x,
    "Pad": _padded,
    "Relu": lambda node, x: F.relu(x),
    "Resize": _resized,
}
_PAIR = {"QuantizeLinear", "DequantizeLinear"}
