"""From a graph's outputs to maps of the frame's own size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.bundle.bundle import FORMS
from edgekit.bundle.manifest import Artifact, Manifest, Output
from edgekit.runtime.placement import Placement
from edgekit.tasks import Task, kind_of

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
    if result.form in ("classes", "mask", "confidence"):
        if result.form != result.source.form:
            array = _decide(result, array)
        return np.array(placement.back_nearest(array, result.source.stride))
    kind, task = kind_of(result.task), result.task
    array = array.astype(np.float32)  # a copy, also of float32
    if result.source.form == "logits":
        array = kind.soften(task, array)
        array = kind.decode(task, array) if result.form == "depth" else array
    if array.ndim == 3:
        array = array.transpose(1, 2, 0)
    array = np.ascontiguousarray(placement.back_linear(array, result.source.stride))
    if result.form == "normals":
        array = kind.decode(task, array.transpose(2, 0, 1))  # between two directions the vectors are shorter than one
    if result.form in ("depth", "normals") and depth_scale != 1.0:
        # The student saw frames at a reduced scale, as if everything were farther away.
        array = kind.reorient(task, array, _UPRIGHT, 1.0 / depth_scale)
    return array


def _decide(result: Result, array: np.ndarray) -> np.ndarray:
    """A class map, mask or confidence (h, w) uint8 from logits or probabilities (C, h, w), at their resolution."""
    kind, task = kind_of(result.task), result.task
    if result.form == "classes":
        return kind.decode(task, array)  # the largest logit is the largest probability
    soft = array.astype(np.float32)
    if result.source.form == "logits":
        soft = kind.soften(task, soft)
    if result.form == "mask":
        return kind.decode(task, soft)
    winner = soft.max(axis=0) if len(soft) > 1 else np.maximum(soft[0], 1 - soft[0])
    return np.rint(255 * winner).astype(np.uint8)
