"""What the published folders hold, by their names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from edgekit.data.dronescapes.classes import CLASSES, COLOURS, WEIGHTS
from edgekit.tasks import Task

# The names of the human and structure-from-motion labels; every other folder is an expert's or derived from experts.
LABELS = ("semantic_segprop8", "depth_sfm_manual202204", "normals_sfm_manual202204")

FARTHEST = 300.0  # metres; published depth is clipped here
# The published range starts at 0, which a logarithm cannot: what is nearer than this is encoded as this near.
NEAREST = 1.0

_EIGHT = {"kind": "semantic", "classes": CLASSES, "colours": COLOURS, "weights": WEIGHTS}
_METRES = {"kind": "depth", "range": (NEAREST, FARTHEST), "unit": "m"}
_RELATIVE = {"kind": "depth", "range": (0.0, 1.0)}
_NORMALS = {"kind": "normals", "range": (-1.0, 1.0)}
_BINARY = {"kind": "binary"}

# Name or pattern -> what lies in the folder; the first that fits counts.
_PUBLISHED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("rgb", {"kind": "modality", "channels": 3, "range": (0.0, 255.0)}),
    ("hsv", {"kind": "modality", "channels": 3}),
    ("semantic_segprop8", _EIGHT),
    ("semantic_output", _EIGHT),
    ("semantic_mask2former_*_converted", _EIGHT),
    ("depth_sfm_*", _METRES),
    ("depth_*", _RELATIVE),
    ("normals_*", _NORMALS),
    ("buildings", _BINARY),
    ("buildings(nearby)", _BINARY),
    ("sky-and-water", _BINARY),
    ("transportation", _BINARY),
    ("containing", _BINARY),
    ("vegetation", _BINARY),
    ("safe-landing-*", _BINARY),
    ("edges_*", {"kind": "modality", "channels": 1}),
    ("softseg_*", {"kind": "modality", "channels": 3}),
    ("opticalflow_*", {"kind": "modality", "channels": 2, "range": (-1.0, 1.0), "vector": True}),
)


def published_task(folder: str) -> Task | None:
    """The task in a folder of this name, None for a name that was not published."""
    for pattern, fields in _PUBLISHED:
        if fnmatchcase(folder, pattern):
            return Task(folder, **fields)
    return None
