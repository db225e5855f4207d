"""A run: its directory, its stages in order, its result."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch

from edgekit import __version__
from edgekit.errors import EdgekitError
from edgekit.evaluate.score import TaskScores
from edgekit.evaluate.table import cells, class_cells, markdown_table, retention
from edgekit.frames.files import expand_home, write_text
from edgekit.frames.locks import locked
from edgekit.frames.outside import read_json, read_text
from edgekit.frames.typed import Misfit, as_typed
from edgekit.networks import parameter_count
from edgekit.pipeline.evaluation import draw_pictures, predictors, score_models
from edgekit.pipeline.fit import fewer_maskings
from edgekit.pipeline.keys import student_start
from edgekit.pipeline.parallel import BASELINE, FIRST_TARGETS, STUDENT, TRIAL, Job, train_at_once
from edgekit.pipeline.requirements import check_requirements
from edgekit.pipeline.scales import describe_scales
from edgekit.pipeline.stage import ELSEWHERE, Stage
from edgekit.pipeline.stages import (
    baseline_stage,
    before_last_generation,
    generations,
    student_stage,
    targets_stage,
    teacher_stage,
    teacher_stages,
)
from edgekit.pipeline.targets import build_ensemble
from edgekit.pipeline.training import distil_student, train_student, train_teachers
from edgekit.pipeline.trial import BETTER, WORSE, describe_trial, no_trial, run_trial, trial_of
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import dump, load_recipe, recipe_hash
from edgekit.recipe.schema import Recipe
from edgekit.students.student import Student, load_student
from edgekit.tasks import Task
from edgekit.teachers.multimodal import MultiModal
from edgekit.track.tracker import tracked
from edgekit.training.distributed import world
from edgekit.training.precision import device


class _About(TypedDict):
    """Of ``run.json``: where the recipe's relative paths start, and the SHA-256 of the recipe beside it."""

    base: str
    recipe: str


@dataclass
class Run:
    """A run directory, ``<root>/<recipe>-<hash>``."""

    folder: Path
    recipe: Recipe
    base: Path

    @classmethod
    def of(cls, recipe: Recipe, base: Path, root: Path) -> Run:
        """The directory that belongs to this recipe, made or continued."""
        return cls(root / f"{recipe.name}-{recipe_hash(recipe.trained())}", recipe, base)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """An existing run. EdgekitError if the folder is not a run, or is damaged."""
        about = folder / "run.json"
        if not about.is_file():
            raise EdgekitError("this is not a run directory", where=str(folder), fix="give a folder that distill made")
        recipe = folder / "recipe.yaml"
        fix = "give the recipe to `edgekit distill` instead; finished stages are found again"
        try:
            content = as_typed(_About, read_json(about, what="the run's description", fix=fix), "run.json")
            base = expand_home(content["base"])
            unchanged = _sha256(read_text(recipe, what="the run's recipe", fix=fix)) == content["recipe"]
        except (FileNotFoundError, Misfit) as error:
            raise EdgekitError(f"the run's description is damaged: {error}", where=str(about), fix=fix) from error
        if not unchanged:  # a changed recipe is another run
            raise EdgekitError("the run's recipe was changed or damaged", where=str(recipe), fix=fix)
        return cls(folder, load_recipe(Recipe, recipe), base)

    def begin(self) -> None:
        """Write the resolved recipe and the environment."""
        recipe = dump(self.recipe)
        about = {"base": str(self.base.resolve()), "edgekit": __version__, "recipe": _sha256(recipe)}
        self._write("recipe.yaml", recipe)
        self._write("run.json", json.dumps(about, indent=2))
        self._write("environment.json", json.dumps(environment(), indent=2))

    def locked(self) -> AbstractContextManager[None]:
        """Lock the directory against a second run of the same recipe. EdgekitError where there is one."""
        return locked(self.folder, "another run is working in this directory", fix=ELSEWHERE)

    def bench(self) -> Workbench:
        return Workbench.open(self.recipe, self.base, self.folder.parent, self.folder / "log.jsonl")

    def _write(self, name: str, text: str) -> None:
        write_text(self.folder / name, text)


def distill_run(
    run: Run, *, baseline: bool = True, jobs: int | None = None, track: str | None = None
) -> dict[str, Any] | None:
    """Everything from data to table; stages that are done are skipped. Returns the content of result.json.

    Under torchrun all processes train and compute targets together; the first one evaluates, the others return None.
    ``baseline``: also score the labels-only student, which is trained anyway where the distilled one starts from it.
    ``jobs`` networks train at once on a CPU, by default one per thread; on a GPU always one. ``track``: a name of
    ``edgekit.track.tracker.TRACKERS``, which also writes the run.
    """
    together = world()
    with ExitStack() as held:
        together.lead("the run's directory", lambda: _begin(run, held))
        together.agree("run (recipe or folder)", [str(run.folder), run.recipe.model_dump(mode="json")])
        if not (run.folder / "run.json").exists():
            raise EdgekitError(
                f"process {together.rank} on {platform.node()} does not see the run that process 0 has begun",
                where=str(run.folder),
                fix="give --out a folder that all machines share",
            )
        shown = held.enter_context(tracked(run.folder, track if together.first else None))
        result = _distill(run, baseline=baseline, jobs=jobs)
        if shown and result:
            shown.result(result)
        return result


def _begin(run: Run, held: ExitStack) -> None:
    held.enter_context(run.locked())
    run.begin()


def _distill(run: Run, *, baseline: bool, jobs: int | None) -> dict[str, Any] | None:
    began = time.perf_counter()
    bench = run.bench()
    trial = _trial(run, bench, jobs)
    if trial["verdict"] == WORSE and run.recipe.distill.unless_better == "stop":
        return _stopped(run, bench, trial) if world().first else None
    _train_at_once(run, bench, baseline=baseline, jobs=jobs)
    student, networks, facts = distil_student(bench)
    students = {"baseline": train_student(bench), "student": student} if baseline else {"student": student}
    if not world().first:
        return None
    for name, trained in students.items():
        trained.save(run.folder / f"{name}.pt")
    stages = dict(before_last_generation(bench))
    stages |= {f"teacher {i + 1}": stage for i, stage in teacher_stages(bench)}
    if baseline:
        stages["labels-only student"] = baseline_stage(bench)
    stages["distilled student"] = student_stage(bench, targets_stage(bench).key)
    timing = {name: done["seconds"] for name, stage in stages.items() if (done := stage.result())}
    timing = {**({"trial": trial["seconds"]} if trial["held_back"] else {}), **timing, "targets": facts["seconds"]}

    passes = len(build_ensemble(bench, networks).members)
    votes = facts["members"] - passes
    split = run.recipe.evaluate.split
    result = _scored(run, bench, networks, students, split) | {
        "trial": trial,
        "student": str(run.folder / "student.pt"),
        "parameters": parameter_count(student),
        "teachers": [parameter_count(n) for n in networks],
        "members": facts["members"],
        "passes": passes,
        "ensemble": " and ".join(
            f"{count} {what}"
            for count, what in ((passes, "passes of networks"), (votes, "votes of external members"))
            if count
        ),
        "frames": {s: len(bench.frames.frames(s)) for s in ("train", split)},
        "bad_files": [asdict(bad) for bad in bench.report.bad],
        "target_bytes_per_frame": facts["bytes_per_frame"],
        "table": str(run.folder / "table.md"),
        "seconds": {**timing, "this command": round(time.perf_counter() - began, 1)},
    }
    result["requirements"] = check_requirements(run.recipe.require, bench.tasks, result)
    notes = [f"Ensemble: {result['ensemble']}", f"Trial: {describe_trial(trial)}"]
    notes += [describe_scales(bench.recipe), fewer_maskings(run.recipe)]
    run._write("table.md", "\n\n".join([markdown_tables(bench.tasks, result["scores"]), *filter(None, notes)]) + "\n")
    run._write("result.json", json.dumps(result, indent=2))
    return result


def _scored(
    run: Run, bench: Workbench, networks: Sequence[MultiModal], students: Mapping[str, Student], split: str
) -> dict[str, Any]:
    """The part of a result that is about one split: scores, tables, pictures."""
    results, breakdown = score_models(bench, predictors(bench, networks, students), split)
    pictures = draw_pictures(bench, networks, students["student"], split, breakdown, run.folder / "pictures")
    run._write(f"breakdown-{split}.json", json.dumps(breakdown.result()))
    return {
        "run": str(run.folder),
        "split": split,
        "scores": results,
        "cells": {task.name: cells(task, results) for task in bench.tasks},
        "retention": retention(bench.tasks, results),
        "pictures": [str(path) for path in pictures],
        "breakdown": str(run.folder / f"breakdown-{split}.json"),
    }


def _trial(run: Run, bench: Workbench, jobs: int | None) -> dict[str, Any]:
    """Whether the ensemble is better than the labels-only student; see edgekit.pipeline.trial."""
    trial = trial_of(bench)
    if trial is None:
        return no_trial(bench)
    if trial.stage().result() is None:
        baseline = (baseline_stage(trial.bench), (TRIAL, *BASELINE))
        _at_once(run, [*_teachers(trial.bench, 1, TRIAL), baseline], jobs)
    return run_trial(trial)


def _stopped(run: Run, bench: Workbench, trial: dict[str, Any]) -> dict[str, Any]:
    """The result of a run that its trial ends before the targets are computed."""
    result = {
        "run": str(run.folder),
        "trial": trial,
        "bad_files": [asdict(bad) for bad in bench.report.bad],
        "requirements": [{"name": BETTER, "holds": False, "found": describe_trial(trial)}],
    }
    run._write("result.json", json.dumps(result, indent=2))
    return result


def _teachers(bench: Workbench, generation: int, *prefix: str) -> list[tuple[Stage, Job]]:
    """The stages of a generation of teachers and their jobs."""
    return [(stage, (*prefix, "teacher", str(i), str(generation))) for i, stage in teacher_stages(bench, generation)]


def _train_at_once(run: Run, bench: Workbench, *, baseline: bool, jobs: int | None) -> None:
    """Train teachers and labels-only student, then the distilled one, several at once."""
    first, second, student = _teachers(bench, 1), [], (student_stage(bench, targets_stage(bench).key), STUDENT)
    starts = student_start(bench.recipe) == "labels"
    labels_only = [(baseline_stage(bench), BASELINE)] if baseline or starts else []
    after = {}
    if generations(bench) == 2:
        targets = (targets_stage(bench, 1), FIRST_TARGETS)
        after[FIRST_TARGETS] = [job for _, job in first]
        after |= {job: [*after[FIRST_TARGETS], FIRST_TARGETS] for _, job in _teachers(bench, 2)}
        second = [targets, *_teachers(bench, 2)]
    # The distilled student waits for what it starts from; otherwise the labels-only one is trained beside it.
    before = [*first, *second, *labels_only] if starts else [*first, *second]
    after[STUDENT] = [job for _, job in before]
    stages = [*before, student] if starts else [*before, student, *labels_only]
    _at_once(run, stages, jobs, after=after)


def _at_once(
    run: Run, stages: list[tuple[Stage, Job]], jobs: int | None, after: Mapping[Job, Sequence[Job]] | None = None
) -> None:
    """Do the stages that are not done, several at once, where that is faster than one after the other.

    The threads of each depend on the number of stages, not on how many are left: sums in another number of threads
    round differently, and a continued run must give the result of an unbroken one.
    """
    pending = [job for stage, job in stages if stage.result() is None]
    if FIRST_TARGETS not in pending and any(FIRST_TARGETS in (after or {}).get(job, ()) for job in pending):
        pending.insert(0, FIRST_TARGETS)  # once for all who read them: a file may be missing or damaged
    threads = torch.get_num_threads()
    at_once = min(jobs or threads, threads, len(stages))
    if device().type == "cpu" and at_once > 1 and pending and world().size == 1:
        waits = {job: [other for other in before if other in pending] for job, before in (after or {}).items()}
        train_at_once(run.folder, pending, at_once=at_once, threads=threads // at_once, after=waits)


def evaluate_run(run: Run, split: str) -> dict[str, Any]:
    """Score a finished run on any split. EdgekitError where the run is not finished."""
    if world().size > 1:
        raise EdgekitError("evaluating takes one process", where=str(run.folder), fix="run it without torchrun")
    bench = run.bench()
    files = {name: run.folder / f"{name}.pt" for name in ("baseline", "student")}
    trained = all(teacher_stage(bench, i).result() for i in range(len(run.recipe.teacher.members)))
    if not trained or not files["student"].exists():
        raise EdgekitError("the run is not finished", where=str(run.folder), fix=f"edgekit distill {run.folder}")
    students = {name: load_student(path) for name, path in files.items() if path.exists()}
    table = run.folder / f"table-{split}.md"
    result = _scored(run, bench, train_teachers(bench), students, split) | {"table": str(table)}
    run._write(table.name, markdown_tables(bench.tasks, result["scores"]))
    run._write(f"scores-{split}.json", json.dumps(result, indent=2))
    return result


def markdown_tables(tasks: Sequence[Task], results: dict[str, TaskScores]) -> str:
    """The run's tables as Markdown."""
    parts = [f"**{task.name}**\n\n" + markdown_table(*cells(task, results)) for task in tasks]
    kept = ", ".join(f"{name} {share:.1%}" for name, share in retention(tasks, results).items())
    if kept:
        parts.append(f"The student keeps of the ensemble: {kept}\n")
    for task in tasks:
        if task.classes:
            parts.append(f"IoU per class of {task.name}, %:\n\n" + markdown_table(*class_cells(task, results)))
    return "\n".join(parts)


def environment() -> dict[str, Any]:
    """What a result may depend on beside the recipe."""
    import cv2  # after torch: where the extra is missing it is torch that is reported
    import numpy
    import PIL
    import pydantic

    return {
        "edgekit": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "packages": {package.__name__: package.__version__ for package in (torch, numpy, cv2, PIL, pydantic)},
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
