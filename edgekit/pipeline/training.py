"""The stages that train: each member of the ensemble, the labels-only student, the distilled student."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from edgekit import limits
from edgekit.data.batches import Batches, BatchPlan, SoftMap
from edgekit.data.source import FrameInfo
from edgekit.distill.objective import StudentObjective
from edgekit.distill.self_training import SelfTrainingObjective
from edgekit.distill.targets import TargetStore
from edgekit.distill.warm_start import warm_start
from edgekit.errors import EdgekitError
from edgekit.networks.pretrained import load_encoder
from edgekit.pipeline.keys import student_start, student_weights, weights_of
from edgekit.pipeline.stage import DELETE
from edgekit.pipeline.stages import (
    baseline_config,
    baseline_stage,
    generations,
    student_config,
    student_stage,
    targets_stage,
    teacher_config,
    teacher_stage,
)
from edgekit.pipeline.targets import build_ensemble, compute_targets
from edgekit.pipeline.workbench import Workbench
from edgekit.students.student import Student, load_student, new_student
from edgekit.teachers.multimodal import MultiModal
from edgekit.teachers.objective import TeacherObjective
from edgekit.training.checkpoint import UNFINISHED, check_state, load_checkpoint, save_checkpoint
from edgekit.training.config import TrainConfig
from edgekit.training.distributed import world
from edgekit.training.loop import train
from edgekit.training.memory import enough_memory
from edgekit.training.precision import device
from edgekit.training.progress import Progress

Targets = Callable[[FrameInfo], dict[str, SoftMap]]


def _plan(bench: Workbench, config: TrainConfig, inputs: list[str], seed: int, targets: Targets | None) -> BatchPlan:
    labelled, others = bench.train_frames()
    return BatchPlan(
        labelled=labelled,
        others=others,
        size=config.batch_size,
        supervised=config.supervised(bool(others)),
        crop=config.crop,
        inputs=inputs,
        tasks=list(bench.recipe.tasks),
        augment=config.augment,
        seed=seed,
        targets=targets,
        target_stride=bench.recipe.targets.stride,
        label_stride=config.label_stride,
    )


def train_teacher(bench: Workbench, index: int, generation: int | None = None) -> MultiModal:
    """Ensemble member ``index``: read if it is done, else trained, from its last checkpoint if there is one.

    ``generation``: see ``edgekit.pipeline.stages``; the last by default. A second begins with the first, all of whose
    networks, and their targets, are made where they are not there.
    """
    recipe, member = bench.recipe, bench.recipe.teacher.members[index]
    generation = generation or generations(bench)
    stage, seed = teacher_stage(bench, index, generation), _seed(bench, member.seed)
    torch.manual_seed(seed)
    network = MultiModal(member, bench.modalities, bench.tasks, bench.statistics)
    with stage.unless_done() as todo:
        if todo:
            config = teacher_config(recipe, index, generation)
            title, targets = f"teacher {index + 1}/{len(recipe.teacher.members)}", None
            teacher = recipe.teacher.model_copy(update={"train": config})  # which the member may have of its own
            settings = (network, teacher, recipe.weights(), seed, bench.class_weights)
            if generation == 1:
                weights = weights_of(member, bench.base)
                if weights:
                    load_encoder(network.network, weights, network.channels()["rgb"])
                objective = TeacherObjective(*settings)
            else:
                targets, title = first_targets(bench)[0].read, f"{title}, second generation"
                network.load_state_dict(train_teacher(bench, index, 1).state_dict())
                objective = SelfTrainingObjective(*settings, distill=recipe.distill)
            names = list(recipe.teacher.modalities)
            batches = Batches(bench.frames, _plan(bench, config, names, seed, targets))
            key = f"teacher.members.{index}.train" if member.train else "teacher.train"
            save = lambda trained, path: save_checkpoint(path, {"state": trained.state_dict()})  # noqa: E731
            _train(bench, stage, network, objective, batches, config, key, title, save)
    path = stage.folder / "network.pt"
    state = load_checkpoint(path, most=limits.CHECKPOINT_BYTES).get("state")
    try:
        check_state(state, network.state_dict())
    except ValueError as error:
        raise EdgekitError(f"the file is not this network: {error}", where=str(path), fix=DELETE) from None
    network.load_state_dict(state)
    return network.to(device()).eval()


def train_teachers(bench: Workbench, generation: int | None = None) -> list[MultiModal]:
    """All members of the ensemble that are trained here; those that are done are read."""
    return [train_teacher(bench, index, generation) for index in range(len(bench.recipe.teacher.members))]


def first_targets(bench: Workbench) -> tuple[TargetStore, dict, str]:
    """What the ensemble of the first generation says of all train frames; see ``compute_targets``."""
    return compute_targets(bench, build_ensemble(bench, train_teachers(bench, 1)), targets_stage(bench, 1))


def distil_student(bench: Workbench) -> tuple[Student, list[MultiModal], dict[str, Any]]:
    """The recipe's distilled student, its teachers, and facts of the targets (see ``compute_targets``).

    Stages that are done are read.
    """
    networks = train_teachers(bench)
    store, facts, key = compute_targets(bench, build_ensemble(bench, networks))
    first = networks[0] if student_start(bench.recipe) == "teacher" else None
    return train_student(bench, targets=store.read, targets_key=key, first_teacher=first), networks, facts


def train_student(
    bench: Workbench, *, targets: Targets | None = None, targets_key: str = "", first_teacher: MultiModal | None = None
) -> Student:
    """The distilled student, or without targets the labels-only one.

    ``first_teacher``: for a student that starts from it; ``targets_key`` covers it, since the targets depend on it.
    A student that starts from the labels-only one trains that first, unless it is done.
    """
    recipe = bench.recipe
    if targets is None:
        config, stage = baseline_config(recipe), baseline_stage(bench)
        distill = recipe.distill.model_copy(update={"supervised": 1.0})  # labels are all it learns from
    else:
        config, distill, stage = student_config(recipe), recipe.distill, student_stage(bench, targets_key)
    with stage.unless_done() as todo:
        if todo:
            start = student_start(recipe) if targets else "nothing"
            labels_only = train_student(bench) if start == "labels" else None
            seed = _seed(bench, recipe.student.seed)
            torch.manual_seed(seed)
            student = untrained_student(bench)
            if start == "teacher":
                warm_start(student, first_teacher)
            elif labels_only:
                student.load_state_dict(labels_only.state_dict())
            batches = Batches(bench.frames, _plan(bench, config, list(recipe.student.modalities), seed, targets))
            objective = StudentObjective(student, distill, recipe.weights(), bench.class_weights, seed)
            title = "labels-only student" if targets is None else "distilled student"
            _train(bench, stage, student, objective, batches, config, "distill.train", title, Student.save)
    return load_student(stage.folder / "network.pt")


def untrained_student(bench: Workbench) -> Student:
    """The recipe's student before training, with the weights of its encoder where it has such."""
    student = new_student(bench.recipe.student, bench.tasks, bench.seen, bench.statistics)
    if weights := student_weights(bench.recipe, bench.base):
        load_encoder(student.network, weights, student.channels()["rgb"])
    return student


def _train(
    bench: Workbench, stage, network, objective, batches, config: TrainConfig, key: str, title: str, save
) -> None:
    size, crop = config.batch_size, "×".join(map(str, config.crop))
    doing = f"training {title} on batches of {size} frames of {crop}"
    fix = f"lower {key}.batch_size ({size}) or {key}.crop ({crop}), or raise {key}.micro_batches"
    with Progress(bench.prefix + title, bench.log) as progress, enough_memory(doing, f"{key}.batch_size", fix):
        trained = train(network, objective, batches, config, folder=stage.folder, progress=progress, key=key)
    if world().first:
        save(trained, stage.folder / "network.pt")
        stage.finish({"seconds": round(progress.seconds, 1), "waiting": progress.waiting}, ["network.pt"])
        (stage.folder / UNFINISHED).unlink(missing_ok=True)


def _seed(bench: Workbench, member: int) -> int:
    return bench.recipe.seed * 1000 + member
