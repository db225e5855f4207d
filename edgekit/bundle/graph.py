"""A bundle's ONNX file, looked through before a runtime loads it.

Runtimes compute what depends on no input while they load a graph, and run what it says without a bound. A bundle's
graph is a plain sequence of ONNX's own operators whose constants are in the file; how much they compute, and how large
that is, follows from the size of the input alone.
Field numbers: onnx.proto of ONNX 1.18.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit import limits
from edgekit.bundle.manifest import Artifact
from edgekit.bundle.sizes import MOST_VALUES, Node, TensorFacts, node_results
from edgekit.bundle.wire import Message, integers, message, only, signed, text

Value = tuple[str, tuple[int | str, ...]]
"""Type and shape of an input or output; an open side is its name."""

_TYPES = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16), 6: ("int32", 32),
    7: ("int64", 64), 9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64), 12: ("uint32", 32), 13: ("uint64", 64),
    16: ("bfloat16", 16), 17: ("float8e4m3fn", 8), 18: ("float8e4m3fnuz", 8), 19: ("float8e5m2", 8),
    20: ("float8e5m2fnuz", 8), 21: ("uint4", 4), 22: ("int4", 4), 23: ("float4e2m1", 4),
}  # fmt: skip
"""Element type → its name, and bits of an element."""

_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS, _STRINGS, _TENSORS = 1, 2, 3, 4, 6, 7, 8, 9  # types of attributes

_OPTIONAL = {"Clip": (1, 2), "Resize": (1, 2), "Pad": (2,), "Slice": (3,)}
"""Operator → places of inputs that may be left out in front of others. Elsewhere onnxruntime 1.32 crashes."""

_NUMBERS = {1: ("<f4", 4), 6: ("<i4", 5), 7: ("<i8", 7), 11: ("<f8", 10)}
"""Element types of which sizes are made: numpy's name, and the field of their list."""
_ELEMENT, _MOST_SIDES = 4, 16  # bytes of an element, and dimensions of a tensor


@dataclass(frozen=True)
class Graph:
    """``inputs``, ``outputs``: by name. ``opset``: version of the standard operators, 0 where it states none.

    nodes  operator, attributes, names of inputs, names of results; what a node reads was made by those before it
    """

    opset: int
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    nodes: list[tuple[str, dict[str, Any], list[str], list[str]]]
    constants: dict[str, TensorFacts]

    def check_sizes(self, inputs: Mapping[str, Sequence[int]]) -> None:
        """ValueError, a phrase that follows "the graph", where it takes too much for inputs of these shapes."""
        tensors = {name: TensorFacts(tuple(shape)) for name, shape in inputs.items()} | self.constants
        left = Counter(name for _, _, given, _ in self.nodes for name in given)
        left.update(list(self.outputs))
        constant = work = 0
        there = sum(math.prod(shape) for shape in inputs.values())
        for op, attributes, given, results in self.nodes:
            made, steps = node_results(Node(op, [tensors.get(name) for name in given], attributes, len(results)))
            work += steps
            for name, tensor in zip(results, made, strict=False):
                tensors[name] = tensor
                there += math.prod(tensor.shape)
                constant += math.prod(tensor.shape) * tensor.constant
            _check_limits(op, constant * _ELEMENT, there * _ELEMENT, work)
            left.subtract(given)
            gone = {name for name in (*given, *results) if name in tensors and name not in self.constants}
            for name in gone:
                if not left[name]:
                    there -= math.prod(tensors.pop(name).shape)


def read_graph(content: bytes) -> Graph:
    """A bundle's graph. ValueError, a phrase that follows "the graph", for one that no bundle holds."""
    try:
        model = message(memoryview(content))
        graph = message(only(model, 7, b""))
        if model.get(25) or model.get(20):
            raise ValueError("has functions of its own, or steps of training")
        if graph.get(15):
            raise ValueError("has sparse constants")
        nodes = graph.get(1, [])
        if len(nodes) > limits.GRAPH_NODES:
            raise ValueError(f"has {len(nodes):,} nodes, and at most {limits.GRAPH_NODES:,} are read")
        constants = dict(map(_constant, graph.get(5, [])))
        inputs = {name: value for name, value in map(_value, graph.get(11, [])) if name not in constants}
        read = _nodes(nodes, {*inputs, *constants})
        versions = [message(entry) for entry in model.get(8, [])]
        opset = next((only(v, 2, 0) for v in versions if text(only(v, 1)) in ("", "ai.onnx")), 0)
        return Graph(opset, inputs, dict(map(_value, graph.get(12, []))), read, constants)
    except (TypeError, AttributeError) as error:  # a number where a message or text belongs, or the other way round
        raise ValueError("is damaged: a field is of another type") from error
    except UnicodeDecodeError as error:
        raise ValueError("is damaged: a name is no text") from error


def disagreement(graph: Graph, artifact: Artifact) -> str | None:
    """What the manifest says of an artifact and its graph does not, in a phrase that follows "the graph"."""
    names = [tensor.name for tensor in artifact.inputs]
    if list(graph.inputs) != names:
        return f"has the inputs {', '.join(graph.inputs) or 'none'}, the manifest says {', '.join(names)}"
    if graph.opset != artifact.opset:
        return f"is of opset {graph.opset}, the manifest says {artifact.opset}"
    for tensor in (*artifact.inputs, *artifact.outputs):
        found = (graph.inputs if tensor in artifact.inputs else graph.outputs).get(tensor.name)
        if found is None:
            return f"has no output '{tensor.name}'"
        if found != (tensor.dtype, tensor.shape):
            said, has = (
                f"{'×'.join(map(str, shape))} {dtype}" for dtype, shape in ((tensor.dtype, tensor.shape), found)
            )
            return f"has '{tensor.name}' as {has}, the manifest says {said}"
    return None


def _nodes(nodes: list, known: set[str]) -> list[tuple[str, dict[str, Any], list[str], list[str]]]:
    """``known``: what there is before the first node."""
    found = []
    for data in nodes:
        node = message(data)
        op, domain = text(only(node, 4)), text(only(node, 7))
        if domain not in ("", "ai.onnx") or node.get(8):
            raise ValueError(f"asks for the operator '{op}' of '{domain}', which is not ONNX's own")
        attributes = dict(_attribute(op, attribute) for attribute in node.get(5, []))
        given = [text(name) for name in node.get(1, [])]
        missing = [place for place, name in enumerate(given) if not name and place not in _OPTIONAL.get(op, ())]
        unknown = [name for name in given if name and name not in known]
        if missing or unknown:
            what = f"'{unknown[0]}' before it is made" if unknown else f"no input in place {missing[0]}"
            raise ValueError(f"gives '{op}' {what}")
        results = [text(name) for name in node.get(2, [])]
        if twice := known.intersection(results):
            raise ValueError(f"makes '{min(twice)}' twice")
        known.update(name for name in results if name)
        found.append((op, attributes, given, results))
    return found


def _check_limits(op: str, constant: int, there: int, work: int) -> None:
    """``constant``, ``there``: bytes computed without an input, and kept at once."""
    if constant > limits.GRAPH_CONSTANT:
        raise ValueError(f"computes {constant:,} bytes of constants, and at most {limits.GRAPH_CONSTANT:,} are taken")
    if there > limits.GRAPH_MEMORY:
        raise ValueError(f"keeps {there:,} bytes at '{op}', and at most {limits.GRAPH_MEMORY:,} are taken")
    if work > limits.GRAPH_WORK:
        raise ValueError(f"computes {work:,} multiply-adds until '{op}', and at most {limits.GRAPH_WORK:,} are taken")


def _attribute(op: str, data: memoryview) -> tuple[str, Any]:
    """Name and value of an attribute; of a stored tensor its shape and, where it is small, its numbers."""
    fields = message(data)
    if fields.get(6) or fields.get(11):
        raise ValueError(f"has '{op}', which runs a graph inside it and need not end")
    if fields.get(22) or fields.get(23):
        raise ValueError("has sparse constants")
    tensors = [_constant(tensor)[1] for tensor in (*fields.get(5, []), *fields.get(10, []))]
    name, kind = text(only(fields, 1)), only(fields, 20, 0)
    if kind == _FLOAT:
        return name, _reals(only(fields, 2, bytes(4)))[0]
    if kind == _INT:
        return name, signed(only(fields, 3, 0))
    if kind == _STRING:
        return name, str(only(fields, 4, b""), "utf-8", "replace")
    if kind == _TENSOR and len(tensors) == 1:
        return name, tensors[0]
    if kind == _FLOATS:
        return name, _reals(b"".join(fields.get(7, [])))
    if kind == _INTS:
        return name, [signed(number) for number in integers(fields.get(8, []))]
    if kind in (_STRINGS, _TENSORS):
        return name, None
    raise ValueError(f"has '{op}' with '{name[:60]}' of an unknown type")


def _reals(data: bytes | memoryview) -> list[float]:
    return np.frombuffer(data, "<f4").tolist()


def _constant(data: memoryview) -> tuple[str, TensorFacts]:
    """Name of a stored tensor and what it is, which must be in the file."""
    fields = message(data)
    name, kind, dims = text(only(fields, 8)), only(fields, 2, 0), integers(fields.get(1, []))
    if fields.get(13) or only(fields, 14, 0):
        raise ValueError(f"keeps '{name}' in another file")
    if kind not in _TYPES:
        raise ValueError(f"has '{name}' of the unknown type {kind}")
    if len(dims) <= _MOST_SIDES and all(side < 2**31 for side in dims):
        count, raw = math.prod(dims), only(fields, 9)
        # Beside raw bytes there are lists of numbers, of which each takes half a byte at least.
        if count <= 2 * len(data) if raw is None else len(raw) == -(-count * _TYPES[kind][1] // 8):
            return name, TensorFacts(tuple(dims), _values(fields, kind, raw, dims), constant=True)
    raise ValueError(f"has '{name}', which says that it is {'×'.join(map(str, dims[:8]))} and has another size")


def _values(fields: Message, kind: int, raw: memoryview | None, dims: list[int]) -> np.ndarray | None:
    """The numbers of a small tensor as int64 or float64; None for others, and for types that no size is made of."""
    if kind not in _NUMBERS or math.prod(dims) > MOST_VALUES:
        return None
    dtype, place = _NUMBERS[kind]
    listed = fields.get(place, [])
    if raw is not None:
        found = np.frombuffer(raw, dtype)
    elif dtype[1] == "f":
        found = np.frombuffer(b"".join(listed), dtype)
    else:
        found = np.array([signed(number) for number in integers(listed)], np.int64)
    if found.size != math.prod(dims):
        return None
    return found.astype(np.int64 if dtype[1] == "i" else np.float64).reshape(dims)


def _value(data: memoryview) -> tuple[str, Value]:
    fields = message(data)
    name, tensor = text(only(fields, 1)), _inner(_inner(fields, 2), 1)
    kind = only(tensor, 1, 0)
    if kind not in _TYPES:
        raise ValueError(f"has '{name}', which is no tensor of numbers")
    return name, (_TYPES[kind][0], tuple(_side(message(dim)) for dim in _inner(tensor, 2).get(1, [])))


def _inner(fields: Message, number: int) -> Message:
    return message(only(fields, number, memoryview(b"")))


def _side(dim: Message) -> int | str:
    value = only(dim, 1)
    return text(only(dim, 2)) if value is None else value
