"""What can be said of a recipe before its data is read: whether student, trainings, labels and teachers fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekit.data.frameset import FrameSet
from edgekit.distill.config import teaches
from edgekit.distill.warm_start import warm_start
from edgekit.errors import EdgekitError
from edgekit.heads import HEADS
from edgekit.pipeline.keys import starts_from_teacher
from edgekit.recipe.schema import Recipe
from edgekit.students.student import Student
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.external import External
from edgekit.teachers.multimodal import MultiModal
from edgekit.training.distributed import world


def check_fit(recipe: Recipe, frames: FrameSet) -> None:
    """EdgekitError for what would end a run late: after the data was read, or after teachers were trained."""
    tasks = frames.tasks
    _check_heads(recipe, tasks)
    _check_taught(recipe, tasks)
    for key, config in (("teacher.train", recipe.teacher.train), ("distill.train", recipe.distill.train)):
        config.parts(world().size, key)
    _check_labels(recipe, frames)
    _check_student(recipe, tasks)


def check_answers(frames: FrameSet, splits: Sequence[str], members: Sequence[External]) -> None:
    """Ask each teacher from elsewhere about one frame of each split, and those on disk whether they have all of them.

    EdgekitError for an answer that does not fit, and for a frame without one, unless the recipe says ``missing: skip``.
    """
    for external in members:
        for split in splits:
            infos = frames.frames(split)
            lacking = [f for f in infos if external.form.lacks(f)]
            if lacking and external.config.missing == "error":
                raise EdgekitError(
                    f"'{external.name}' has no answer for {len(lacking)} of {len(infos)} frames of {split}, "
                    f"the first is '{lacking[0].name}'",
                    where=external.where,
                    fix="complete them, or let the others speak for such frames: missing: skip",
                )
            asked = next((f for f in infos if f not in lacking), None)
            if asked is not None:
                external.answer(frames, asked, None)


def _check_heads(recipe: Recipe, tasks: Mapping[str, Task]) -> None:
    """Refuse a kind whose torch half cannot make all of its forms of output."""
    for name in recipe.tasks:
        kind, head = kind_of(tasks[name]), HEADS[tasks[name].kind]
        for form in kind.forms:
            if not hasattr(head, f"{form.name}_nodes"):
                raise EdgekitError(
                    f"the kind '{kind.name}' has the form '{form.name}', and its head no method '{form.name}_nodes'",
                    where=f"tasks.{name}",
                    fix=f"add the method to {type(head).__module__}.{type(head).__name__}",
                )


def _check_taught(recipe: Recipe, tasks: Mapping[str, Task]) -> None:
    """Refuse a task that neither labels nor a loss would teach the student."""
    for name in recipe.tasks:
        taught = recipe.distill.supervised or any(
            teaches(loss, tasks[name].kind) for loss in recipe.distill.active({tasks[name].kind})
        )
        if not taught:
            raise EdgekitError(
                f"nothing teaches the student '{name}': no loss for {tasks[name].kind} is on, and labels weigh 0",
                where="distill.supervised",
                fix="give it a weight, or switch on a loss under distill.losses",
            )


def no_label(recipe: Recipe) -> EdgekitError:
    """What to raise where no train frame is labelled."""
    if "labelled" in type(recipe.data).model_fields:
        where, fix = "data.labelled", "give a larger share or a list"
    else:
        where, fix = "data", "say which of the data's tasks are labels, and check that train frames have them"
    return EdgekitError("no train frame is labelled", where=where, fix=fix)


def _check_labels(recipe: Recipe, frames: FrameSet) -> None:
    if not all(frames.source.frames(split) for split in frames.source.splits()):
        return  # an empty split is told, with its reason, where the data is read
    if not any(f.labelled for f in frames.frames("train")):
        raise no_label(recipe)
    split = recipe.evaluate.split
    if not any(f.labelled for f in frames.frames(split)):
        raise EdgekitError(
            f"no frame of '{split}' is labelled, and the run's table is scored on it",
            where="evaluate.split",
            fix=f"add labels to {split}, or name another of {', '.join(frames.splits())}",
        )


def _check_student(recipe: Recipe, tasks: Mapping[str, Task]) -> None:
    """Build it, and start it from the first teacher if the recipe says so: both refuse what does not fit."""
    predicted = [tasks[name] for name in recipe.tasks]
    config = recipe.student
    plain = {"mean": [0.0] * 3, "std": [1.0] * 3}  # the true ones are known when the data was read
    student = Student(config.name, predicted, width=config.width, allow_over_limit=config.allow_over_limit, **plain)
    if starts_from_teacher(recipe):
        seen = [tasks[name] for name in recipe.teacher.modalities]
        sizes = {task.name: kind_of(task).channels(task) for task in seen}
        statistics = {name: ([0.0] * count, [1.0] * count) for name, count in sizes.items()}
        warm_start(student, MultiModal(recipe.teacher.members[0], seen, predicted, statistics))
