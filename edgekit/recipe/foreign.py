"""The parts of other packages that a recipe uses, which its stages depend on beside the recipe and the data."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.data.modalities import COMPUTED
from edgekit.data.registry import SOURCES
from edgekit.heads import HEADS
from edgekit.losses import LOSSES
from edgekit.networks import FAMILIES
from edgekit.recipe.schema import Recipe
from edgekit.students.registry import STUDENTS
from edgekit.tasks import KINDS, Task
from edgekit.teachers.external.registry import EXTERNAL_MODELS


def foreign_parts(recipe: Recipe, tasks: Mapping[str, Task]) -> list[str]:
    """``edgekit.losses brier: my-package 1.2`` for each, sorted; empty where every part is edgekit's own.

    tasks  those of the data, by name
    """
    kinds = [tasks[name].kind for name in (*recipe.tasks, *recipe.teacher.modalities)]
    named = [
        *((table, kind) for table in (KINDS, HEADS) for kind in kinds if kind in table),
        (SOURCES, recipe.data.source),
        *((SOURCES, part.source) for part in vars(recipe.data).values() if hasattr(part, "source")),
        (STUDENTS, recipe.student.name),
        (FAMILIES, STUDENTS[recipe.student.name].family),
        *((FAMILIES, member.family) for member in recipe.teacher.members),
        *((EXTERNAL_MODELS, external.kind) for external in recipe.teacher.external),
        *((COMPUTED, name) for name in recipe.teacher.modalities if name in COMPUTED),
        *((LOSSES, name) for name in recipe.distill.active({tasks[task].kind for task in recipe.tasks})),
    ]
    origins = {(table.group, name): table.origin(name) for table, name in named}
    return sorted(f"{group} {name}: {origin}" for (group, name), origin in origins.items() if origin)
