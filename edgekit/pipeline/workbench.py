"""What every stage needs: the recipe, its data opened and checked, its tasks, and where stages live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from edgekit.pipeline.fit import check_answers, check_fit, no_label
from edgekit.pipeline.stage import FORMATS, Stage
from edgekit.recipe.foreign import foreign_parts
from edgekit.recipe.load import recipe_hash
from edgekit.recipe.schema import LEGAL, Recipe
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.external import External
from edgekit.training.distributed import world
from edgekit.training.progress import Progress


def open_source(recipe: Recipe, base: Path) -> Source:
    """The recipe's data source; ``base`` is the folder that relative paths start from."""
    entry = SOURCES[recipe.data.source]
    config = entry.config.model_validate({name: getattr(recipe.data, name) for name in entry.config.model_fields})
    return entry.build(config, base, cache_folder())


def check_data(recipe: Recipe, base: Path) -> DataReport:
    """Open the data and read all of it once. EdgekitError for what the recipe gets wrong."""
    source = open_data(recipe, base)
    members = open_members(recipe, base, FrameSet(source).tasks)
    report = _read_all(source, recipe, members)
    check_answers(_frames(source, recipe, report), ("train", recipe.evaluate.split), members)
    return report


def open_data(recipe: Recipe, base: Path, *, log: Path | None = None) -> Source:
    """Open the data and make what is generated. EdgekitError for what the recipe asks and the data does not have."""
    source = with_modalities(recipe, base, open_source(recipe, base), cache_folder())
    frames = FrameSet(source, fold=_fold(recipe))
    tasks = frames.tasks
    for where, names in (("tasks", recipe.tasks), ("teacher.modalities", recipe.teacher.modalities)):
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
        raise EdgekitError(
            f"there is no split '{recipe.evaluate.split}'",
            where="evaluate.split",
            fix=f"use one of {', '.join(frames.splits())}",
        )
    predicted = [tasks[name] for name in recipe.tasks]
    check_losses(recipe.distill.active({t.kind for t in predicted}), predicted, recipe.targets)
    check_fit(recipe, base, frames)
    prepare = getattr(source, "prepare", None)
    if prepare:
        with Progress("rendering", log) as bar:
            world().lead("rendering the data", lambda: prepare(bar.count))
            if not world().first:  # another machine's cache may be another one
                prepare(bar.count)
    return source


def _needed(recipe: Recipe, members: Sequence[External]) -> list[str]:
    """What anybody reads of a frame."""
    seen = {name for external in members for name in external.form.needs}
    return sorted({"rgb", *recipe.tasks, *recipe.teacher.modalities, *seen})


def _read_all(source: Source, recipe: Recipe, members: Sequence[External], log: Path | None = None) -> DataReport:
    with Progress("checking data", log) as bar:
        report = check_source(source, recipe.data.on_bad_file, bar.count, _needed(recipe, members))
    judge_values(report, source.tasks, recipe.tasks, recipe.evaluate.split)
    return report


def _frames(source: Source, recipe: Recipe, report: DataReport) -> FrameSet:
    return FrameSet(
        source,
        excluded=report.excluded(),
        cache_bytes=int(recipe.data.memory_gb * 2**30),
        fold=_fold(recipe),
    )


def _fold(recipe: Recipe) -> tuple[int, int] | None:
    fold = recipe.data.fold
    return (fold.index, fold.of) if fold else None


@dataclass
class Workbench:
    """The opened recipe.

    ``base`` is the folder that the recipe's paths start from, ``root`` that of runs; ``data_key`` changes when the data
    or its reading does, and with the version of a package whose parts the recipe names.
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
    external: list[External] = field(default_factory=list)
    doing: str = ""  # before the titles of its stages, where they are a part of something

    @classmethod
    def open(cls, recipe: Recipe, base: Path, root: Path, log: Path) -> Workbench:
        """Open the data; check it and compute its statistics, unless that was done and the data is the same."""
        source = open_data(recipe, base, log=log)
        external = open_members(recipe, base, FrameSet(source).tasks)
        described = recipe.data.model_dump(mode="json", exclude={"memory_gb", "on_bad_file", *LEGAL})
        checked = Stage(
            root / "stages",
            "check",
            recipe_hash(
                [FORMATS["check"], described, source.fingerprint(), recipe.data.on_bad_file, _needed(recipe, external)]
            ),
        )
        with checked.unless_done() as todo:
            if todo and world().first:
                checked.finish(_read_all(source, recipe, external, log).to_json(), [])
        report = DataReport.from_json(checked.result())
        frames = _frames(source, recipe, report)
        check_answers(frames, ("train", recipe.evaluate.split), external)
        parts = foreign_parts(recipe, frames.tasks)
        data_key = recipe_hash(described, source.fingerprint(), sorted(report.excluded()), *parts)
        world().agree("data", data_key)
        bench = cls(recipe, base, root, log, frames, report, data_key, {}, external=external)
        return bench._measured()

    def on(self, recipe: Recipe, frames: FrameSet, held: Sequence[str], doing: str) -> Workbench:
        """The same data without the frames ``held``, for a recipe that differs in its training alone.

        ``doing`` stands before the titles of its stages.
        """
        key = recipe_hash([self.data_key, "without", list(held)])
        return replace(self, recipe=recipe, frames=frames, data_key=key, doing=doing)._measured()

    def _measured(self) -> Workbench:
        """With the statistics of its train frames and the weights of their classes."""
        frames, recipe = self.frames, self.recipe
        names = sorted({"rgb", *recipe.teacher.modalities})
        stage = self.stage("statistics", names)
        with stage.unless_done() as todo:
            if todo and world().first:
                stage.finish(compute_statistics(frames, frames.frames("train"), names), [])
        self.statistics, self.class_weights = stage.result(), {}
        labelled, _ = self.train_frames()
        balanced = {n: t for n, t in recipe.tasks.items() if t.class_balance and frames.tasks[n].classes}
        for name, task in balanced.items():  # every labelled frame is read for these, so once is enough
            stage = self.stage("class-weights", name, task.class_balance)
            with stage.unless_done() as todo:
                if todo and world().first:
                    stage.finish({"weights": class_weights(frames, labelled, name, task.class_balance)}, [])
            self.class_weights[name] = stage.result()["weights"]
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

    def train_frames(self) -> tuple[list[FrameInfo], list[FrameInfo]]:
        """(labelled, unlabelled) frames of the train split. EdgekitError where none is labelled."""
        everything = self.frames.frames("train")
        labelled = [f for f in everything if f.labelled]
        if not labelled:
            raise no_label(self.recipe)  # all that were are bad files
        return labelled, [f for f in everything if not f.labelled]
