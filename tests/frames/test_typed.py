"""Plain values as the types that a dataclass or a TypedDict declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import pytest

from edgekit.frames.typed import Misfit, as_typed


@dataclass(frozen=True)
class Point:
    x: float
    name: str | None


class _Always(TypedDict):
    size: list[int]


class Told(_Always, total=False):
    point: Point
    kind: Literal["a", "b"]


@pytest.mark.parametrize(
    ("kind", "given", "found"),
    [
        (float, 3, 3.0),
        (int | None, None, None),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[float, ...], [1, 2.5], (1.0, 2.5)),
        (list[float], [1], [1.0]),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict[str, Any], {"a": [1, {}]}, {"a": [1, {}]}),
        (Point, {"x": 1, "name": None}, Point(1.0, None)),
        (Told, {"size": [1], "more": 3}, {"size": [1], "more": 3}),
        (Told, {"size": [], "point": {"x": 1, "name": "p"}}, {"size": [], "point": Point(1.0, "p")}),
    ],
)
def test_what_fits(kind, given, found):
    got = as_typed(kind, given, "x")
    assert got == found and type(got) is type(found)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (int, True, "x is True, expected int"),
        (float, True, "x is True, expected float"),
        (int, 1.0, "x is 1.0, expected int"),
        (tuple[int, str], [1], r"x has 1 entries, expected 2"),
        (tuple[int, ...], "ab", "x is 'ab', expected a list"),
        (list[int], [1, "2"], r"x\[1\] is '2', expected int"),
        (dict[str, int], {"a": None}, r"x\.a is None, expected int"),
        (Point, {"x": 1}, "x lacks the field 'name'"),
        (Point, {"x": 1, "name": "p", "z": 1}, "x has an unknown field 'z'"),
        (Point, [], r"x is \[\], expected a mapping"),
        (Told, {"kind": "a"}, "x lacks the field 'size'"),
        (Told, {"size": [], "kind": ["a"]}, r"x\.kind is \['a'\], expected one of a, b"),
        (str, ["x" * 5000], r"x is \['x{10,100}\.\.\., expected str"),
    ],
)
def test_what_does_not(kind, given, said):
    with pytest.raises(Misfit, match=said):
        as_typed(kind, given, "x")
