"""Editing a graph: appending nodes with constants, and leaving out what nothing reads."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.graphs.read import Shape, names_used


class Draft:
    """A copy of a model to add nodes to.

    ``prefix`` begins the name of every tensor and constant added, so that none collides with the graph's own.
    """

    def __init__(self, model: onnx.ModelProto, prefix: str = ""):
        self.model = deepcopy(model)
        self._prefix = prefix
        self._constants = {tensor.name for tensor in self.model.graph.initializer}

    @classmethod
    def within(cls, other: Draft, prefix: str) -> Draft:
        """Another prefix for the same model, which is not copied."""
        out = cls.__new__(cls)
        out.model, out._prefix, out._constants = other.model, prefix, other._constants
        return out

    @property
    def graph(self) -> onnx.GraphProto:
        return self.model.graph

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """An initialiser; a second one of the same name is the first one. Returns its full name."""
        full = f"{self._prefix}{name}"
        if full not in self._constants:
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), full))
            self._constants.add(full)
        return full

    def node(self, op: str, inputs: Sequence[str], output: str, *, plain: bool = False, **attributes: Any) -> str:
        """Append a node with one output, named like it (without the prefix if ``plain``); returns the output's name."""
        name = output if plain else f"{self._prefix}{output}"
        self.graph.node.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def cast(self, tensor: str, dtype: str, output: str, *, plain: bool = False) -> str:
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", [tensor], output, plain=plain, to=to)

    def inputs(self, values: Sequence[onnx.ValueInfoProto]) -> None:
        """Replace the graph's inputs."""
        del self.graph.input[:]
        self.graph.input.extend(values)

    def outputs(self, values: Sequence[onnx.ValueInfoProto]) -> None:
        """Replace the graph's outputs, and leave out what none of them needs."""
        del self.graph.output[:]
        self.graph.output.extend(values)
        prune(self.graph)


def value_info(name: str, dtype: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))


def prune(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output depends on, in place."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    kept.reverse()
    replace_nodes(graph, kept)
    used = set(names_used(graph))
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def replace_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Make ``nodes`` the graph's nodes; they may be the graph's own nodes."""
    copies = [deepcopy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Rename tensors everywhere, in place: nodes, constants, inputs, outputs. Inferred shapes are dropped."""
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
        for i, name in enumerate(node.output):
            node.output[i] = names.get(name, name)
    for value in (*graph.initializer, *graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    del graph.value_info[:]
