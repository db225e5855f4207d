"""What every stage needs: the recipe, its data opened and checked, its tasks, and where stages live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from edgekit.data.check import DataReport, check_source
from edgekit.data.frameset import FrameSet
from edgekit.data.registry import SOURCES
from edgekit.data.source import FrameInfo, Source
from edgekit.data.statistics import Statistics, class_weights, compute_statistics
from edgekit.data.values import judge_values
from edgekit.distill.targets import check_losses
from edgekit.errors import EdgekitError
from edgekit.frames.files import cache_folder
from edgekit.pipeline.external import open_members, with_modalities
from edgekit.pipeline.fit import check_answers, check_fit, check_seen, no_label
from edgekit.pipeline.keys import computed_key
from edgekit.pipeline.scales import frame_size, with_scales
from edgekit.pipeline.stage import DELETE, FORMATS, Stage
from edgekit.recipe.foreign import foreign_parts
from edgekit.recipe.load import recipe_hash
from edgekit.recipe.schema import LEGAL, Recipe
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.teacher import ExternalTeacher
from edgekit.training.distributed import world
from edgekit.training.progress import Progress, note


def check_data(recipe: Recipe, base: Path) -> tuple[DataReport, Recipe]:
    """Open the data and read all of it once; also the recipe with numbers where it left sizes open.

    EdgekitError for what the recipe gets wrong.
    """
    source = open_data(recipe, base)
    members = open_members(recipe, base, FrameSet(source).tasks)
    report = _read_all(source, recipe, members)
    check_seen(recipe, report)
    frames = _frames(source, recipe, report)
    check_answers(frames, ("train", recipe.evaluate.split), members)
    return report, with_scales(recipe, frame_size(frames))


def open_data(recipe: Recipe, base: Path, *, log: Path | None = None) -> Source:
    """Open the data, and generate it where its source does. EdgekitError for what the data lacks.

    ``base``: the folder that relative paths start from.
    """
    entry = SOURCES[recipe.data.source]
    config = entry.config.model_validate({name: getattr(recipe.data, name) for name in entry.config.model_fields})
    source = with_modalities(recipe, base, entry.build(config, base, cache_folder()), cache_folder())
    frames = FrameSet(source, fold=_fold(recipe))
    tasks = frames.tasks
    named = {
        "tasks": recipe.tasks,
        "teacher.modalities": recipe.teacher.modalities,
        "student.modalities": recipe.student.modalities,
    }
    for where, names in named.items():
        for name in names:
            if name not in tasks:
                why_not = getattr(source, "why_not", lambda name: None)(name)
                fix = why_not or f"use one of {', '.join(tasks)}"
                raise EdgekitError(f"the data has no '{name}'", where=where, fix=fix)
    for name in recipe.tasks:
        if not kind_of(tasks[name]).predictable:
            raise EdgekitError(
                f"'{name}' is of the kind {tasks[name].kind}, which is seen and not predicted",
                where="tasks",
                fix="predict one of " + ", ".join(n for n, t in tasks.items() if kind_of(t).predictable),
            )
    if recipe.evaluate.split not in frames.splits():
        others = " or ".join(split for split in frames.splits() if split != "train")
        held_back = (
            "hold a fifth of train back, data.fold: {index: 0, of: 5}, or add the split, whose frames are labelled"
        )
        raise EdgekitError(
            f"there is no split '{recipe.evaluate.split}' to score the results on",
            where="evaluate.split",
            fix=f"evaluate.split: {others}" if others else held_back,
        )
    predicted = [tasks[name] for name in recipe.tasks]
    check_losses(recipe.distill.active({t.kind for t in predicted}), predicted, recipe.targets)
    check_fit(recipe, base, frames)
    prepare = getattr(source, "prepare", None)
    if prepare:
        with Progress("rendering", log) as bar:
            world().lead("rendering the data", lambda: prepare(bar.count))
            if not world().first:  # machines may have caches of their own
                prepare(bar.count)
    return source


def _needed(recipe: Recipe, members: Sequence[ExternalTeacher]) -> list[str]:
    """The maps of a frame that are read at all."""
    seen = {name for external in members for name in external.model.needs}
    return sorted({"rgb", *recipe.tasks, *recipe.teacher.modalities, *recipe.student.modalities, *seen})


def _read_all(
    source: Source, recipe: Recipe, members: Sequence[ExternalTeacher], log: Path | None = None
) -> DataReport:
    with Progress("checking data", log) as bar:
        report = check_source(source, recipe.data.on_bad_file, bar.count, _needed(recipe, members))
    judge_values(report, source.tasks, recipe.tasks, recipe.evaluate.split)
    return report


def _read_and_tell(source: Source, recipe: Recipe, members: Sequence[ExternalTeacher], log: Path) -> dict:
    report = _read_all(source, recipe, members, log)
    for remark in report.notes:
        note("data", remark)
    return report.to_json()


def _frames(source: Source, recipe: Recipe, report: DataReport) -> FrameSet:
    memory = int(recipe.data.memory_gb * 2**30)
    return FrameSet(source, excluded=report.excluded(), cache_bytes=memory, fold=_fold(recipe))


def _fold(recipe: Recipe) -> tuple[int, int] | None:
    fold = recipe.data.fold
    return (fold.index, fold.of) if fold else None


def _check_lengths(stage: Stage, found: Sequence[tuple[Sequence[list[float]] | None, Task]]) -> None:
    """EdgekitError where what a stage stored is not one number per channel of each task."""
    if not all(rows and {len(row) for row in rows} == {kind_of(task).channels(task)} for rows, task in found):
        raise EdgekitError("what is stored is of other data", where=str(stage.folder), fix=DELETE)


@dataclass
class Workbench:
    """The opened recipe, with numbers where it left sizes open.

    ``base`` is the folder that the recipe's paths start from, ``root`` the folder of runs. ``data_key`` changes with
    the data, with how it is read, and with the version of a package whose parts the recipe names.
    """

    recipe: Recipe
    base: Path
    root: Path
    log: Path
    frames: FrameSet
    report: DataReport
    data_key: str
    statistics: Statistics
    class_weights: dict[str, list[float]] = field(default_factory=dict)
    external: list[ExternalTeacher] = field(default_factory=list)
    prefix: str = ""  # of the titles of its stages

    @classmethod
    def open(cls, recipe: Recipe, base: Path, root: Path, log: Path) -> Workbench:
        """Open the data; check it and compute its statistics, unless both are stored and the data is the same."""
        source = open_data(recipe, base, log=log)
        tasks = FrameSet(source).tasks
        external, parts = open_members(recipe, base, tasks), foreign_parts(recipe, tasks)
        described = recipe.data.model_dump(mode="json", exclude={"memory_gb", "on_bad_file", *LEGAL})
        checked = Stage(
            root / "stages",
            "check",
            recipe_hash(
                [
                    *(FORMATS["check"], described, source.fingerprint(), recipe.data.on_bad_file),
                    *(_needed(recipe, external), parts),
                ]
            ),
        )
        report = DataReport.from_json(checked.result_or(lambda: _read_and_tell(source, recipe, external, log)))
        check_seen(recipe, report)
        frames = _frames(source, recipe, report)
        check_answers(frames, ("train", recipe.evaluate.split), external)
        data_key = recipe_hash(described, source.fingerprint(), sorted(report.excluded()), *parts)
        world().agree("data", data_key)
        bench = cls(
            with_scales(recipe, frame_size(frames)), base, root, log, frames, report, data_key, {}, external=external
        )
        return bench._measured()

    def without(self, held: Sequence[str], recipe: Recipe, prefix: str) -> Workbench:
        """The same data without the frames ``held``, for a recipe that differs in its training alone.

        ``prefix`` is written before the titles of its stages.
        """
        frames = self.frames.without(held)
        key = recipe_hash([self.data_key, "without", list(held)])
        return replace(self, recipe=recipe, frames=frames, data_key=key, prefix=prefix)._measured()

    def _measured(self) -> Workbench:
        """Compute the statistics of the train frames and the weights of their classes; returns self."""
        frames, recipe = self.frames, self.recipe
        names = sorted({"rgb", *recipe.teacher.modalities, *recipe.student.modalities})
        measure = partial(compute_statistics, frames, frames.frames("train"), names)
        stage = self.stage("statistics", names, computed_key(names))
        self.statistics, self.class_weights = stage.result_or(measure), {}
        _check_lengths(stage, [(self.statistics.get(name), self.frames.tasks[name]) for name in names])
        labelled, _ = self.train_frames()
        for name, task in recipe.tasks.items():
            if task.class_balance and frames.tasks[name].classes:
                stage = self.stage("class-weights", name, task.class_balance)
                weigh = partial(class_weights, frames, labelled, name, task.class_balance)
                self.class_weights[name] = stage.result_or(lambda: {"weights": weigh()})["weights"]  # noqa: B023
                _check_lengths(stage, [([self.class_weights[name]], frames.tasks[name])])
        return self

    def stage(self, name: str, *inputs: object) -> Stage:
        """The stage of this name that depends on the data and on ``inputs``."""
        return Stage(self.root / "stages", name, recipe_hash([FORMATS[name], self.data_key, *inputs]))

    @property
    def tasks(self) -> list[Task]:
        """What the student predicts, in the recipe's order."""
        return [self.frames.tasks[name] for name in self.recipe.tasks]

    @property
    def modalities(self) -> list[Task]:
        """What the teacher sees, in the recipe's order."""
        return [self.frames.tasks[name] for name in self.recipe.teacher.modalities]

    @property
    def seen(self) -> list[Task]:
        """What the student sees, in the recipe's order."""
        return [self.frames.tasks[name] for name in self.recipe.student.modalities]

    def train_frames(self) -> tuple[list[FrameInfo], list[FrameInfo]]:
        """(labelled, unlabelled) frames of the train split. EdgekitError where none is labelled."""
        everything = self.frames.frames("train")
        labelled = [f for f in everything if f.labelled]
        if not labelled:
            raise no_label(self.recipe)  # every labelled frame is a bad file
        return labelled, [f for f in everything if not f.labelled]
