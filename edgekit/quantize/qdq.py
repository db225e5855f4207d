"""Writing quantization into a graph as QuantizeLinear/DequantizeLinear pairs, in the style of either runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Literal

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from edgekit.engine.calibration_cache import symmetric_scale
from edgekit.graphs.check import checked
from edgekit.graphs.draft import prune, replace_nodes
from edgekit.graphs.halve import halved
from edgekit.graphs.opset import at_opset
from edgekit.quantize.onnxruntime_style import onnxruntime_placement
from edgekit.quantize.parameters import (
    INT8_MOST,
    REDUCED_MOST,
    Range,
    in_float16,
    per_channel,
    to_int8,
    to_int32,
    unsigned,
    with_room_for_bias,
)
from edgekit.quantize.placement import Edge, IntegerPlacement, weight_axis
from edgekit.quantize.tensorrt_style import tensorrt_placement
from edgekit.quantize.topology import Topology, named

QdqStyle = Literal["onnxruntime", "tensorrt"]

OPSET, HALF_OPSET = 17, 19  # QuantizeLinear takes float16 from 19 on


def write_qdq(
    model: ModelProto,
    ranges: Mapping[str, Range],
    *,
    style: QdqStyle = "onnxruntime",
    dtype: Literal["float32", "float16"] = "float32",
    keep_float: Collection[str] = frozenset(),
    reduce_range: bool = False,
) -> ModelProto:
    """The float32 graph with Q/DQ; its tensors, inputs and outputs keep their names.

    onnxruntime  U8 activations, S8 weights per channel as integers, S32 biases; opset 17
    tensorrt     S8, zero-point 0; weights float behind Q→DQ per channel, biases float. ``dtype`` float32: for weakly
                 typed networks, opset 17; float16: for strongly typed ones, all of the graph and the scales in float16,
                 its input and outputs too, opset 19

    ``keep_float``: names of layers (nodes) left in float, with a float input. ``reduce_range``: weights of 7 bits,
    for x86 without VNNI, whose 16-bit sums saturate. Outputs come from float layers.
    """
    topology = Topology(named(model))
    if style == "tensorrt":
        half = dtype == "float16"
        placement = tensorrt_placement(topology, ranges, keep_float)
        written = _Writer(topology, ranges, placement, symmetric=True, half=half).written()
        written = halved(at_opset(written, HALF_OPSET)) if half else at_opset(written, OPSET)
        return _checked(written, HALF_OPSET if half else OPSET)
    if dtype != "float32":
        raise ValueError(f"onnxruntime's integer kernels want scales in float32, not {dtype}")
    placement = onnxruntime_placement(topology, ranges, keep_float)
    most = REDUCED_MOST if reduce_range else INT8_MOST
    writer = _Writer(topology, ranges, placement, symmetric=False, most=most)
    return _checked(at_opset(writer.written(), OPSET), OPSET)


def _checked(model: ModelProto, opset: int) -> ModelProto:
    model = checked(model, opset)
    del model.graph.value_info[:]
    return model


class _Writer:
    def __init__(
        self,
        topology: Topology,
        ranges: Mapping[str, Range],
        placement: IntegerPlacement,
        *,
        symmetric: bool,
        half: bool = False,
        most: int = INT8_MOST,
    ):
        self._topology = topology
        self._nodes = {node.name: node for node in topology.model.graph.node}
        self._placement = placement
        self._ranges = self._complete(ranges)
        self._symmetric = symmetric
        self._half = half
        self._most = most
        self._new: list[onnx.TensorProto] = []
        self._made: set[str] = set()

    def written(self) -> ModelProto:
        model = self._topology.model
        graph = model.graph
        read = {self._tensor_of(edge) for edge in self._placement.readings}
        given = [*self._topology.inputs, *self._topology.initializers]
        nodes = [n for name in given if name in read for n in self._pair(name)]
        layers = set(self._placement.layers)
        for original in graph.node:
            node = deepcopy(original)
            for index, name in enumerate(original.input):
                if (original.name, index) in self._placement.readings:
                    node.input[index] = f"{name}.dequantized"
            if original.name in layers:
                nodes += self._weights(original, node)
            nodes.append(node)
            for name in original.output:
                if name in read:
                    nodes += self._pair(name)
        graph.initializer.extend(self._new)
        replace_nodes(graph, nodes)
        del graph.value_info[:]
        prune(graph)
        return model

    def _pair(self, name: str) -> list[NodeProto]:
        """Q → DQ of a tensor."""
        if self._symmetric:
            scale, zero = self._storable(symmetric_scale(*self._ranges[name])), np.int8(0)
        else:
            scale, zero = unsigned(self._ranges[name])
        return _q_dq(name, name, self._parameters(name, scale, zero), f"{name}.dequantized")

    def _weights(self, layer: NodeProto, node: NodeProto) -> list[NodeProto]:
        """Nodes that make the layer's weights (and bias) from integers; ``node`` is made to read them."""
        weight, axis = self._topology.value(layer.input[1]), weight_axis(layer)
        stem = f"{layer.name}.weight"
        scales = per_channel(weight, axis, self._most)
        node.input[1] = f"{stem}.dequantized"
        if self._symmetric:
            parameters = self._parameters(stem, self._storable(scales), np.zeros(scales.shape, np.int8))
            return _q_dq(layer.input[1], stem, parameters, node.input[1], axis=axis)
        input_scale, _ = unsigned(self._ranges[layer.input[0]])
        bias = layer.input[2] if len(layer.input) > 2 and layer.input[2] in self._topology.constants else None
        if bias:
            scales = with_room_for_bias(scales, input_scale, self._topology.value(bias).reshape(-1))
        integers = self._constant(f"{stem}.quantized", to_int8(weight, scales, axis, self._most))
        parameters = self._parameters(stem, scales, np.zeros(scales.shape, np.int8))
        made = [_dq(integers, stem, parameters, node.input[1], axis=axis)]
        if bias:
            name = f"{layer.name}.bias"
            steps = (input_scale * scales).astype(np.float32)
            parameters = self._parameters(name, steps, np.zeros(steps.shape, np.int32))
            value = to_int32(self._topology.value(bias).reshape(-1), steps)
            node.input[2] = f"{name}.dequantized"
            made.append(_dq(self._constant(f"{name}.quantized", value), name, parameters, node.input[2], axis=0))
        return made

    def _complete(self, ranges: Mapping[str, Range]) -> dict[str, Range]:
        """Ranges of constants that are read like activations too: that of the Concat that joins them, or their own."""
        out = dict(ranges)
        for name in {self._tensor_of(e) for e in self._placement.readings} & self._topology.constants:
            joined = [n for n, _ in self._topology.consumers[name] if n.op_type == "Concat" and n.output[0] in ranges]
            value = self._topology.value(name)
            out[name] = ranges[joined[0].output[0]] if joined else (float(value.min()), float(value.max()))
        return out

    def _storable(self, scales: np.ndarray) -> np.ndarray:
        return in_float16(scales) if self._half else scales

    def _tensor_of(self, edge: Edge) -> str:
        return self._nodes[edge[0]].input[edge[1]]

    def _parameters(self, name: str, scale: np.ndarray, zero: np.ndarray) -> list[str]:
        return [self._constant(f"{name}.scale", scale), self._constant(f"{name}.zero_point", zero)]

    def _constant(self, name: str, value: np.ndarray) -> str:
        if name not in self._made:
            self._made.add(name)
            self._new.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _q_dq(source: str, name: str, parameters: list[str], out: str, **attributes: int) -> list[NodeProto]:
    integers = f"{name}.quantized"
    quantize = helper.make_node("QuantizeLinear", [source, *parameters], [integers], f"{name}.quantize", **attributes)
    return [quantize, _dq(integers, name, parameters, out, **attributes)]


def _dq(integers: str, name: str, parameters: list[str], out: str, **attributes: int) -> NodeProto:
    return helper.make_node("DequantizeLinear", [integers, *parameters], [out], f"{name}.dequantize", **attributes)
