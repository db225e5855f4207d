"""Whether the ensemble is worth copying, found out on held-back labelled frames before targets are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.data.source import FrameInfo
from edgekit.evaluate.paired import paired
from edgekit.evaluate.score import main_task
from edgekit.pipeline.evaluation import predictors
from edgekit.pipeline.stage import Stage
from edgekit.pipeline.training import baseline_stage, teacher_stage, train_student, train_teacher
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.schema import Recipe
from edgekit.training.config import TrainConfig
from edgekit.training.progress import Progress

FOLDS = 4  # one in so many labelled frames is held back
LEAST = 8  # held-back frames; fewer tell a good teacher from a bad one by chance alone
STEPS = 0.5  # of the recipe's steps, for teachers and student alike
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
        teachers = [teacher_stage(self.bench, i).key for i in range(len(self.bench.recipe.teacher.members))]
        external = [e.key() for e in self.bench.external]
        student = baseline_stage(self.bench).key
        return self.bench.stage("trial", teachers, external, self.bench.recipe.ensemble, student)


def trial_of(bench: Workbench) -> Trial | None:
    """The trial of the bench's recipe; None where too few frames are labelled to hold some back."""
    labelled, _ = bench.train_frames()
    held = held_back(labelled)
    if len(held) < LEAST:
        return None
    names = sorted(f.name for f in held)
    frames = bench.frames.without(names)
    return Trial(bench.on(_shortened(bench.recipe), frames, names, "trial, "), held)


def held_back(labelled: Sequence[FrameInfo]) -> list[FrameInfo]:
    """Every FOLDS-th of the labelled frames; whole scenes where the frames are of at least that many."""
    scenes = sorted({f.scene for f in labelled})
    if len(scenes) >= FOLDS:
        chosen = set(scenes[FOLDS // 2 :: FOLDS])
        return [f for f in labelled if f.scene in chosen]
    return list(labelled[FOLDS // 2 :: FOLDS])


def run_trial(trial: Trial) -> dict[str, Any]:
    """Train, compare and tell: a document with the ``verdict`` on the ensemble beside the labels-only student.

    What was trained is read. ``scores``: row → the primary metric of the first task on the held-back frames,
    ``difference``: of the ensemble to the labels-only student, positive where it is better, ``error``: its standard
    error over groups of frames. ``verdict``: better, worse, or unclear where the difference is within its error.
    """
    bench, stage = trial.bench, trial.stage()
    with stage.unless_done() as todo:
        if todo:
            networks = [train_teacher(bench, i) for i in range(len(bench.recipe.teacher.members))]
            student, _ = train_student(bench, targets=None, targets_key="")
            models = predictors(bench, networks, {"baseline": student})
            models = {row: models[row] for row in NAMES if row in models}
            with Progress("comparing on held-back frames", bench.log) as bar:
                bar.begin(len(trial.held) * len(models))
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
            }
            stage.finish(document, [])
    return stage.result()


def _verdict(difference: tuple[float, float] | None) -> str:
    if difference is None or abs(difference[0]) <= difference[1]:
        return UNCLEAR
    return "better" if difference[0] > 0 else WORSE


def too_few(bench: Workbench) -> dict[str, Any]:
    """The document where there is no trial."""
    labelled, _ = bench.train_frames()
    return {"labelled": len(labelled), "held_back": 0, "verdict": UNCLEAR}


def told(trial: dict[str, Any]) -> str:
    """What a trial found, in a sentence or two."""
    labelled, held = trial["labelled"], trial["held_back"]
    if not held:
        return (
            f"none: {labelled} labelled frames are too few to hold {LEAST} back, so whether the ensemble is better "
            "than the labels-only student is not known before the table"
        )
    scores = ", ".join(f"{NAMES[row]} {_said(score)}" for row, score in trial["scores"].items())
    where = f"on {held} held-back frames of {labelled} labelled ones, after {STEPS:.0%} of the steps ({trial['task']})"
    if trial["difference"] is None:
        return f"{scores} {where}: not comparable"
    difference = f"{abs(trial['difference']):.4f} ± {trial['error']:.4f}"
    if trial["verdict"] == WORSE:
        return f"{scores} {where}: the ensemble is worse by {difference} and has nothing to teach the student; {TRY}"
    way = "better" if trial["difference"] > 0 else "worse"
    doubt = f", which may be chance; {TRY}" if trial["verdict"] == UNCLEAR else ""
    return f"{scores} {where}: the ensemble is {way} by {difference}{doubt}"


def _said(score: float | None) -> str:
    return "none" if score is None else f"{score:.4f}"


def _shortened(recipe: Recipe) -> Recipe:
    """The recipe with a share of the steps."""

    def less(config: TrainConfig) -> TrainConfig:
        return config.model_copy(update={"steps": max(1, round(config.steps * STEPS))})

    members = [m.model_copy(update={"train": less(m.train)} if m.train else {}) for m in recipe.teacher.members]
    teacher = recipe.teacher.model_copy(update={"members": members, "train": less(recipe.teacher.train)})
    distill = recipe.distill.model_copy(update={"train": less(recipe.distill.train)})
    return recipe.model_copy(update={"teacher": teacher, "distill": distill})
