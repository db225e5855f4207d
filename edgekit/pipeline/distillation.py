"""From trained teachers to the distilled student: their ensemble's targets, and the student that learns from them."""

from __future__ import annotations

from typing import Any

from edgekit.pipeline.keys import student_start
from edgekit.pipeline.targets import build_ensemble, compute_targets
from edgekit.pipeline.training import train_student, train_teachers
from edgekit.pipeline.workbench import Workbench
from edgekit.students.student import Student
from edgekit.teachers.multimodal import MultiModal


def distil_student(bench: Workbench) -> tuple[Student, list[MultiModal], dict[str, Any]]:
    """The recipe's distilled student, its teachers, and facts of the targets (see ``compute_targets``).

    Stages that are done are read.
    """
    networks = train_teachers(bench)
    store, facts, key = compute_targets(bench, build_ensemble(bench, networks))
    first = networks[0] if student_start(bench.recipe) == "teacher" else None
    return train_student(bench, targets=store.read, targets_key=key, first_teacher=first), networks, facts
