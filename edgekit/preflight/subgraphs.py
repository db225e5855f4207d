"""The graphs inside If, Loop and Scan as networks of their own, so that the rules look at their nodes too."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from edgekit.preflight.network import Network

CONTROL_FLOW = ("If", "Loop", "Scan")


def subgraph_networks(network: Network, node: NodeProto) -> Iterator[tuple[str, Network]]:
    """(attribute, network) of every graph that a node runs: ``then_branch``, ``body``."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.name, _network(network, attribute.g)


def _network(outer: Network, graph: GraphProto) -> Network:
    """A subgraph with what it reads of the outer graph: constants as they are, the rest as inputs."""
    model = deepcopy(outer.model)
    model.graph.CopyFrom(graph)
    for name in sorted(_read(graph)):
        value = outer.value(name)
        if value is not None:
            model.graph.initializer.append(numpy_helper.from_array(value, name))
        elif name in outer.types:
            kind = TensorProto.DataType.Value(outer.types[name].upper())
            model.graph.input.append(helper.make_tensor_value_info(name, kind, outer.shapes.get(name)))
    found = Network(model)
    # Inputs and outputs of the engine are those of the graph around it.
    found.inputs = [name for name in found.inputs if name in outer.inputs]
    found.outputs = []
    return found


def _read(graph: GraphProto) -> set[str]:
    """Tensors that a subgraph, and those inside it, read but do not compute."""
    found: set[str] = set()
    made = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        found.update(name for name in node.input if name)
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                found |= _read(attribute.g)
        made.update(node.output)
    found.update(value.name for value in graph.output)
    return found - made
