"""The first nodes of a deployed graph: frames of every modality to what the body reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.bundle.manifest import FRAMES, Preprocessing, Sensor
from edgekit.export.body import INPUT
from edgekit.graphs.draft import Draft, replace_nodes, value_info
from edgekit.graphs.read import dtype_of, tensor_shape


def take_frames(draft: Draft, preprocessing: Preprocessing, *, planes: bool = False) -> None:
    """Put Cast → Transpose → Sub → Mul before the body: ``frames`` (N, H, W, 3) uint8 rgb in, in place.

    Every modality has an input of its own, of its native type, and its Cast, where it needs one, and Transpose; their
    channels are put together before Sub. ``planes``: Sub → Mul alone, ``frames`` (N, 3, H, W) float32 of 0 to 255 in.

    A Cast first: TensorRT takes uint8 for no other operator. Standardisation is not folded into the first convolution:
    its zero padding is the mean colour only after standardisation. Computed in float32 whatever the body computes in.
    """
    (body_input,) = draft.graph.input
    n, _, height, width = tensor_shape(body_input)
    dtype = dtype_of(body_input)
    body_nodes = list(draft.graph.node)
    before = len(body_nodes)

    half = dtype != "float32"
    sensors = preprocessing.sensors()
    x = FRAMES if planes else _together(draft, sensors)
    x = draft.node("Sub", [x, draft.constant("mean", _planes(preprocessing.mean))], "centred")
    scale = draft.constant("inverse_std", 1.0 / _planes(preprocessing.std))
    x = draft.node("Mul", [x, scale], "standardised" if half else INPUT, plain=not half)
    if half:
        draft.cast(x, dtype, INPUT, plain=True)

    nodes = list(draft.graph.node)
    replace_nodes(draft.graph, nodes[before:] + nodes[:before])
    if planes:
        draft.inputs([value_info(FRAMES, "float32", (n, 3, height, width))])
    else:
        draft.inputs([value_info(s.input, s.dtype, (n, height, width, s.task.channels)) for s in sensors])


def _together(draft: Draft, sensors: Sequence[Sensor]) -> str:
    """All modalities as the channels of one tensor (N, C, H, W) float32."""
    planes = []
    for sensor in sensors:
        of = "" if sensor.input == FRAMES else f"{sensor.task.name}."
        x = sensor.input
        if sensor.dtype != "float32":
            x = draft.cast(x, "float32", f"{of}float")
        planes.append(draft.node("Transpose", [x], f"{of}planes", perm=[0, 3, 1, 2]))
    return planes[0] if len(planes) == 1 else draft.node("Concat", planes, "together", axis=1)


def _planes(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, np.float64).reshape(1, -1, 1, 1)
