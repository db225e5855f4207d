"""The nodes of an ONNX file by index, without the onnx package, which a device does not have.

TensorRT 8's parser says which node it does not take by number alone. ONNX is Protocol Buffers: a ModelProto has its
graph in field 7, a GraphProto its nodes in field 1, a NodeProto its name in field 3 and operator in field 4.
"""

from __future__ import annotations

from collections.abc import Iterator

GRAPH, NODE, NAME, OPERATOR = 7, 1, 3, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def nodes(model: bytes) -> list[tuple[str, str]]:
    """(name, operator) of every node of the main graph, in the file's order; empty for what is no ONNX file."""
    found = []
    try:
        for field, graph in _fields(model):
            if field == GRAPH:
                for inner, node in _fields(graph):
                    if inner == NODE:
                        texts = dict(entry for entry in _fields(node) if entry[0] in (NAME, OPERATOR))
                        found.append((texts.get(NAME, b"").decode(), texts.get(OPERATOR, b"").decode()))
    except (IndexError, UnicodeDecodeError, ValueError):
        return []
    return found


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(field number, content) of the fields that hold bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("the message is cut short")
            yield key >> 3, message[at : at + length]
            at += length
        elif key & 7 == _VARINT:
            _, at = _varint(message, at)
        elif key & 7 in (_FIXED64, _FIXED32):
            at += 8 if key & 7 == _FIXED64 else 4
        else:
            raise ValueError(f"no wire type {key & 7}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
