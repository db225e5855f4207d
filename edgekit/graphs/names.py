"""Readable names that do not change from export to export.

A tensor is called by the module whose weights made it (``stem.0.0``), after an operator of one input by that input
(``stem.0.0.relu``; constants do not count), else by operator and count (``add_1``). A node is called like the module
whose weights it has, else like its first output.
"""

from __future__ import annotations

from copy import deepcopy

import onnx

from edgekit.graphs.draft import rename

_PARAMETERS = (".weight", ".bias")


def readable(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with such names; ``network.`` is taken off the weights'. Inputs and outputs keep theirs.

    What a compiler noted beside the graph (source lines, paths of the machine) is dropped.
    """
    out = deepcopy(model)
    graph = out.graph
    _forget_origins(out)
    names = {t.name: t.name.removeprefix("network.") for t in graph.initializer}
    constants = set(names)
    fixed = {v.name for v in (*graph.input, *graph.output)}
    taken = fixed | set(names.values())
    counts: dict[str, int] = {}
    for node in graph.node:
        for tensor in node.output:
            if not tensor or tensor in fixed:
                continue
            name = _base(node, names, constants)
            if name is None or name in taken:
                stem = name or node.op_type.lower()
                counts[stem] = counts.get(stem, 0) + 1
                # a module that is used twice: its second output is its name and 2
                name = f"{stem}_{counts[stem] + (name is not None)}"
            taken.add(name)
            names[tensor] = name
    names = _name_constants(graph, names)
    rename(graph, names)
    for node in graph.node:
        node.name = _owner_of([i for i in node.input if i.endswith(_PARAMETERS)] or [f"{node.output[0]}."])
    return out


def _base(node: onnx.NodeProto, names: dict[str, str], constants: set[str]) -> str | None:
    weights = [names[i] for i in node.input if i in constants and names[i].endswith(_PARAMETERS)]
    if weights:
        return _owner_of(weights)
    inputs = [i for i in node.input if i and i not in constants]
    if len(inputs) == 1:
        return f"{names.get(inputs[0], inputs[0])}.{node.op_type.lower()}"
    return None


def _owner_of(weights: list[str]) -> str:
    return weights[0].rpartition(".")[0]


def _name_constants(graph: onnx.GraphProto, names: dict[str, str]) -> dict[str, str]:
    """A constant that no module owns is called by the first node that reads it."""
    out = dict(names)
    constants = {t.name for t in graph.initializer}
    named = {name for name in constants if names[name].endswith(_PARAMETERS)}
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in constants and name not in named:
                out[name] = f"{out.get(node.output[0], node.output[0])}.input{place}"
                named.add(name)
    return out


def _forget_origins(model: onnx.ModelProto) -> None:
    graph = model.graph
    model.doc_string = graph.doc_string = ""
    del model.metadata_props[:]
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
