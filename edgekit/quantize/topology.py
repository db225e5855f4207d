"""An ONNX graph for a quantizer: producers and consumers of tensors, constants, and tensors that share a scale."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgekit.graphs.read import attribute

LAYER_OPERATORS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
"""Operators with weights that are quantized."""

PASSING = frozenset({
    "DepthToSpace", "Flatten", "Identity", "MaxPool", "Reshape", "Resize", "Pad", "Slice", "SpaceToDepth", "Split",
    "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip
"""Ops whose output has no value outside the range of their first input: they keep its scale."""

_FUSED_BY = frozenset({"BatchNormalization", "Clip", "Relu"})
_FUSING = LAYER_OPERATORS | {"Add", "BatchNormalization"}


class Topology:
    """The structure of a model, which must not be edited meanwhile.

    producers    tensor → the node that makes it
    consumers    tensor → (node, index of the input) of every reader
    constants    names of tensors that are the same for every frame
    activations  float tensors that depend on the frame, in the order they are made
    floats       all float tensors
    """

    def __init__(self, model: ModelProto):
        self.model = model
        graph = model.graph
        self.initializers: dict[str, TensorProto] = {t.name: t for t in graph.initializer}
        self.inputs = [i.name for i in graph.input if i.name not in self.initializers]
        self.outputs = {o.name for o in graph.output}
        self.producers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output if name}
        self.consumers: dict[str, list[tuple[NodeProto, int]]] = defaultdict(list)
        self.constants: set[str] = set(self.initializers)
        for node in graph.node:
            for index, name in enumerate(node.input):
                if name:
                    self.consumers[name].append((node, index))
            if all(name in self.constants for name in node.input if name):
                self.constants.update(node.output)
        self.types = _element_types(model)
        self.floats = {name for name, kind in self.types.items() if kind == TensorProto.FLOAT}
        made = [*self.inputs, *(name for node in graph.node for name in node.output)]
        self.activations = [n for n in made if n not in self.constants and n in self.floats]
        self._values: dict[str, np.ndarray] = {}

    def layers(self) -> list[NodeProto]:
        """Nodes with constant weights, in order. The name of each is unique: see ``named``."""
        return [node for node in self.model.graph.node if self.is_layer(node)]

    def is_layer(self, node: NodeProto) -> bool:
        return node.op_type in LAYER_OPERATORS and node.input[1] in self.constants

    def value(self, name: str) -> np.ndarray:
        """The value of a constant tensor."""
        if name not in self._values:
            if name in self.initializers:
                self._values[name] = numpy_helper.to_array(self.initializers[name])
            else:
                self._values[name] = self._computed(name)
        return self._values[name]

    def is_fused_away(self, name: str) -> bool:
        """Whether no runtime ever stores the tensor: a convolution's or a sum's result that one ReLU alone reads."""
        producer, readers = self.producers.get(name), self.consumers[name]
        return (
            producer is not None
            and producer.op_type in _FUSING
            and name not in self.outputs
            and len(readers) == 1
            and readers[0][0].op_type in _FUSED_BY
        )

    def groups(self) -> list[list[str]]:
        """Float tensors that share one range, constants joined to activations among them: those that an op passes on.

        A passing op keeps the scale of what it reads; the inputs and the output of a Concat have one scale, so that
        joining is copying.
        """
        parent: dict[str, str] = {}

        def root(name: str) -> str:
            while parent.setdefault(name, name) != name:
                name = parent[name]
            return name

        for name in self.activations:
            root(name)
        for node in self.model.graph.node:
            if node.output[0] not in parent:
                continue
            for name in node.input if node.op_type == "Concat" else node.input[:1]:
                if (node.op_type == "Concat" or is_passing(node)) and name in self.floats:
                    parent[root(name)] = root(node.output[0])
            if is_passing(node):
                for name in node.output[1:]:
                    parent[root(name)] = root(node.output[0])
        groups: dict[str, list[str]] = defaultdict(list)
        for name in parent:
            groups[root(name)].append(name)
        return list(groups.values())

    def _computed(self, name: str) -> np.ndarray:
        nodes = [n for n in self.model.graph.node if all(o in self.constants for o in n.output)]
        graph = onnx.helper.make_graph(
            nodes,
            "constants",
            [],
            [onnx.helper.make_tensor_value_info(name, self.types[name], None)],
            list(self.initializers.values()),
        )
        only = onnx.helper.make_model(graph, opset_imports=list(self.model.opset_import))
        return ReferenceEvaluator(only).run([name], {})[0]


def is_passing(node: NodeProto) -> bool:
    """Whether the output stays within the range of the first input. Cubic interpolation overshoots."""
    return node.op_type in PASSING and attribute(node, "mode") != b"cubic"


def named(model: ModelProto) -> ModelProto:
    """A copy in which every node has a name of its own."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    seen: set[str] = set()
    for node in model.graph.node:
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}.{node.output[0]}"  # tensors have one producer, so this is unique
        seen.add(node.name)
    return model


def _element_types(model: ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.input, *inferred.output, *inferred.value_info)}
    return {**types, **{t.name: t.data_type for t in inferred.initializer}}
