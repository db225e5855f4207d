"""What a stage depends on, resolved: registered names are replaced by what they stand for, defaults are written out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgekit.data.modalities import COMPUTED
from edgekit.heads import HEADS
from edgekit.networks import encoder_of, resolved_shape
from edgekit.networks.pretrained import IMAGENET, Weights, find_weights
from edgekit.pipeline.stage import FORMATS
from edgekit.recipe.schema import Recipe
from edgekit.students.student import student_shape
from edgekit.tasks import kind_of
from edgekit.teachers.config import MemberConfig
from edgekit.training.config import TrainConfig
from edgekit.training.distributed import world

if TYPE_CHECKING:  # the workbench imports this module
    from edgekit.pipeline.workbench import Workbench


def student_key(bench: Workbench) -> dict[str, Any]:
    """The recipe's student: family, every argument of its shape, what it sees and predicts."""
    config = bench.recipe.student
    family, shape = student_shape(config.name, config.width, config.shape)
    weights = student_weights(bench.recipe, bench.base)
    return {
        "family": family,
        **config.model_dump(include={"modalities", "may_lack"}),
        **({"weights": weights.key} if weights else {}),
        "shape": resolved_shape(family, shape),
        "input_scale": config.input_scale,
        "seed": config.seed,
        "heads": heads_key(bench),
    }


def network_key(member: MemberConfig) -> dict[str, Any]:
    """A network of the ensemble: family and every argument of its shape."""
    return {"family": member.family, "shape": resolved_shape(member.family, member.shape()), "seed": member.seed}


def weights_of(member: MemberConfig, base: Path) -> Weights | None:
    """The weights that a network of the ensemble starts from, if any. ``base``: where the recipe's paths start."""
    encoder = encoder_of(member.family, member.shape())
    return find_weights(encoder, member.weights or IMAGENET, base) if encoder else None


def student_weights(recipe: Recipe, base: Path) -> Weights | None:
    """The weights that the student's encoder begins with, if it has one that comes with weights."""
    student = recipe.student
    encoder = encoder_of(*student_shape(student.name, student.width, student.shape))
    return find_weights(encoder, recipe.student.weights or IMAGENET, base, "student") if encoder else None


def student_start(recipe: Recipe) -> Literal["teacher", "labels", "nothing"]:
    """What the student's weights begin as: what the recipe says, else the first teacher where it fits, else labels."""
    asked, teacher = recipe.distill.start, recipe.teacher
    if asked is not None:
        return asked
    if not teacher.members or not set(recipe.student.modalities) <= set(teacher.modalities):
        return "labels"
    member = teacher.members[0]
    student = recipe.student
    family, shape = student_shape(student.name, student.width, student.shape)
    fits = (family, resolved_shape(family, shape)) == (member.family, resolved_shape(member.family, member.shape()))
    return "teacher" if fits else "labels"


def heads_key(bench: Workbench) -> list[Any]:
    """What is predicted, by which heads, and how the data was checked and measured for it."""
    key: list[Any] = [FORMATS[stage] for stage in ("check", "statistics", "class-weights")]
    for task in bench.tasks:
        head = HEADS[task.kind]
        public = {name: getattr(head, name) for name in dir(head) if not name.startswith("_")}
        values = {name: value for name, value in public.items() if not callable(value)} | vars(head)
        key.append([task.name, task.kind, kind_of(task).channels(task), type(head).__qualname__, values])
    return key


def computed_key(names: Iterable[str]) -> dict[str, int]:
    """The versions of those modalities among ``names`` that are computed from rgb."""
    return {name: COMPUTED[name].version for name in sorted(set(names)) if name in COMPUTED}


def training_key(config: TrainConfig) -> dict[str, Any]:
    """The settings that a result depends on: not the number of loading threads, nor how often a checkpoint is written.

    The number of processes matters only through the number of micro-batches.
    """
    exclude = {"workers", "checkpoint_every", "micro_batches"} | (set() if config.compile else {"compile"})
    parts = config.parts(world().size)
    return config.model_dump(mode="json", exclude=exclude) | ({"micro_batches": parts} if parts > 1 else {})
