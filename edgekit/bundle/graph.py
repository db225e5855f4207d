"""A bundle's ONNX file, looked through before a runtime loads it.

Runtimes compute what depends on no input while they load a graph, and run what it says without a bound. A bundle's
graph is a plain sequence of ONNX's own operators whose constants are in the file, and computes nothing large from them.
Field numbers: onnx.proto of ONNX 1.18.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

from edgekit import limits
from edgekit.bundle.manifest import Artifact
from edgekit.bundle.wire import Message, message, numbers, only, text

Value = tuple[str, tuple[int | str, ...]]
"""Type and shape of an input or output; an open side is its name."""

_TYPES = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16), 6: ("int32", 32),
    7: ("int64", 64), 9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64), 12: ("uint32", 32), 13: ("uint64", 64),
    16: ("bfloat16", 16), 17: ("float8e4m3fn", 8), 18: ("float8e4m3fnuz", 8), 19: ("float8e5m2", 8),
    20: ("float8e5m2fnuz", 8), 21: ("uint4", 4), 22: ("int4", 4), 23: ("float4e2m1", 4),
}  # fmt: skip
"""Element type → its name, and bits of an element."""

_OPTIONAL = {"Clip": (1, 2), "Resize": (1, 2), "Pad": (2,), "Slice": (3,)}
"""Operator → places of inputs that may be left out in front of others. Elsewhere onnxruntime 1.32 crashes."""

# How many elements an operator makes of constants at most: as its first input, the product or the sum of all.
_AS_MANY = {
    *("Cast", "DequantizeLinear", "Exp", "Flatten", "Identity", "Log", "Neg", "QuantizeLinear", "Reciprocal"),
    *("Reshape", "Slice", "Sqrt", "Squeeze", "Transpose", "Unsqueeze"),
}
_PRODUCT = {"Add", "Div", "Gather", "Max", "Min", "Mul", "Pow", "Sub"}
_ELEMENT, _MOST_SIDES = 8, 16  # bytes of an element, and dimensions of a tensor


@dataclass(frozen=True)
class Graph:
    """``inputs``, ``outputs``: by name. ``opset``: version of the standard operators, 0 where it states none."""

    opset: int
    inputs: dict[str, Value]
    outputs: dict[str, Value]


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
        _check_nodes(nodes, inputs, constants)
        versions = [message(entry) for entry in model.get(8, [])]
        opset = next((only(v, 2, 0) for v in versions if text(only(v, 1)) in ("", "ai.onnx")), 0)
        return Graph(opset, inputs, dict(map(_value, graph.get(12, []))))
    except (TypeError, AttributeError) as error:  # a number where a message or text belongs, or the other way round
        raise ValueError("is damaged: a field is of another type") from error
    except UnicodeDecodeError as error:
        raise ValueError("is damaged: a name is no text") from error


def disagreement(graph: Graph, artifact: Artifact) -> str | None:
    """What the manifest says of an artifact and its graph does not, in a phrase that follows "the graph"."""
    if list(graph.inputs) != [artifact.input.name]:
        return f"has the inputs {', '.join(graph.inputs) or 'none'}, the manifest says {artifact.input.name}"
    if graph.opset != artifact.opset:
        return f"is of opset {graph.opset}, the manifest says {artifact.opset}"
    for tensor in (artifact.input, *artifact.outputs):
        found = (graph.inputs if tensor is artifact.input else graph.outputs).get(tensor.name)
        if found is None:
            return f"has no output '{tensor.name}'"
        if found != (tensor.dtype, tensor.shape):
            said, has = (
                f"{'×'.join(map(str, shape))} {dtype}" for dtype, shape in ((tensor.dtype, tensor.shape), found)
            )
            return f"has '{tensor.name}' as {has}, the manifest says {said}"
    return None


def _check_nodes(nodes: list, inputs: dict[str, Value], constants: dict[str, int]) -> None:
    """``constants``: name → elements, to which those are added that nodes compute of them."""
    known, made = {*inputs, *constants}, 0
    for data in nodes:
        node = message(data)
        op, domain = text(only(node, 4)), text(only(node, 7))
        if domain not in ("", "ai.onnx") or node.get(8):
            raise ValueError(f"asks for the operator '{op}' of '{domain}', which is not ONNX's own")
        held = [_attribute(op, attribute) for attribute in node.get(5, [])]
        given = [text(name) for name in node.get(1, [])]
        missing = [place for place, name in enumerate(given) if not name and place not in _OPTIONAL.get(op, ())]
        unknown = [name for name in given if name and name not in known]
        if missing or unknown:
            what = f"'{unknown[0]}' before it is made" if unknown else f"no input in place {missing[0]}"
            raise ValueError(f"gives '{op}' {what}")
        results = [text(name) for name in node.get(2, [])]
        known.update(results)
        sizes = [constants.get(name) for name in given if name]
        if op in ("Shape", "Size"):  # of whatever; a runtime knows it where the sides are fixed
            count = _MOST_SIDES
        elif None in sizes:
            continue
        else:
            count = _count(op, sizes, held)
        made += count * _ELEMENT
        if made > limits.GRAPH_CONSTANT:
            raise ValueError(f"computes {made:,} bytes of constants, and at most {limits.GRAPH_CONSTANT:,} are taken")
        constants.update(dict.fromkeys(results, count))


def _count(op: str, sizes: list[int], held: list[int]) -> int:
    if op == "Constant":
        return sum(held)
    if op in _AS_MANY:
        return math.prod(sizes[:1])
    if op in _PRODUCT:
        return reduce(lambda one, other: min(one * other, limits.GRAPH_CONSTANT), sizes, 1)
    if op == "Concat":
        return sum(sizes)
    raise ValueError(f"computes '{op}' of constants, which may be of any size")


def _attribute(op: str, data: memoryview) -> int:
    """How many numbers an attribute holds at most."""
    fields = message(data)
    if fields.get(6) or fields.get(11):
        raise ValueError(f"has '{op}', which runs a graph inside it and need not end")
    if fields.get(22) or fields.get(23):
        raise ValueError("has sparse constants")
    tensors = [_constant(tensor)[1] for tensor in (*fields.get(5, []), *fields.get(10, []))]
    return sum(tensors) + len(data)


def _constant(data: memoryview) -> tuple[str, int]:
    """Name and number of elements of a stored tensor, which must be in the file."""
    fields = message(data)
    name, kind, dims = text(only(fields, 8)), only(fields, 2, 0), numbers(fields.get(1, []))
    if fields.get(13) or only(fields, 14, 0):
        raise ValueError(f"keeps '{name}' in another file")
    if kind not in _TYPES:
        raise ValueError(f"has '{name}' of the unknown type {kind}")
    if len(dims) <= _MOST_SIDES and all(side < 2**31 for side in dims):
        count, raw = math.prod(dims), only(fields, 9)
        # Beside raw bytes there are lists of numbers, of which each takes half a byte at least.
        if count <= 2 * len(data) if raw is None else len(raw) == -(-count * _TYPES[kind][1] // 8):
            return name, count
    raise ValueError(f"has '{name}', which says that it is {'×'.join(map(str, dims[:8]))} and has another size")


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
