"""The stages of a run: what each depends on, which its key holds. What they do: ``training`` and ``targets``.

Teachers have one generation or two. The first learns from labels. Where there is a second (self-training), each network
learns on from labels and from what the ensemble of the first says of all frames; the last generation is the ensemble.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.networks import FAMILIES
from edgekit.pipeline.keys import (
    computed_key,
    heads_key,
    network_key,
    student_key,
    student_start,
    training_key,
    weights_of,
)
from edgekit.pipeline.stage import Stage
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.schema import Recipe
from edgekit.students.registry import STUDENTS
from edgekit.training.config import TrainConfig

SELF_TRAINING_SHARE = 0.5  # of a batch drawn from labelled frames, at most


def generations(bench: Workbench) -> int:
    """How many generations of teachers there are: one where no frame is unlabelled, or no network is trained here."""
    return bench.recipe.teacher.generations if bench.train_frames()[1] and bench.recipe.teacher.members else 1


def teacher_config(recipe: Recipe, index: int, generation: int = 1) -> TrainConfig:
    """How ensemble member ``index`` is trained, with the defaults of its family."""
    member = recipe.teacher.members[index]
    config = (member.train or recipe.teacher.train).resolved(FAMILIES[member.family])
    if generation == 1:
        return config
    return config.model_copy(update={"labelled_share": min(config.labelled_share, SELF_TRAINING_SHARE)})


def teacher_stage(bench: Workbench, index: int, generation: int | None = None) -> Stage:
    """The stage of ensemble member ``index``, of the last generation by default.

    Members that differ in nothing but their place share it.
    """
    recipe, member = bench.recipe, bench.recipe.teacher.members[index]
    if (generation or generations(bench)) == 2:
        before = [teacher_stage(bench, index, 1).key, targets_stage(bench, 1).key]
        losses = [recipe.distill.active({task.kind for task in bench.tasks}), recipe.distill.agreement]
        return bench.stage("teacher", *before, *losses, training_key(teacher_config(recipe, index, 2)))
    weights = weights_of(member, bench.base)
    return bench.stage(
        "teacher",
        recipe.seed,
        network_key(member),
        weights.key if weights else None,
        heads_key(bench),
        recipe.teacher.modalities,
        computed_key(recipe.teacher.modalities),
        recipe.teacher.masking,
        recipe.teacher.reconstruct,
        training_key(teacher_config(recipe, index)),
        recipe.tasks,
    )


def teacher_stages(bench: Workbench, generation: int | None = None) -> list[tuple[int, Stage]]:
    """(index of the member, its stage) of a generation; of members that share a stage the first."""
    members = range(len(bench.recipe.teacher.members))
    found = {stage.key: (i, stage) for i in reversed(members) for stage in [teacher_stage(bench, i, generation)]}
    return sorted(found.values(), key=lambda pair: pair[0])


def targets_stage(bench: Workbench, generation: int | None = None) -> Stage:
    """The stage of the ensemble's predictions for the train frames, of the last generation by default."""
    recipe = bench.recipe
    teachers = [teacher_stage(bench, i, generation).key for i in range(len(recipe.teacher.members))]
    teachers += [external.key() for external in bench.external]
    needed = computed_key(name for external in bench.external for name in external.model.needs)
    predicted = [heads_key(bench), list(recipe.tasks), needed]
    settings = [recipe.ensemble.key(), recipe.targets, recipe.teacher.train.precision]
    return bench.stage("targets", teachers, predicted, *settings)


def before_last_generation(bench: Workbench) -> Iterator[tuple[str, Stage]]:
    """(name, stage) of what a second generation learns from: the first, and its targets; nothing where there is one."""
    if generations(bench) == 2:
        for index, stage in teacher_stages(bench, 1):
            yield f"teacher {index + 1}, first generation", stage
        yield "targets of the first generation", targets_stage(bench, 1)


def student_config(recipe: Recipe) -> TrainConfig:
    """How the distilled student is trained, with the defaults of its family."""
    return recipe.distill.train.resolved(FAMILIES[STUDENTS[recipe.student.name].family])


def baseline_config(recipe: Recipe) -> TrainConfig:
    """How the labels-only student is trained."""
    config = student_config(recipe)
    rate = recipe.baseline.learning_rate or config.learning_rate
    return config.model_copy(update={"labelled_share": 1.0, "learning_rate": rate})


def baseline_stage(bench: Workbench) -> Stage:
    """The stage of the labels-only student."""
    recipe = bench.recipe
    settings = training_key(baseline_config(recipe))
    return bench.stage("baseline", recipe.seed, student_key(bench), settings, recipe.tasks)


def student_stage(bench: Workbench, targets_key: str) -> Stage:
    """The stage of the student that is distilled from the targets of ``targets_key``."""
    recipe = bench.recipe
    settings = recipe.distill.model_dump(mode="json", exclude={"train", "unless_better", "losses"})
    settings["losses"] = recipe.distill.active({task.kind for task in bench.tasks})  # with the defaults of each
    start = student_start(recipe)  # the key of the targets covers the teachers
    settings |= {"train": training_key(student_config(recipe)), "start": start}
    settings |= {"labels": baseline_stage(bench).key} if start == "labels" else {}
    return bench.stage("student", recipe.seed, student_key(bench), settings, recipe.tasks, targets_key)
