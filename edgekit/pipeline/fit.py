"""Checks of a recipe before its data is read: whether student, training, labels and teachers fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from edgekit.data.check import DataReport
from edgekit.data.frameset import FrameSet
from edgekit.data.statistics import Statistics
from edgekit.distill.config import teaches
from edgekit.distill.warm_start import warm_start
from edgekit.errors import EdgekitError, first_line
from edgekit.heads import HEADS
from edgekit.networks.pretrained import IMAGENET, Weights, load_encoder
from edgekit.pipeline.keys import student_start, student_weights, weights_of
from edgekit.recipe.schema import Recipe
from edgekit.students.student import Student, new_student
from edgekit.tasks import Task, kind_of
from edgekit.teachers.config import MemberConfig
from edgekit.teachers.external.teacher import ExternalTeacher
from edgekit.teachers.masking import distinct_maskings
from edgekit.teachers.multimodal import MultiModal
from edgekit.training.distributed import world
from edgekit.training.progress import note


def check_fit(recipe: Recipe, base: Path, frames: FrameSet) -> None:
    """EdgekitError for mistakes that would otherwise end a run late: after data was read or teachers were trained.

    ``base`` is the folder that the recipe's paths start from.
    """
    tasks = frames.tasks
    for name in recipe.tasks:
        _check_task(recipe, name, tasks[name])
    for key, config in (("teacher.train", recipe.teacher.train), ("distill.train", recipe.distill.train)):
        config.parts(world().size, key)
    _check_labels(recipe, frames)
    if few := fewer_maskings(recipe):
        note("ensemble", few)
    with torch.random.fork_rng(devices=[]):  # the networks that are built here leave the random state as it was
        _check_members(recipe, base, tasks)
        _check_student(recipe, base, frames)


def check_seen(recipe: Recipe, report: DataReport) -> None:
    """EdgekitError where frames lack what the student sees and must not lack."""
    for name in recipe.student.modalities:
        lacking = report.missing.get(name, 0)
        if lacking and name not in recipe.student.may_lack:
            raise EdgekitError(
                f"{lacking} frames have no '{name}', which the student sees",
                where="student.modalities",
                fix=f"write student.may_lack: [{name}], or leave such frames out",
            )


def check_answers(frames: FrameSet, splits: Sequence[str], members: Sequence[ExternalTeacher]) -> None:
    """Run each external teacher on one frame of each split, and check that stored predictions are complete.

    EdgekitError for a prediction that does not fit, and for a missing one, unless the recipe has ``missing: skip``.
    """
    for external in members:
        for split in splits:
            infos = frames.frames(split)
            lacking = [f for f in infos if external.model.lacks(f)]
            if lacking and external.config.missing == "error":
                raise EdgekitError(
                    f"'{external.name}' has no prediction for {len(lacking)} of {len(infos)} frames of {split}, "
                    f"the first is '{lacking[0].name}'",
                    where=external.where,
                    fix="complete them, or leave such frames to the other teachers: missing: skip",
                )
            asked = next((f for f in infos if f not in lacking), None)
            if asked is not None:
                external.answer(frames, asked, None)


def fewer_maskings(recipe: Recipe) -> str | None:
    """A sentence where the recipe asks for more maskings than its modalities have; None where not."""
    asked, teacher = recipe.ensemble.maskings, recipe.teacher
    if not teacher.members or "maskings" not in recipe.ensemble.model_fields_set:
        return None
    found = len(distinct_maskings(asked, teacher.modalities, teacher.masking, recipe.ensemble.seed))
    if found == asked:
        return None
    return f"ensemble.maskings asks for {asked}, and of {', '.join(teacher.modalities)} there are {found} to be learned"


def _check_task(recipe: Recipe, name: str, task: Task) -> None:
    """EdgekitError where the head lacks a form of output of the kind, or where no loss would train the student."""
    kind, head = kind_of(task), HEADS[task.kind]
    for form in kind.forms:
        if not hasattr(head, f"{form.name}_nodes"):
            raise EdgekitError(
                f"the kind '{kind.name}' has the form '{form.name}', and its head no method '{form.name}_nodes'",
                where=f"tasks.{name}",
                fix=f"add the method to {type(head).__module__}.{type(head).__name__}",
            )
    if not recipe.distill.supervised and not any(
        teaches(loss, kind.name) for loss in recipe.distill.active({kind.name})
    ):
        raise EdgekitError(
            f"nothing teaches the student '{name}': no loss for {kind.name} is on, and labels have the weight 0",
            where="distill.supervised",
            fix="give it a weight, or switch on a loss under distill.losses",
        )


def no_label(recipe: Recipe) -> EdgekitError:
    """The error where no train frame is labelled."""
    if "labelled" in type(recipe.data).model_fields:
        where, fix = "data.labelled", "give a larger share or a list"
    else:
        where, fix = "data", "say which of the data's tasks are labels, and check that train frames have them"
    return EdgekitError("no train frame is labelled", where=where, fix=fix)


def _check_labels(recipe: Recipe, frames: FrameSet) -> None:
    if not all(frames.source.frames(split) for split in frames.source.splits()):
        return  # reading the data reports an empty split, with its reason
    if not any(f.labelled for f in frames.frames("train")):
        raise no_label(recipe)
    split = recipe.evaluate.split
    if not any(f.labelled for f in frames.frames(split)):
        raise EdgekitError(
            f"no frame of '{split}' is labelled, and the run's table is scored on it",
            where="evaluate.split",
            fix=f"add labels to {split}, name another of {', '.join(frames.splits())}, or hold a fifth of train "
            "back for it: data.fold: {index: 0, of: 5}",
        )


def _check_members(recipe: Recipe, base: Path, tasks: Mapping[str, Task]) -> None:
    """Build each network of the ensemble, load its weights and run it on a crop. EdgekitError where one fails."""
    shapes = {
        str(m.model_copy(update={"seed": 0})): (i, m) for i, m in reversed(list(enumerate(recipe.teacher.members)))
    }
    for index, member in shapes.values():
        network = _untrained(recipe, member, tasks)
        where = f"teacher.members.{index}"
        _check_weights(network, member.family, weights_of(member, base), member.weights, where)
        if member.family != "timm":
            continue  # all other families take any size
        crop = (member.train or recipe.teacher.train).crop
        channels = sum(network.sizes[t.name] for t in network.modalities)
        try:
            with torch.no_grad():
                network.eval()(torch.zeros(1, channels, *crop), torch.ones(len(network.modalities), dtype=torch.bool))
        except Exception as error:  # of many types, as where timm builds it
            raise EdgekitError(
                f"the encoder cannot read crops of {crop[0]}×{crop[1]}: {first_line(error)}",
                where=where,
                fix="use an encoder that takes any size, or a crop that it takes",
            ) from error


def _check_weights(
    network: MultiModal | Student, name: str, weights: Weights | None, said: str | None, where: str
) -> None:
    """Put the weights into the network, or say that they will be fetched; ``said``: the recipe's word for them.

    EdgekitError where they are of another network, or the network does not see what they are for.
    """
    if not weights:
        return
    rgb = network.channels().get("rgb")
    if rgb is None:
        raise EdgekitError(
            f"'{name}' begins with weights that are for rgb, which it does not see",
            where=f"{where}.weights",
            fix="write weights: none, or let it see rgb too",
        )
    if weights.fetched:
        note(where, f"the weights will be downloaded before training: {weights.key}")
        return
    left = load_encoder(network.network, weights, rgb)
    if left and said not in (None, IMAGENET):
        some = ", ".join(left[:5]) + ", …" * (len(left) > 5)
        note(where, f"{len(left)} tensors of {weights.file} are not used: {some}")


def _untrained(recipe: Recipe, member: MemberConfig, tasks: Mapping[str, Task]) -> MultiModal:
    """A network of the ensemble, with statistics that stand for those of the data."""
    seen = [tasks[name] for name in recipe.teacher.modalities]
    return MultiModal(member, seen, [tasks[name] for name in recipe.tasks], _plain(seen))


def _plain(seen: Sequence[Task]) -> Statistics:
    """What stands for the statistics of the data, which are known after it was read."""
    sizes = {task.name: kind_of(task).channels(task) for task in seen}
    return {name: ([0.0] * count, [1.0] * count) for name, count in sizes.items()}


def _check_student(recipe: Recipe, base: Path, frames: FrameSet) -> None:
    """Build the student, and start it from the first teacher where the recipe does. EdgekitError where one fails."""
    tasks = frames.tasks
    answered = {name for e in recipe.teacher.external if e.role == "modality" for name in e.outputs}
    for name in recipe.student.modalities:
        computed = name not in frames.source.tasks
        if computed or name in answered:
            raise EdgekitError(
                f"'{name}' is {'computed from rgb' if computed else 'what a teacher answers'}, and the student sees "
                "what a device's sensors give",
                where="student.modalities",
                fix="show it to the teachers alone: teacher.modalities",
            )
    seen = [tasks[name] for name in recipe.student.modalities]
    config = recipe.student.model_copy(update={"input_scale": 1.0})  # frames of any size
    student = new_student(config, [tasks[name] for name in recipe.tasks], seen, _plain(seen))
    _check_weights(student, recipe.student.name, student_weights(recipe, base), recipe.student.weights, "student")
    if student_start(recipe) == "teacher":
        warm_start(student, _untrained(recipe, recipe.teacher.members[0], tasks))
