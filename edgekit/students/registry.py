"""The students by name: a network family and its shape, one row each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PARAMETER_LIMIT = 1_000_000


@dataclass(frozen=True)
class StudentSpec:
    """A row of the registry: ``family`` of edgekit.networks, its keyword arguments, and what the student is for."""

    family: str
    shape: dict[str, Any] = field(default_factory=dict)
    about: str = ""


STUDENTS: dict[str, StudentSpec] = {
    "repseg": StudentSpec("repseg", {"width": 32}, "quarter-resolution, re-parameterised, made for INT8; the default"),
    "safeuav-150k": StudentSpec("safeuav", {"width": 6}, "the smallest student of the PHG-MAE paper, full resolution"),
    "safeuav-430k": StudentSpec("safeuav", {"width": 10}, "the paper's larger student, full resolution"),
}
