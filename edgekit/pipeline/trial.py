"""Whether the ensemble is better than the labels-only student, on held-back frames, before targets are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.data.fold import folds_of
from edgekit.data.source import FrameInfo
from edgekit.evaluate.paired import paired
from edgekit.evaluate.score import decimals, main_task
from edgekit.pipeline.evaluation import predictors
from edgekit.pipeline.keys import computed_key
from edgekit.pipeline.stage import Stage
from edgekit.pipeline.stages import baseline_stage, teacher_stage, teacher_stages
from edgekit.pipeline.training import train_student, train_teachers
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.schema import Recipe
from edgekit.training.config import TrainConfig
from edgekit.training.progress import Progress

FOLDS = 4  # one of them is held back: a quarter of the labelled frames
LEAST_HELD_BACK = 8  # frames; with fewer, which of two models is better is decided by chance
STEPS = 0.5  # share of the recipe's steps, for teachers and student alike
NAMES = {"single_all": "one pass", "ensemble": "ensemble", "baseline": "labels only"}  # the rows that are compared
WORSE, UNCLEAR = "worse", "unclear"
BETTER = "ensemble beats the labels-only student on held-back frames"
TRY = "try a pretrained encoder (family: timm), an expert as a member, more steps, or other modalities"


@dataclass(frozen=True)
class Trial:
    """A trial of a recipe: ``bench`` without the labelled frames ``held``, and with a share of the steps."""

    bench: Workbench
    held: list[FrameInfo]

    def stage(self) -> Stage:
        bench = self.bench
        teachers = [teacher_stage(bench, i).key for i in range(len(bench.recipe.teacher.members))]
        external = [e.key() for e in bench.external]
        needed = computed_key(name for e in bench.external for name in e.model.needs)
        ensemble = [*teachers, *external, needed, bench.recipe.ensemble.key()]
        return bench.stage("trial", ensemble, baseline_stage(bench).key)


def trial_of(bench: Workbench) -> Trial | None:
    """The trial of the bench's recipe; None where too few frames are labelled to hold some back."""
    labelled, _ = bench.train_frames()
    held = held_back(labelled)
    if len(held) < LEAST_HELD_BACK:
        return None
    names = sorted(f.name for f in held)
    return Trial(bench.without(names, _shortened(bench.recipe), "trial, "), held)


def held_back(labelled: Sequence[FrameInfo]) -> list[FrameInfo]:
    """One fold of the labelled frames."""
    fold = folds_of(labelled, FOLDS)
    return [f for f in labelled if fold[f.name] == FOLDS // 2]


def run_trial(trial: Trial) -> dict[str, Any]:
    """Train teachers and labels-only student, and compare them; stages that are done are read.

    ``scores``: row → the primary metric of the first task on the held-back frames,
    ``difference``: of the ensemble to the labels-only student, positive where it is better, ``error``: its standard
    error over groups of frames. ``verdict``: better, worse, or unclear where the difference is within its error.
    ``seconds``: of training.
    """
    bench, stage = trial.bench, trial.stage()
    with stage.unless_done() as todo:
        if todo:
            networks, student = train_teachers(bench), train_student(bench)
            models = predictors(bench, networks, {"baseline": student})
            models = {row: models[row] for row in NAMES if row in models}
            with Progress("comparing on held-back frames", bench.log, len(trial.held) * len(models)) as bar:
                found = paired(models, bench.frames, trial.held, main_task(bench.tasks), progress=bar.step)
            difference = found.difference("ensemble", "baseline")
            document = {
                "task": found.task.name,
                "held_back": len(trial.held),
                "labelled": len(bench.train_frames()[0]) + len(trial.held),
                "scores": dict(found.scores),
                "difference": difference and difference[0],
                "error": difference and difference[1],
                "verdict": _verdict(difference),
                "seconds": _seconds(bench),
            }
            stage.finish(document, [])
    return stage.result()


def _seconds(bench: Workbench) -> float:
    """What training took, all networks one after the other."""
    stages = [*(stage for _, stage in teacher_stages(bench)), baseline_stage(bench)]
    return round(sum(done["seconds"] for stage in stages if (done := stage.result())), 1)


def _verdict(difference: tuple[float, float] | None) -> str:
    if difference is None or abs(difference[0]) <= difference[1]:
        return UNCLEAR
    return "better" if difference[0] > 0 else WORSE


def no_trial(bench: Workbench) -> dict[str, Any]:
    """The document where there is no trial."""
    labelled, _ = bench.train_frames()
    return {"labelled": len(labelled), "held_back": 0, "verdict": UNCLEAR}


def describe_trial(trial: dict[str, Any]) -> str:
    """The result of a trial in one sentence."""
    labelled, held = trial["labelled"], trial["held_back"]
    if not held:
        return (
            f"none: {labelled} labelled frames are too few to hold {LEAST_HELD_BACK} back, so only the table shows "
            "whether the ensemble is better than the labels-only student"
        )
    scores = ", ".join(f"{NAMES[row]} {decimals(score)}" for row, score in trial["scores"].items())
    where = f"on {held} held-back frames of {labelled} labelled ones, after {STEPS:.0%} of the steps ({trial['task']})"
    if trial["difference"] is None or trial["error"] is None:
        return f"{scores} {where}: not comparable"
    difference = f"{abs(trial['difference']):.4f} ± {trial['error']:.4f}"
    if trial["verdict"] == WORSE:
        return f"{scores} {where}: the ensemble is worse by {difference} and is not worth distilling; {TRY}"
    way = "better" if trial["difference"] > 0 else "worse"
    doubt = f", which may be chance; {TRY}" if trial["verdict"] == UNCLEAR else ""
    return f"{scores} {where}: the ensemble is {way} by {difference}{doubt}"


def _shortened(recipe: Recipe) -> Recipe:
    """The recipe with a share of the steps, and teachers that learn from labels alone, as the student does."""

    def less(config: TrainConfig) -> TrainConfig:
        return config.model_copy(update={"steps": max(1, round(config.steps * STEPS))})

    members = [m.model_copy(update={"train": less(m.train)} if m.train else {}) for m in recipe.teacher.members]
    teacher = {"members": members, "train": less(recipe.teacher.train), "generations": 1}
    teacher = recipe.teacher.model_copy(update=teacher)
    distill = recipe.distill.model_copy(update={"train": less(recipe.distill.train)})
    return recipe.model_copy(update={"teacher": teacher, "distill": distill})
