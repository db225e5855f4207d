"""A graph as the lint rules and the roofline need it: shapes, types, constants, neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import NodeProto, TensorProto, numpy_helper
from onnx.external_data_helper import uses_external_data

from edgekit import limits
from edgekit.errors import EdgekitError, first_line
from edgekit.frames.outside import read_bytes
from edgekit.graphs.read import Shape, attribute, consumers, opset, producers, spatial_places, tensor_shape

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")


class Network:
    """A model with its shapes inferred. Positions of ``nodes`` are the nodes' numbers in every report.

    shapes     tensor → shape; absent where inference does not know it; open dimensions are names
    types      tensor → element type as onnx names it, lower case: ``float``, ``float16``, ``uint8``
    folded     names of tensors that depend on no input: TensorRT computes them while it builds
    not_tensors  inputs that are sequences, maps or optional
    """

    def __init__(self, model: onnx.ModelProto):
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        self.model, self.graph = inferred, inferred.graph
        self.opset = opset(model)
        self.nodes: list[NodeProto] = list(self.graph.node)
        self._initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.inputs = [v.name for v in self.graph.input if v.name not in self._initializers]
        self.outputs = [v.name for v in self.graph.output]
        self.shapes: dict[str, Shape] = {name: tuple(t.dims) for name, t in self._initializers.items()}
        self.types: dict[str, str] = {name: _type_name(t.data_type) for name, t in self._initializers.items()}
        self.not_tensors = [v.name for v in self.graph.input if not v.type.HasField("tensor_type")]
        for value in (*self.graph.input, *self.graph.value_info, *self.graph.output):
            if value.type.HasField("tensor_type"):
                self.types[value.name] = _type_name(value.type.tensor_type.elem_type)
                if value.type.tensor_type.HasField("shape"):
                    self.shapes[value.name] = tensor_shape(value)
        self.producers = producers(self.graph)
        self.consumers = consumers(self.graph)
        self.folded = self._fold()

    def _fold(self) -> set[str]:
        found = set(self._initializers)
        for node in self.nodes:
            inputs = [name for name in node.input if name]
            static = node.op_type in ("Shape", "Size") and all(
                isinstance(side, int) and side for side in self.shapes.get(node.input[0], ("?",))
            )
            if node.op_type not in _RANDOM and (static or all(name in found for name in inputs)):
                found.update(node.output)
        return found

    def is_folded(self, node: NodeProto) -> bool:
        """Whether the node is computed while the engine is built. A weight's Q/DQ is."""
        return all(name in self.folded for name in node.output if name)

    def value(self, name: str) -> np.ndarray | None:
        """A constant's value; None for a tensor that is computed."""
        name = self.source(name, ("Identity",))
        if name in self._initializers:
            return numpy_helper.to_array(self._initializers[name])
        made = self.producers.get(name)
        if made is not None and made.op_type == "Constant":
            value = attribute(made, "value")
            if isinstance(value, TensorProto):
                return numpy_helper.to_array(value)
            plain = next((attribute(made, k) for k in _PLAIN_VALUES if attribute(made, k) is not None), None)
            return None if plain is None else np.asarray(plain)
        return None

    def shape(self, name: str) -> tuple[int, ...] | None:
        """A shape without open dimensions, or None."""
        shape = self.shapes.get(name)
        if shape is None or not all(isinstance(side, int) and side > 0 for side in shape):
            return None
        return shape  # type: ignore[return-value]

    def label(self, node: NodeProto) -> str:
        return node.name or (node.output[0] if node.output else node.op_type)

    def source(self, name: str, through: Sequence[str] = QUANTIZERS) -> str:
        """The tensor that ``name`` is made of, looking back through these operators (default: Q/DQ)."""
        while (made := self.producers.get(name)) is not None and made.op_type in through and made.input:
            name = made.input[0]
        return name

    def is_quantized(self, name: str) -> bool:
        """Whether the tensor comes out of a DequantizeLinear."""
        made = self.producers.get(name)
        return made is not None and made.op_type == "DequantizeLinear"

    @property
    def has_qdq(self) -> bool:
        return any(node.op_type in QUANTIZERS for node in self.nodes)


_PLAIN_VALUES = ("value_float", "value_floats", "value_int", "value_ints")


def _type_name(elem_type: int) -> str:
    return TensorProto.DataType.Name(elem_type).lower()


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """All that are stored: weights, and what attributes hold, in the graphs inside too."""
    yield from graph.initializer
    for node in graph.node:
        for held in node.attribute:
            yield from (*([held.t] if held.HasField("t") else []), *held.tensors)
            for inner in (held.g, *held.graphs):
                yield from _tensors(inner)


def read_onnx(path: Path) -> onnx.ModelProto:
    """An ONNX file. EdgekitError where it is missing, not ONNX, or not a valid graph."""
    fix = "give an ONNX file, a bundle, or a student's name (edgekit students lists them)"
    try:
        # no file that a graph names is read, and nothing that never ends
        model = onnx.load_from_string(read_bytes(path, what="the graph", fix=fix))
        tensors = list(_tensors(model.graph))
        outside = next((t.name for t in tensors if uses_external_data(t)), None)
        if outside is not None:
            raise EdgekitError(
                f"the graph keeps '{outside}' in another file",
                where=str(path),
                fix="save it as one file: onnx.save(onnx.load(FILE), NEW)",
            )
        if len(model.graph.node) > limits.GRAPH_NODES:
            raise ValueError(f"{len(model.graph.node):,} nodes, and at most {limits.GRAPH_NODES:,} are read")
        for tensor in tensors:
            numpy_helper.to_array(tensor)  # as it says, whole: the checker does not look
        onnx.checker.check_model(model)
    except FileNotFoundError as error:
        raise EdgekitError(f"a file is missing: {error}", where=str(path), fix=fix) from error
    except (DecodeError, onnx.checker.ValidationError, ValueError, TypeError, KeyError) as error:
        raise EdgekitError(f"this is not a whole ONNX graph: {first_line(error)}", where=str(path), fix=fix) from error
    return model


def network_of(model: onnx.ModelProto, where: str, size: tuple[int, int] | None = None) -> Network:
    """The model at one frame of ``size`` (H, W), where its input leaves the size open.

    EdgekitError where the graph has another fixed size, or does not infer.
    """
    fixed = deepcopy(model)
    constants = {tensor.name for tensor in fixed.graph.initializer}
    for value in fixed.graph.input:
        if value.name not in constants and value.type.HasField("tensor_type"):
            _fix_input(value, size, where)
    del fixed.graph.value_info[:]  # inferred for the open dimensions
    for value in fixed.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.Clear()
    try:
        return Network(fixed)
    except onnx.shape_inference.InferenceError as error:
        raise EdgekitError(
            f"the shapes of this graph do not fit each other: {first_line(error)}",
            where=where,
            fix="give --size a size that the network takes, e.g. 544x960" if size else "export the graph again",
        ) from error


def _fix_input(value: onnx.ValueInfoProto, size: tuple[int, int] | None, where: str) -> None:
    dims = value.type.tensor_type.shape.dim
    if len(dims) != 4:
        return
    if not dims[0].HasField("dim_value"):
        dims[0].dim_value = 1
    places = spatial_places(tensor_shape(value))
    for place, side in zip(places, size or (), strict=False):
        if dims[place].HasField("dim_value") and dims[place].dim_value != side:
            found = "x".join(str(dims[p].dim_value) for p in places)
            raise EdgekitError(
                f"the graph is made for frames of {found}, not {size[0]}x{size[1]}",
                where=f"{where}: {value.name}",
                fix="leave --size out, or export the graph at that size",
            )
        dims[place].dim_value = side
