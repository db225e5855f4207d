"""The students by name: a network family and its shape, one row each.

Another package offers a row as an entry point of the group ``edgekit.students``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgekit.parts import Parts

PARAMETER_LIMIT = 1_000_000


@dataclass(frozen=True)
class StudentSpec:
    """A row of the registry: ``family`` of edgekit.networks, its keyword arguments, and what the student is for.

    ``shape`` has a ``width``, which a recipe may change. ``search``: argument of the family → the values that
    `edgekit search` tries.
    """

    family: str
    shape: dict[str, Any] = field(default_factory=dict)
    about: str = ""
    search: dict[str, tuple[Any, ...]] = field(default_factory=dict)


_DILATIONS = ([], [2], [2, 4], [2, 4, 8])
_OWN = {
    "repseg": StudentSpec(
        "repseg",
        {"width": 32},
        "quarter-resolution, re-parameterised, the fastest; begins with nothing",
        {"width": (16, 24, 32, 48), "blocks": ([0, 1], [1, 1], [1, 2], [2, 3]), "dilations": _DILATIONS},
    ),
    "lite": StudentSpec(
        "lite",
        {"width": 48, "stages": 4, "dilations": (2, 4)},
        "begins with ImageNet's weights: the best with few labels; the default",
        {"width": (24, 32, 48, 64), "stages": (4, 5), "dilations": _DILATIONS},
    ),
    "safeuav-150k": StudentSpec(
        "safeuav",
        {"width": 6},
        "the smallest student of the PHG-MAE paper, full resolution",
        {"width": (4, 6, 8, 10)},
    ),
    "safeuav-430k": StudentSpec(
        "safeuav", {"width": 10}, "the paper's larger student, full resolution", {"width": (6, 8, 10, 12)}
    ),
}

STUDENTS: Parts[StudentSpec] = Parts("edgekit.students", "student", _OWN, base=StudentSpec)
