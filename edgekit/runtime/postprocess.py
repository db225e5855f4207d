"""From a graph's outputs to maps of the frame's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.bundle.bundle import FORMS
from edgekit.bundle.manifest import Artifact, Manifest, Output
from edgekit.runtime.placement import Placement
from edgekit.tasks import Task, kind_of

DECISIONS = ("classes", "mask", "confidence")  # forms that are not interpolated
_LEAST_LENGTH = 1e-6  # of a vector that has a direction, as in the kind
_UPRIGHT = np.eye(2, dtype=np.float32)


@dataclass(frozen=True)
class Result:
    """A map that a Predictor can give: of what task and form, and which of the graph's outputs it is made of."""

    name: str
    task: Task
    form: str
    source: Output


def results_of(manifest: Manifest, artifact: Artifact) -> dict[str, Result]:
    """Result name → what it is, for all that an artifact allows.

    ``<task>`` is the native map, ``<task>_<form>`` any other. A form that the graph has is taken from it; the native
    map and the confidence can also be made of probabilities or logits.
    """
    out: dict[str, Result] = {}
    for task in manifest.tasks:
        outputs = {o.form: o for o in artifact.outputs if o.task == task.name}
        native = FORMS[task.kind][0]
        soft = outputs.get("probabilities") or outputs.get("logits")
        for form in FORMS[task.kind]:
            source = outputs.get(form, soft if form in (native, "confidence") else None)
            if source and form != "logits":
                name = task.name if form == native else f"{task.name}_{form}"
                out[name] = Result(name, task, form, source)
    return out


def finish(result: Result, array: np.ndarray, placement: Placement, depth_scale: float = 1.0) -> np.ndarray:
    """One frame's output of the graph, without the batch dimension, as the result at the frame's own size.

    classes, mask, confidence (H, W) uint8; depth (H, W), normals (H, W, 3), probabilities (H, W, C) float32.
    The array is the caller's own.
    """
    kind, task = kind_of(result.task), result.task
    array = as_form(result, array)
    if result.form in DECISIONS:
        return np.array(placement.back_nearest(array, result.source.stride))
    if result.form == "depth":
        array = np.array(placement.back_linear(array, result.source.stride))
    else:
        planes = [placement.back_linear(plane, result.source.stride) for plane in array]
        array = _unit_vectors(planes) if result.form == "normals" else np.stack(planes, axis=-1)
    if result.form in ("depth", "normals") and depth_scale != 1.0:
        # The student saw frames at a reduced scale, as if everything were farther away.
        array = kind.reorient(task, array, _UPRIGHT, 1.0 / depth_scale)
    return array


def _unit_vectors(planes: Sequence[np.ndarray]) -> np.ndarray:
    """x, y and z (H, W) as vectors (H, W, 3) of length 1, which between two directions they have no longer.

    The kind's ``decode`` for this layout, in a fraction of its time.
    """
    length = np.sqrt(sum(plane * plane for plane in planes))
    inverse = 1 / np.maximum(length, _LEAST_LENGTH)
    out = np.empty((*length.shape, 3), np.float32)
    for c, plane in enumerate(planes):
        np.multiply(plane, inverse, out=out[..., c])
    out[length <= _LEAST_LENGTH] = (0, 0, -1)  # no direction: facing the camera
    return out


def as_form(result: Result, array: np.ndarray) -> np.ndarray:
    """One frame's output of the graph as the result's form, at the resolution and in the layout of the graph.

    Decisions uint8, the others float32; ``array`` itself where it is that already.
    """
    kind, task = kind_of(result.task), result.task
    if result.form == result.source.form:
        return array.astype(np.uint8 if result.form in DECISIONS else np.float32, copy=False)
    if result.form == "classes":
        return kind.decode(task, array)  # the largest logit is the largest probability
    soft = array.astype(np.float32)
    if result.source.form == "logits":
        soft = kind.soften(task, soft)
    if result.form in ("mask", "depth"):
        return kind.decode(task, soft)
    if result.form == "normals":
        return soft
    winner = soft.max(axis=0) if len(soft) > 1 else np.maximum(soft[0], 1 - soft[0])
    return np.rint(255 * winner).astype(np.uint8)
