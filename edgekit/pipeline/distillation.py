"""From trained teachers to the distilled student: their ensemble's targets, and the student that learns from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.pipeline.keys import student_start
from edgekit.pipeline.stage import Stage
from edgekit.pipeline.targets import build_ensemble, compute_targets
from edgekit.pipeline.training import train_student, train_teacher
from edgekit.pipeline.workbench import Workbench
from edgekit.students.student import Student
from edgekit.teachers.multimodal import MultiModal


@dataclass(frozen=True)
class Distilled:
    """``facts`` of the targets (members, seconds, bytes per frame); ``stage`` is the student's."""

    networks: list[MultiModal]
    facts: dict[str, Any]
    student: Student
    stage: Stage


def distil_student(bench: Workbench) -> Distilled:
    """The recipe's distilled student; what is done of teachers, targets and student is read."""
    networks = [train_teacher(bench, i) for i in range(len(bench.recipe.teacher.members))]
    store, facts, key = compute_targets(bench, build_ensemble(bench, networks))
    first = networks[0] if student_start(bench.recipe) == "teacher" else None
    student, stage = train_student(bench, targets=store.read, targets_key=key, first_teacher=first)
    return Distilled(networks, facts, student, stage)
