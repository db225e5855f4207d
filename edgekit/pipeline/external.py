"""The recipe's external teachers, opened: as modalities of the data, and as members of the ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgekit.data.modalities import with_computed
from edgekit.data.source import Source
from edgekit.errors import EdgekitError
from edgekit.recipe.schema import Recipe
from edgekit.tasks import Task
from edgekit.teachers.external.modality import WithModalities
from edgekit.teachers.external.teacher import ExternalTeacher


def with_modalities(recipe: Recipe, base: Path, source: Source, cache: Path) -> Source:
    """The source with the outputs of every external teacher with the role modality, in the recipe's order.

    EdgekitError for a teacher that does not fit, and for an output whose name the data has already.
    """
    for i, config in enumerate(recipe.teacher.external):
        if config.role != "modality":
            continue
        known = with_computed(source.tasks)
        taken = [name for name in config.outputs if name in known]
        if taken:
            raise EdgekitError(
                f"the data has a '{taken[0]}' already",
                where=f"{_place(i)}.outputs",
                fix="give the modality another name, and name the teacher's output with output:",
            )
        source = WithModalities(source, _opened(recipe, i, base, known), cache)
    return source


def open_members(recipe: Recipe, base: Path, tasks: Mapping[str, Task]) -> list[ExternalTeacher]:
    """The external teachers with the role member. EdgekitError where one does not fit, or a task has no teacher."""
    members = []
    for i, config in enumerate(recipe.teacher.external):
        if config.role == "member":
            foreign = [name for name in config.outputs if name not in recipe.tasks]
            if foreign:
                raise EdgekitError(
                    f"the recipe does not predict '{foreign[0]}'",
                    where=f"{_place(i)}.outputs",
                    fix=f"it predicts {', '.join(recipe.tasks)}; for an input of the networks write role: modality",
                )
            members.append(_opened(recipe, i, base, tasks))
    answered = {name for member in members for name in member.tasks}
    silent = [name for name in recipe.tasks if name not in answered]
    if silent and not recipe.teacher.members:
        raise EdgekitError(
            f"no teacher predicts '{silent[0]}'",
            where="teacher",
            fix="train one under teacher.members, or add an output to one of teacher.external",
        )
    return members


def _opened(recipe: Recipe, index: int, base: Path, known: Mapping[str, Task]) -> ExternalTeacher:
    """The external teacher of this index. EdgekitError where one of its inputs is a task of the recipe."""
    external = ExternalTeacher(recipe.teacher.external[index], base, known, _place(index))
    labels = [name for name in external.model.needs if name in recipe.tasks]
    if labels:
        raise EdgekitError(
            f"'{external.name}' has the input '{labels[0]}', which is a task of the recipe: it would see the label",
            where=_place(index),
            fix="show it other modalities, or do not predict that task",
        )
    return external


def _place(index: int) -> str:
    return f"teacher.external.{index}"
