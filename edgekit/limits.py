"""How large what comes from outside may be: one table for every border.

A recipe, a bundle, a student, a run's folder or a picture may come from anyone. What is beyond these limits is refused
with one sentence before it is read, built or run. SECURITY.md has the same table in words; ``EDGEKIT_MOST_PIXELS`` and
``EDGEKIT_MOST_BYTES`` in the environment raise those that large photographs, maps and graphs may reach.
"""

from __future__ import annotations

import os

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


def _raised(name: str, usual: int) -> int:
    """``usual``, or the whole number in the environment where that is larger."""
    given = os.environ.get(name, "")
    return max(usual, int(given)) if given.isascii() and given.isdigit() and len(given) < 16 else usual


RECIPE_BYTES = 256 * KB
"""Of a recipe or a suite."""
RECIPE_VALUES, RECIPE_LEVELS = 50_000, 32
"""Values of a recipe with its aliases followed, and levels of nesting."""
SUITE_CELLS = 10_000
"""Combinations of students, precisions, sizes, threads and power modes."""
PATTERN_CHARACTERS, PATTERN_SECONDS = 500, 2.0
"""Of a regular expression in a recipe, and of computing to look for it in one name."""

JSON_BYTES, JSON_LEVELS = 32 * MB, 64
"""Of a manifest, a run's description, a marker, a sidecar or a measurement, and levels of nesting."""
JSON_LARGEST = 2**63
"""Magnitude of a whole number in such a file."""
ROWS_BYTES = 256 * MB
"""Of a suite's rows, one JSON document a line."""
TEXT_BYTES = 16 * MB
"""Of a class table or a list of frames."""
LABELS_BYTES = _raised("EDGEKIT_MOST_BYTES", 512 * MB)
"""Of a file of labels, as JSON, XML or text: COCO's largest has 450 MB."""
OUTLINE_ROWS = 20_000_000
"""Rows of pixels that the edges of one outline cross."""
DRAWN_PIXELS = 1_000_000_000
"""Of the rectangles around all shapes of one image."""
NAME_BYTES = 200
"""Of a name that becomes a file's or a folder's; an ending and a few letters must fit behind it."""

MOST_BYTES = _raised("EDGEKIT_MOST_BYTES", 2 * GB)
"""Of any other file that is read whole: a picture, a graph, a checkpoint, a calibration cache."""
MOST_PIXELS = _raised("EDGEKIT_MOST_PIXELS", 100_000_000)
"""Of a picture: decoding one takes up to 13 bytes a pixel, and there is one decoder a core."""
ARRAY_BYTES = _raised("EDGEKIT_MOST_BYTES", 512 * MB)
"""Of the arrays of an ``.npz``, unpacked: a map of a frame, a bundle's golden frames and answers."""
CHECKPOINT_MEMBERS = 20_000
"""Tensors of a student or a checkpoint."""
CHECKPOINT_BYTES = 256 * GB
"""Of a file of a run's own stages, such as a checkpoint with the optimiser's state; a student is within MOST_BYTES."""
ARRAY_HEADER = 10_000
"""Of the header of such an array."""

ARCHIVE_BYTES, ARCHIVE_MEMBERS = 4 * GB, 1000
"""Of a bundle's ``.tar``."""
GRAPH_BYTES, GRAPH_NODES, GRAPH_CONSTANT = 16 * MB, 20_000, 1 * GB
"""Of a graph in a bundle, which has a million parameters at most; its nodes; and bytes computed without any input."""
GRAPH_MEMORY = _raised("EDGEKIT_MOST_BYTES", 2 * GB)
"""What it keeps at once of one batch, in bytes of float32."""
GRAPH_WORK = 10**13 * GRAPH_MEMORY // (2 * GB)
"""Multiply-adds that it computes of one batch."""
SIDE = 16384
"""Height or width of a network's input."""
BATCH = 256
"""Frames that a network takes at once."""
MODALITY_CHANNELS = 16
"""Of all that a network sees."""
TENSOR_BYTES = 2 * GB
"""Of one input or output of a network."""
