"""Reading a protobuf message without its schema: numbers of fields and their bytes, as the encoding guide says.

https://protobuf.dev/programming-guides/encoding. A board has no onnx package to read a graph with, and this is
read before any runtime sees it. A ValueError says what is wrong in a phrase that follows "the message".
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_DIGITS = 10  # bytes of a whole number

Message = dict[int, list]
"""Number of a field → its values in order: whole numbers (0 to 2⁶⁴ − 1), or memoryviews."""


def message(data: memoryview) -> Message:
    """The fields of one message. ValueError where it is cut off or no message."""
    found: Message = {}
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
        elif kind in (_BYTES, _FIXED64, _FIXED32):
            size, place = _varint(data, place) if kind == _BYTES else (8 if kind == _FIXED64 else 4, place)
            value, place = data[place : place + size], place + size
            if place > end:
                raise ValueError("ends early")
        else:
            raise ValueError(f"has a field of the wire type {kind}")
        found.setdefault(number, []).append(value)
    return found


def integers(values: list) -> list[int]:
    """The whole numbers of a repeated field, packed or not."""
    return [number for value in values for number in ([value] if isinstance(value, int) else _packed(value))]


def signed(number: int) -> int:
    """A whole number of a field that may be negative."""
    return number - 2**64 if number >= 2**63 else number


def only(fields: Message, number: int, default=None):
    """The value of a field that stands once at most. ValueError where it is there again: readers differ on that."""
    values = fields.get(number, [default])
    if len(values) > 1:
        raise ValueError(f"has the field {number} twice")
    return values[0]


def text(value: memoryview | None) -> str:
    """ValueError for anything but UTF-8, TypeError for a number."""
    return "" if value is None else str(value, "utf-8")


def _packed(data: memoryview) -> Iterator[int]:
    place = 0
    while place < len(data):
        value, place = _varint(data, place)
        yield value


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for digit in range(_MOST_DIGITS):
        if place >= len(data):
            raise ValueError("ends early")
        byte = data[place]
        place += 1
        value |= (byte & 127) << (7 * digit)
        if byte < 128:
            return value, place
    raise ValueError("has an endless number")
