"""From bodies to the files that the rows of a target ask for, and to their descriptions in the manifest."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from edgekit import __version__
from edgekit.bundle.manifest import SIZE_MULTIPLE, STANDARDISED, Artifact, Preprocessing, Profile, Tensor
from edgekit.export.config import ExportConfig, OpenDimensions
from edgekit.export.contract import Size, contract, forms_of
from edgekit.export.deploy import LOGITS_ONLY, Deployed, deploy, deploy_body
from edgekit.export.lanes import ArtifactRow
from edgekit.export.outputs import Style
from edgekit.students.student import Student
from edgekit.tasks import Task

Bodies = Mapping[str, onnx.ModelProto]
"""File name → the body it is made of."""


@dataclass(frozen=True)
class ExportPlan:
    """All that the files of one export have in common.

    forms            by task, what the files that take frames give
    open_dimensions  ``batch``, ``size`` or both are left to run time, between the bounds of ``bounds``
    provenance       goes into the metadata of every file
    """

    tasks: Sequence[Task]
    forms: Mapping[str, Sequence[str]]
    preprocessing: Preprocessing
    stride: int
    style: Style
    open_dimensions: frozenset[str]
    bounds: OpenDimensions
    provenance: Mapping[str, str]


def plan_of(
    student: Student,
    config: ExportConfig,
    size: Size,
    frame: Size,
    *,
    open_dimensions: frozenset[str] = frozenset(),
    provenance: Mapping[str, str] | None = None,
) -> ExportPlan:
    """The plan that a recipe's section asks for, of a network of ``size`` for frames of ``frame``, each (H, W).

    EdgekitError for outputs that the student does not have.
    """
    return ExportPlan(
        tasks=student.tasks,
        forms=forms_of(student.tasks, config.outputs),
        preprocessing=contract(student, size, config.fit, frame),
        stride=student.network.stride,
        style=Style(config.upsampling, config.floats),
        open_dimensions=open_dimensions,
        bounds=config.open,
        provenance=provenance or {},
    )


def deployed(row: ArtifactRow, body: onnx.ModelProto, plan: ExportPlan) -> Deployed:
    """The row's finished graph; the cache lane's is the plain body."""
    forms = {task.name: LOGITS_ONLY for task in plan.tasks} if row.lane == "cache" else plan.forms
    about = metadata(plan.tasks, forms, plan.preprocessing, plan.provenance)
    common = {"open_dimensions": plan.open_dimensions, "metadata": about}
    if row.lane == "cache":
        return deploy_body(body, plan.tasks, plan.stride, **common)
    return deploy(body, plan.tasks, forms, plan.preprocessing, plan.stride, style=plan.style, **common)


def metadata(
    tasks: Sequence[Task],
    forms: Mapping[str, Sequence[str]],
    preprocessing: Preprocessing,
    provenance: Mapping[str, str],
) -> dict[str, str]:
    """ONNX metadata: values are texts, JSON where they are more. ``provenance``: recipe, recipe_hash and the like."""
    described = [{**dataclasses.asdict(task), "forms": list(forms[task.name])} for task in tasks]
    return {
        "edgekit": __version__,
        "tasks": json.dumps(described, ensure_ascii=False),
        "preprocessing": json.dumps(dataclasses.asdict(preprocessing)),
        **provenance,
    }


def artifacts_of(rows: Sequence[ArtifactRow], files: Mapping[str, Deployed], plan: ExportPlan) -> tuple[Artifact, ...]:
    """The manifest's description of every row."""
    return tuple(
        Artifact(
            file=row.file,
            lane=row.lane,
            precision=row.precision,
            opset=row.opset,
            input=files[row.file].input,
            outputs=files[row.file].outputs,
            profile=_profile(files[row.file].input, plan) if plan.open_dimensions else None,
            tensorrt=row.tensorrt,
            others=files[row.file].others,
        )
        for row in rows
    )


def _profile(tensor: Tensor, plan: ExportPlan) -> Profile:
    """Bounds of every open dimension; a fixed one is the same in all three."""
    channels_first = tensor.name == STANDARDISED
    channels = tensor.shape[1 if channels_first else 3]
    bounds = []
    for place in range(3):
        batch = plan.bounds.batch[place] if "batch" in plan.open_dimensions else 1
        factor = plan.bounds.scale[place] if "size" in plan.open_dimensions else 1.0
        height, width = (
            max(SIZE_MULTIPLE, round(side * factor / SIZE_MULTIPLE) * SIZE_MULTIPLE) for side in plan.preprocessing.size
        )
        bounds.append((batch, channels, height, width) if channels_first else (batch, height, width, channels))
    return Profile(*bounds)
