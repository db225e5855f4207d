"""From a graph's outputs to maps of the frame's own size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.bundle.manifest import Artifact, Manifest, OutputTensor
from edgekit.runtime.placement import FramePlacement
from edgekit.tasks import Task, kind_of

_UPRIGHT = np.eye(2, dtype=np.float32)


@dataclass(frozen=True)
class Result:
    """A map that a Predictor can give: of what task and form, and which of the graph's outputs it is made of."""

    name: str
    task: Task
    form: str
    source: OutputTensor


def results_of(manifest: Manifest, artifact: Artifact) -> dict[str, Result]:
    """Result name → what it is made of, for every result that an artifact allows.

    ``<task>`` is the native map, ``<task>_<form>`` any other. A form that the graph has is taken from it; some can also
    be made of probabilities or logits, the native map always.
    """
    out: dict[str, Result] = {}
    for task in manifest.tasks:
        outputs = {o.form: o for o in artifact.outputs if o.task == task.name}
        soft = outputs.get("probabilities") or outputs.get("logits")
        for place, form in enumerate(kind_of(task).forms):
            source = outputs.get(form.name, soft if form.derived or not place else None)
            if source:
                name = f"{task.name}_{form.name}" if place else task.name
                out[name] = Result(name, task, form.name, source)
    return out


def finish(
    result: Result, array: np.ndarray, placement: FramePlacement, depth_scale: float = 1.0, *, enlarged: bool = False
) -> np.ndarray:
    """One frame's output of the graph, without the batch dimension, as the result at the frame's own size.

    Decisions (H, W) uint8; others (H, W) or (H, W, C) float32. The array is the caller's own. ``enlarged``: what a
    decision is made of (C, h, w) is interpolated to the frame before it, not the decision enlarged after it.
    """
    kind, task, stride = kind_of(result.task), result.task, result.source.stride
    form = kind.form(result.form)
    if form.decided and enlarged:
        return as_form(
            result, np.stack([placement.back_linear(p.astype(np.float32, copy=False), stride) for p in array])
        )
    array = as_form(result, array)
    if form.decided:
        array = np.array(placement.back_nearest(array, stride))
    else:
        planes = [placement.back_linear(p, stride) for p in (array[None] if form.content == "plane" else array)]
        array = form.join(planes)
    if form is kind.forms[0] and depth_scale != 1.0:
        # The student saw frames at a reduced scale, as if everything were farther away.
        array = kind.reorient(task, array, _UPRIGHT, 1.0 / depth_scale)
    return array


def as_form(result: Result, array: np.ndarray) -> np.ndarray:
    """One frame's output of the graph as the result's form, at the resolution and in the layout of the graph.

    Decisions uint8, the others float32; ``array`` itself where it is that already.
    """
    kind, task = kind_of(result.task), result.task
    form = kind.form(result.form)
    if result.form == result.source.form:
        return array.astype(np.uint8 if form.decided else np.float32, copy=False)
    if form.of_logits:
        return form.of(task, array)
    soft = array.astype(np.float32)
    return form.of(task, kind.activation(task, soft) if result.source.form == "logits" else soft)
