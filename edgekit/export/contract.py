"""The pre-processing that the Predictor must apply, from what the student was trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgekit.bundle.manifest import SIZE_MULTIPLE, Preprocessing
from edgekit.errors import EdgekitError
from edgekit.students.student import Student
from edgekit.tasks import Task, kind_of
from edgekit.tasks.modality import native_type

Size = tuple[int, int]


def network_size(frame: Size, input_scale: float) -> Size:
    """The size a student sees frames at, each side rounded up to a multiple of 16."""
    height, width = (_rounded_up(side * input_scale / SIZE_MULTIPLE) * SIZE_MULTIPLE for side in frame)
    return height, width


def contract(student: Student, size: Size, fit: Literal["letterbox", "stretch"], frame: Size) -> Preprocessing:
    """The pre-processing of frames; ``frame`` is the size (H, W) of those that it was trained for.

    A frame that is shrunk looks farther away, in training as here: metric depth is multiplied by the factor, as
    ``Student.predict`` does for its ``input_scale``. Where ``size`` is that of ``network_size``, frames are shrunk by
    ``input_scale``, and what the size was rounded up by is padding; any other size is filled.
    """
    mean, std = (tuple(float(v) for v in values.flatten()) for values in (student.mean, student.std))
    levels = [native_type(task) == np.uint8 for task in student.modalities for _ in range(task.channels)]
    pad = tuple(min(255, max(0, round(m))) if level else m for m, level in zip(mean, levels, strict=True))
    content = None
    if fit == "letterbox" and student.input_scale < 1 and size == network_size(frame, student.input_scale):
        height, width = (_rounded_up(side * student.input_scale) for side in frame)
        content = None if (height, width) == size else (height, width)
    factors = [network / own for network, own in zip(content or size, frame, strict=True)]
    scale = min(*factors, 1.0) if fit == "letterbox" else math.sqrt(factors[0] * factors[1])
    return Preprocessing(
        size=size,
        fit=fit,
        pad=pad,
        mean=mean,
        std=std,
        depth_scale=scale,
        content=content,
        modalities=tuple(student.modalities),
        may_lack=student.may_lack,
    )


def _rounded_up(length: float) -> int:
    """But 0.1 × 480, which is 48.00000000000001 in floating point, to 48."""
    return math.ceil(length - 1e-9)


def forms_of(tasks: Sequence[Task], asked: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Task → forms, the kind's native one where nothing is asked. EdgekitError for an unknown task or form."""
    where = "export.outputs"
    unknown = [name for name in asked if name not in {task.name for task in tasks}]
    if unknown:
        raise EdgekitError(
            f"the student does not predict '{unknown[0]}'",
            where=where,
            fix=f"name one of {', '.join(task.name for task in tasks)}",
        )
    out = {}
    for task in tasks:
        known = kind_of(task).form_names
        forms = tuple(dict.fromkeys(asked.get(task.name, known[:1])))
        wrong = [form for form in forms if form not in known]
        if wrong or not forms:
            what = f"there is no {wrong[0]} of '{task.name}', which is {task.kind}" if wrong else "no form is named"
            raise EdgekitError(what, where=f"{where}.{task.name}", fix=f"use some of {', '.join(known)}")
        out[task.name] = forms
    return out
