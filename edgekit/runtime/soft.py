"""Answers of the network before anything is decided, and the results that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.bundle.manifest import Artifact, Manifest
from edgekit.errors import EdgekitError
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.postprocess import Result, finish, results_of
from edgekit.tasks import kind_of


@dataclass(frozen=True)
class Soft:
    """One frame's answers: name of the graph's output → (h, w) or (C, h, w), and where the frame lies in them.

    ``depth_scale``: what metric depth is multiplied by.
    """

    answers: Mapping[str, np.ndarray]
    placement: FramePlacement
    depth_scale: float


def soft_results(manifest: Manifest, artifact: Artifact, names: Sequence[str], why: str) -> dict[str, Result]:
    """The results of these names, made of outputs that are no decisions. EdgekitError, with ``why`` they are asked for,
    where the graph gives the decision alone."""
    kinds = {task.name: kind_of(task) for task in manifest.tasks}
    soft = tuple(o for o in artifact.outputs if not kinds[o.task].form(o.form).decided)
    found = results_of(manifest, replace(artifact, outputs=soft))
    for name in names:
        if name not in found:
            task = next(o.task for o in artifact.outputs if name in (o.task, f"{o.task}_{o.form}"))
            native = kinds[task].form_names[0]
            raise EdgekitError(
                f"{why} before anything is decided, and of '{name}' the bundle gives the decision alone",
                where=f"the outputs of {artifact.file or 'the graph'}",
                fix=f"export its logits too: edgekit export --set export.outputs.{task}=[{native},logits]",
            )
    return {name: found[name] for name in names}


def finish_soft(
    soft: Soft, results: Mapping[str, Result], usual: Mapping[str, Result], upsampling: str
) -> dict[str, np.ndarray]:
    """The maps of the frame's size. ``usual``: the results as the Predictor makes them of one frame; a decision that it
    takes from the graph is enlarged as the graph does, by ``upsampling``."""
    out = {}
    for name, result in results.items():
        enlarged = upsampling == "bilinear" and usual[name].source.form == usual[name].form
        answer = soft.answers[result.source.name]
        out[name] = finish(result, answer, soft.placement, soft.depth_scale, enlarged=enlarged)
    return out
