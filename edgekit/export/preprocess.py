"""The first nodes of a deployed graph: uint8 frames to what the body reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.export.body import INPUT
from edgekit.graphs.draft import Draft, replace_nodes
from edgekit.graphs.read import dtype_of, tensor_shape

FRAMES = "frames"


def take_frames(draft: Draft, mean: Sequence[float], std: Sequence[float], *, planes: bool = False) -> None:
    """Put Cast → Transpose → Sub → Mul before the body: ``frames`` (N, H, W, 3) uint8 rgb in, in place.

    ``planes``: Sub → Mul alone, ``frames`` (N, 3, H, W) float32 of 0 to 255 in.

    A Cast first: TensorRT takes uint8 for no other operator. Standardisation is not folded into the first convolution:
    its zero padding is the mean colour only after standardisation. Computed in float32 whatever the body computes in.
    """
    (body_input,) = draft.graph.input
    n, _, height, width = tensor_shape(body_input)
    dtype = dtype_of(body_input)
    body_nodes = list(draft.graph.node)
    before = len(body_nodes)

    half = dtype != "float32"
    x = FRAMES
    if not planes:
        x = draft.node("Transpose", [draft.cast(x, "float32", "float")], "planes", perm=[0, 3, 1, 2])
    x = draft.node("Sub", [x, draft.constant("mean", _planes(mean))], "centred")
    scale = draft.constant("inverse_std", 1.0 / _planes(std))
    x = draft.node("Mul", [x, scale], "standardised" if half else INPUT, plain=not half)
    if half:
        draft.cast(x, dtype, INPUT, plain=True)

    nodes = list(draft.graph.node)
    replace_nodes(draft.graph, nodes[before:] + nodes[:before])
    draft.input(FRAMES, *(("float32", (n, 3, height, width)) if planes else ("uint8", (n, height, width, 3))))


def _planes(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, np.float64).reshape(1, 3, 1, 1)
