"""What every stage needs: the recipe, its data opened and checked, its tasks, and where stages live."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgekit.data.check import Report, check_source
from edgekit.data.frameset import FrameSet
from edgekit.data.registry import SOURCES
from edgekit.data.source import FrameInfo, Source
from edgekit.data.statistics import Statistics, class_weights, compute_statistics
from edgekit.distill.targets import check_losses
from edgekit.errors import EdgekitError
from edgekit.frames.files import cache_folder
from edgekit.losses import LOSSES
from edgekit.pipeline.external import open_members, with_modalities
from edgekit.pipeline.stage import Stage
from edgekit.recipe.load import recipe_hash
from edgekit.recipe.schema import Recipe
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.external import External
from edgekit.training.distributed import world
from edgekit.training.progress import Progress


def open_source(recipe: Recipe, base: Path) -> Source:
    """The recipe's data source; ``base`` is the folder that relative paths start from."""
    entry = SOURCES[recipe.data.source]
    config = entry.config.model_validate({name: getattr(recipe.data, name) for name in entry.config.model_fields})
    return entry.build(config, base, cache_folder())


def check_data(recipe: Recipe, base: Path, *, log: Path | None = None) -> Report:
    """Open the data and read all of it once. EdgekitError for what the recipe gets wrong."""
    source = open_data(recipe, base, log=log)
    open_members(recipe, base, FrameSet(source).tasks)
    return _read_all(source, recipe, log)


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
    _check_taught(recipe, tasks)
    prepare = getattr(source, "prepare", None)
    if prepare:
        with Progress("rendering", log) as bar:
            world().lead("rendering the data", lambda: prepare(bar.count))
            if not world().first:  # another machine's cache may be another one
                prepare(bar.count)
    return source


def _read_all(source: Source, recipe: Recipe, log: Path | None) -> Report:
    with Progress("checking data", log) as bar:
        return check_source(source, recipe.data.on_bad_file, bar.count)


def _check_taught(recipe: Recipe, tasks: dict[str, Task]) -> None:
    """Refuse a task that neither labels nor a loss would teach the student."""
    for name in recipe.tasks:
        taught = recipe.distill.supervised or any(tasks[name].kind in LOSSES[n].kinds for n in recipe.distill.active())
        if not taught:
            raise EdgekitError(
                f"nothing teaches the student '{name}': no loss for {tasks[name].kind} is on, and labels weigh 0",
                where="distill.supervised",
                fix="give it a weight, or switch on a loss under distill.losses",
            )


def _fold(recipe: Recipe) -> tuple[int, int] | None:
    fold = recipe.data.fold
    return (fold.index, fold.of) if fold else None


@dataclass
class Workbench:
    """The opened recipe. ``root`` is the folder of runs; ``data_key`` changes when the data or its reading does."""

    recipe: Recipe
    root: Path
    log: Path
    frames: FrameSet
    report: Report
    data_key: str
    statistics: Statistics
    class_weights: dict[str, list[float]] = field(default_factory=dict)
    external: list[External] = field(default_factory=list)

    @classmethod
    def open(cls, recipe: Recipe, base: Path, root: Path, log: Path) -> Workbench:
        """Open the data; check it and compute its statistics, unless that was done and the data is the same."""
        source = open_data(recipe, base, log=log)
        external = open_members(recipe, base, FrameSet(source).tasks)
        described = recipe.data.model_dump(mode="json", exclude={"memory_gb", "on_bad_file"})
        checked = Stage(
            root / "stages", "check", recipe_hash([described, source.fingerprint(), recipe.data.on_bad_file])
        )
        with checked.unless_done() as todo:
            if todo and world().first:
                checked.finish(_read_all(source, recipe, log).to_json(), [])
        report = Report.from_json(checked.result())
        frames = FrameSet(
            source,
            excluded=report.excluded(),
            cache_bytes=int(recipe.data.memory_gb * 2**30),
            fold=_fold(recipe),
        )
        frames.frames(recipe.evaluate.split)  # a fold without labelled frames is refused before anything trains
        data_key = recipe_hash(described, source.fingerprint(), sorted(report.excluded()))
        world().agree("data", data_key)
        bench = cls(recipe, root, log, frames, report, data_key, {}, external=external)
        names = sorted({"rgb", *recipe.teacher.modalities})
        stage = bench.stage("statistics", names)
        with stage.unless_done() as todo:
            if todo and world().first:
                stage.finish(compute_statistics(frames, frames.frames("train"), names), [])
        bench.statistics = stage.result()
        labelled, _ = bench.train_frames()
        balanced = {n: t for n, t in recipe.tasks.items() if t.class_balance and frames.tasks[n].kind == "semantic"}
        for name, task in balanced.items():  # every labelled frame is read for these, so once is enough
            stage = bench.stage("class-weights", name, task.class_balance)
            with stage.unless_done() as todo:
                if todo and world().first:
                    stage.finish({"weights": class_weights(frames, labelled, name, task.class_balance)}, [])
            bench.class_weights[name] = stage.result()["weights"]
        return bench

    def stage(self, name: str, *inputs: object) -> Stage:
        """The stage of this name that depends on the data and on ``inputs``."""
        return Stage(self.root / "stages", name, recipe_hash([self.data_key, *inputs]))

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
            raise EdgekitError("no train frame is labelled", where="data.labelled", fix="give a larger share or a list")
        return labelled, [f for f in everything if not f.labelled]
