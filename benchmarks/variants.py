"""Variants of a recipe, trained and scored for a comparison; every unit of work is a stage that is never done twice.

Teachers, targets, students and the scores of each row lie under one folder of stages, by the hash of all they depend
on. So variants share what they have in common, a killed comparison goes on with the same command, and asking a finished
one again only reads.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scipy.special import stdtrit

from edgekit.errors import EdgekitError
from edgekit.evaluate.score import Predict, TaskScores
from edgekit.networks import parameter_count
from edgekit.pipeline.evaluation import predictors, score_models
from edgekit.pipeline.keys import student_start
from edgekit.pipeline.stages import baseline_stage, before_last_generation, student_stage, teacher_stage, teacher_stages
from edgekit.pipeline.targets import build_ensemble, compute_targets
from edgekit.pipeline.training import train_student, train_teachers
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

REPOSITORY = Path(__file__).parents[1]
RECIPE = REPOSITORY / "recipes" / "semantic_drone.yaml"
PHOTOGRAPHS = REPOSITORY.parent / "shared" / "data" / "semantic_drone"
TASK = "semantic"

# Proves that a comparison runs, resumes and tabulates; its figures mean nothing.
QUICK = (
    *("teacher.train.steps=4", "distill.train.steps=4", "teacher.train.warmup=1", "distill.train.warmup=1"),
    *("teacher.train.batch_size=2", "distill.train.batch_size=2", "targets.stride=8"),
    *("ensemble.flips=false", "ensemble.vertical_flips=false"),
    *("teacher.train.crop=[64,96]", "distill.train.crop=[64,96]", "ensemble.scales=[0.25]", "student.input_scale=0.25"),
    *("teacher.train.augment.scale=[0.2,0.4]", "distill.train.augment.scale=[0.2,0.4]"),
)


@dataclass
class Found:
    """What a variant came to: row → scores of its task; ``facts`` of the ensemble and the student."""

    scores: dict[str, TaskScores] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Of the stages behind the rows: ``teachers``, ``targets``, ``baseline``, ``student``."""

    def miou(self, row: str) -> float:
        """In percent."""
        return 100 * self.scores[row][TASK]["miou"]


@dataclass
class Comparison:
    """Where variants of a recipe are trained: ``root`` holds their stages, ``data`` the photographs."""

    root: Path
    data: Path
    common: Sequence[str] = ()
    recipe: Path = field(default_factory=lambda: RECIPE)

    def open(self, *changes: str) -> Workbench:
        """The data and stages of a variant; its ``recipe`` has numbers for what the file leaves open."""
        recipe = load_recipe(
            Recipe, self.recipe, [f"data.root={self.data}", "evaluate.pictures=0", *self.common, *changes]
        )
        return Workbench.open(recipe, self.recipe.parent, self.root, self.root / "log.jsonl")

    def run(self, rows: Iterable[str], *changes: str) -> Found:
        """Train and score the rows that are asked for: ``single_all``, ``ensemble``, ``baseline``, ``student``."""
        rows, bench = list(rows), self.open(*changes)
        recipe, found = bench.recipe, Found()
        split = recipe.evaluate.split
        networks = train_teachers(bench)
        ensemble = build_ensemble(bench, networks)
        keys = [teacher_stage(bench, i).key for i in range(len(networks))]
        found.facts["members"] = ensemble.count
        stages = [*(stage for _, stage in teacher_stages(bench)), *dict(before_last_generation(bench)).values()]
        found.seconds["teachers"] = sum(done["seconds"] for stage in stages if (done := stage.result()))
        found.facts["steps"] = recipe.distill.train.steps
        found.facts["teacher_parameters"] = parameter_count(networks[0])
        of_rows = {"single_all": (keys[:1], recipe.ensemble.scales[0]), "ensemble": (keys, recipe.ensemble)}
        students = {}
        if "baseline" in rows:
            students["baseline"] = train_student(bench)
            stage = baseline_stage(bench)
            of_rows["baseline"], found.seconds["baseline"] = (stage.key,), stage.result()["seconds"]
        if "student" in rows:
            store, facts, key = compute_targets(bench, ensemble)
            first = networks[0] if student_start(recipe) == "teacher" else None
            students["student"] = train_student(bench, targets=store.read, targets_key=key, first_teacher=first)
            stage = student_stage(bench, key)
            of_rows["student"], found.seconds["student"] = (stage.key,), stage.result()["seconds"]
            found.seconds["targets"] = found.facts["target_seconds"] = facts["seconds"]
        for student in students.values():
            found.facts["parameters"] = parameter_count(student)
        predict = predictors(bench, networks, students)
        for row in rows:
            found.scores[row] = _scored(bench, row, predict[row], split, of_rows[row])
        return found


def _scored(bench: Workbench, row: str, predict: Predict, split: str, depends_on: Sequence[object]) -> TaskScores:
    """A row's scores on a split: computed once, as a stage of its own."""
    stage = bench.stage("scores", row, split, list(depends_on), bench.recipe.tasks)
    with stage.unless_done() as todo:
        if todo:
            stage.finish(score_models(bench, {row: predict}, split)[0][row], [])
    return stage.result()


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation over repetitions; a single one as it is."""
    values = list(values)
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def paired(differences: Sequence[float]) -> str:
    """Mean of points between rows of the same seed and fold, and its 95 % interval by Student's t."""
    differences = list(differences)
    centre, count = statistics.mean(differences), len(differences)
    if count == 1:
        return f"{centre:+.2f} points, of one pair"
    reach = stdtrit(count - 1, 0.975) * statistics.stdev(differences) / math.sqrt(count)
    return f"{centre:+.2f} points ({centre - reach:+.2f} to {centre + reach:+.2f} in 95 %, of {count} pairs)"


def photographs(folder: Path) -> Path:
    """The folder, where it is there; exits with a message where it is not: the photographs are not shipped."""
    if not folder.is_dir():
        sys.exit(f"the photographs are not in {folder}: give their folder with --data")
    return folder.resolve()


def finished(main: Callable[[], None]) -> None:
    """Run a comparison to its end; a mistake is told without a traceback, and Ctrl-C says how to go on."""
    try:
        main()
    except EdgekitError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
