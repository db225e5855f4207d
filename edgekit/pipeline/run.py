"""A run: its directory, its stages in order, its result."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from edgekit import __version__
from edgekit.errors import EdgekitError
from edgekit.evaluate.score import Scores
from edgekit.evaluate.table import cells, class_cells, markdown, retention
from edgekit.frames.files import write_text
from edgekit.frames.locks import locked
from edgekit.networks import parameter_count
from edgekit.pipeline.distillation import distil_student
from edgekit.pipeline.evaluation import draw, evaluate, predictors
from edgekit.pipeline.fit import fewer_maskings
from edgekit.pipeline.keys import student_start
from edgekit.pipeline.parallel import BASELINE, STUDENT, TRIAL, Job, train_at_once
from edgekit.pipeline.requirements import check_requirements
from edgekit.pipeline.stage import ELSEWHERE, Stage
from edgekit.pipeline.targets import build_ensemble, targets_stage
from edgekit.pipeline.training import (
    baseline_stage,
    student_stage,
    teacher_stage,
    train_student,
    train_teacher,
)
from edgekit.pipeline.trial import BETTER, WORSE, run_trial, told, too_few, trial_of
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import dump, load_recipe, recipe_hash
from edgekit.recipe.schema import Recipe
from edgekit.students.student import load_student
from edgekit.training.distributed import world
from edgekit.training.precision import device


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
        """An existing run. EdgekitError where the folder is none."""
        about = folder / "run.json"
        if not about.is_file():
            raise EdgekitError("this is not a run directory", where=str(folder), fix="give a folder that distill made")
        recipe = folder / "recipe.yaml"
        fix = "give the recipe to `edgekit distill` instead; finished stages are found again"
        try:
            said = json.loads(about.read_text())
            base = Path(said["base"])
            whole = _sha256(recipe.read_text()) == said["recipe"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EdgekitError("the run's description is damaged", where=str(about), fix=fix) from error
        if not whole:  # a changed recipe is another run
            raise EdgekitError("the run's recipe was changed or damaged", where=str(recipe), fix=fix)
        return cls(folder, load_recipe(Recipe, recipe), base)

    def begin(self) -> None:
        """Write what the run is before it does anything: resolved recipe and environment."""
        recipe = dump(self.recipe)
        about = {"base": str(self.base.resolve()), "edgekit": __version__, "recipe": _sha256(recipe)}
        self._write("recipe.yaml", recipe)
        self._write("run.json", json.dumps(about, indent=2))
        self._write("environment.json", json.dumps(environment(), indent=2))

    def locked(self) -> AbstractContextManager[None]:
        """Hold the directory against a second run of the same recipe. EdgekitError where there is one."""
        return locked(self.folder, "another run is working in this directory", fix=ELSEWHERE)

    def bench(self) -> Workbench:
        return Workbench.open(self.recipe, self.base, self.folder.parent, self.folder / "log.jsonl")

    def _write(self, name: str, text: str) -> None:
        write_text(self.folder / name, text)


def distill(run: Run, *, baseline: bool = True, jobs: int | None = None) -> dict[str, Any] | None:
    """Everything from data to table; stages that are done are skipped. Returns what result.json holds.

    Under torchrun all processes train and ask the ensemble together; the first one evaluates, the others return None.
    ``baseline``: also score the student on labels alone, which is trained anyway where the other one starts from it.
    ``jobs`` networks train at once on a CPU, by default one per thread; on a GPU always one.
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
        return _distill(run, baseline=baseline, jobs=jobs)


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
    distilled = distil_student(bench)
    networks, facts = distilled.networks, distilled.facts
    students, stages = {}, {f"teacher {i + 1}": teacher_stage(bench, i) for i in range(len(networks))}
    if baseline:
        students["baseline"], stages["labels-only student"] = train_student(bench, targets=None, targets_key="")
    students["student"], stages["distilled student"] = distilled.student, distilled.stage
    if not world().first:
        return None
    timing = {name: stage.result()["seconds"] for name, stage in stages.items()} | {"targets": facts["seconds"]}
    for name, student in students.items():
        student.save(run.folder / f"{name}.pt")

    split = run.recipe.evaluate.split
    results = evaluate(bench, predictors(bench, networks, students), split)
    pictures = draw(bench, networks, students["student"], split, run.folder / "pictures")
    result = {
        "run": str(run.folder),
        "trial": trial,
        "student": str(run.folder / "student.pt"),
        "parameters": parameter_count(students["student"]),
        "teachers": [parameter_count(n) for n in networks],
        "members": facts["members"],
        "passes": len(build_ensemble(bench, networks).members),
        "split": split,
        "frames": {s: len(bench.frames.frames(s)) for s in ("train", split)},
        "bad_files": [asdict(bad) for bad in bench.report.bad],
        "target_bytes_per_frame": facts["bytes_per_frame"],
        "scores": results,
        "cells": {task.name: cells(task, results) for task in bench.tasks},
        "retention": retention(bench.tasks, results),
        "pictures": [str(p) for p in pictures],
        "table": str(run.folder / "table.md"),
        "seconds": {**timing, "this command": round(time.perf_counter() - began, 1)},
    }
    result["requirements"] = check_requirements(run.recipe.require, bench.tasks, result)
    notes = [f"Trial: {told(trial)}", fewer_maskings(run.recipe)]
    run._write("table.md", "\n\n".join([report(bench, results), *filter(None, notes)]) + "\n")
    run._write("result.json", json.dumps(result, indent=2))
    return result


def _trial(run: Run, bench: Workbench, jobs: int | None) -> dict[str, Any]:
    """What is known of the ensemble before targets are computed; see edgekit.pipeline.trial."""
    trial = trial_of(bench)
    if trial is None:
        return too_few(bench)
    if trial.stage().result() is None:
        baseline = (baseline_stage(trial.bench), (TRIAL, *BASELINE))
        _at_once(run, [*_teachers(trial.bench, TRIAL), baseline], jobs)
    return run_trial(trial)


def _stopped(run: Run, bench: Workbench, trial: dict[str, Any]) -> dict[str, Any]:
    """The result of a run that ends before its targets, since its ensemble has nothing to teach."""
    result = {
        "run": str(run.folder),
        "trial": trial,
        "bad_files": [asdict(bad) for bad in bench.report.bad],
        "requirements": [{"name": BETTER, "holds": False, "found": told(trial)}],
    }
    run._write("result.json", json.dumps(result, indent=2))
    return result


def _teachers(bench: Workbench, *prefix: str) -> list[tuple[Stage, Job]]:
    """The stages of the ensemble's members and their jobs; members that share a stage are one job."""
    members = range(len(bench.recipe.teacher.members))
    stages = {
        stage.folder: (stage, (*prefix, "teacher", str(i))) for i in members for stage in [teacher_stage(bench, i)]
    }
    return list(stages.values())


def _train_at_once(run: Run, bench: Workbench, *, baseline: bool, jobs: int | None) -> None:
    """Train teachers and labels-only student, then the distilled one, several at once."""
    teachers, student = _teachers(bench), (student_stage(bench, targets_stage(bench).key), STUDENT)
    starts = student_start(bench.recipe) == "labels"
    twin = [(baseline_stage(bench), BASELINE)] if baseline or starts else []
    # The student waits for what it starts from. A labels-only one that nobody waits for fills what is left idle.
    before = [*twin, *teachers] if starts else teachers
    stages = [*before, student] if starts else [*before, student, *twin]
    _at_once(run, stages, jobs, after={STUDENT: [job for _, job in before]})


def _at_once(
    run: Run, stages: list[tuple[Stage, Job]], jobs: int | None, after: Mapping[Job, Sequence[Job]] | None = None
) -> None:
    """Do the stages that are not done, several at once, where that is faster than one after the other.

    The threads of each follow from how many there are, not from how many are left: sums in another number of threads
    round differently, and a continued run is to end where an unbroken one does.
    """
    pending = [job for stage, job in stages if stage.result() is None]
    threads = torch.get_num_threads()
    at_once = min(jobs or threads, threads, len(stages))
    if device().type == "cpu" and at_once > 1 and pending and world().size == 1:
        waits = {job: [other for other in before if other in pending] for job, before in (after or {}).items()}
        train_at_once(run.folder, pending, at_once=at_once, threads=threads // at_once, after=waits)


def evaluate_run(run: Run, split: str) -> dict[str, Any]:
    """Score a finished run on any split. EdgekitError where the run is not finished."""
    if world().size > 1:
        raise EdgekitError("evaluating takes one process", fix="run it without torchrun")
    bench = run.bench()
    for i in range(len(run.recipe.teacher.members)):
        if teacher_stage(bench, i).result() is None:
            raise EdgekitError("the run is not finished", where=str(run.folder), fix=f"edgekit distill {run.folder}")
    networks = [train_teacher(bench, i) for i in range(len(run.recipe.teacher.members))]
    students = load_students(run)
    results = evaluate(bench, predictors(bench, networks, students), split)
    pictures = draw(bench, networks, students["student"], split, run.folder / "pictures")
    result = {
        "run": str(run.folder),
        "split": split,
        "scores": results,
        "cells": {task.name: cells(task, results) for task in bench.tasks},
        "retention": retention(bench.tasks, results),
        "pictures": [str(p) for p in pictures],
        "table": str(run.folder / f"table-{split}.md"),
    }
    run._write(f"table-{split}.md", report(bench, results))
    run._write(f"scores-{split}.json", json.dumps(result, indent=2))
    return result


def load_students(run: Run) -> dict:
    if not (run.folder / "student.pt").exists():
        raise EdgekitError("the run has no student yet", where=str(run.folder), fix=f"edgekit distill {run.folder}")
    names = [n for n in ("baseline", "student") if (run.folder / f"{n}.pt").exists()]
    return {name: load_student(run.folder / f"{name}.pt") for name in names}


def report(bench: Workbench, results: dict[str, Scores]) -> str:
    """The run's tables as Markdown."""
    parts = [f"**{task.name}**\n\n" + markdown(*cells(task, results)) for task in bench.tasks]
    kept = retention(bench.tasks, results)
    if kept:
        said = ", ".join(f"{name} {share:.1%}" for name, share in kept.items())
        parts.append(f"The student keeps of the ensemble: {said}\n")
    for task in bench.tasks:
        if task.classes:
            parts.append(f"IoU per class of {task.name}, %:\n\n" + markdown(*class_cells(task, results)))
    return "\n".join(parts)


def environment() -> dict[str, Any]:
    """What a result may depend on beside the recipe."""
    packages = ("torch", "numpy", "opencv-python-headless", "pillow", "pydantic")
    return {
        "edgekit": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "packages": {name: _version(name) for name in packages},
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # importable all the same: OpenCV has several distributions
        return None
