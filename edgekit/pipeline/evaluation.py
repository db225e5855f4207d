"""The end of a run: score every model on a split, and draw what ensemble and student predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.bundle.manifest import Preprocessing
from edgekit.data.source import FrameInfo, spread_out
from edgekit.evaluate.breakdown import MODELS, Breakdown
from edgekit.evaluate.pictures import picture_grid
from edgekit.evaluate.score import (
    DISAGREEMENT,
    Observe,
    Predict,
    TaskScores,
    main_task,
    native_maps,
    score,
    with_confidence,
)
from edgekit.evaluate.table import EXTERNAL_ROW, WITHOUT_ROW
from edgekit.frames.images import write_png
from edgekit.pipeline.targets import build_ensemble, encode_inputs
from edgekit.pipeline.workbench import Workbench
from edgekit.students.student import Student
from edgekit.tasks import Task
from edgekit.teachers.ensemble import Ensemble, Member
from edgekit.teachers.external.teacher import ExternalTeacher
from edgekit.teachers.multimodal import MultiModal
from edgekit.training.memory import enough_memory, keep_freed_memory
from edgekit.training.precision import device
from edgekit.training.progress import Progress

_EXTREMES = 4
"""Rows of the grids of worst and of most disputed frames."""


def predictors(bench: Workbench, networks: Sequence[MultiModal], students: dict[str, Student]) -> dict[str, Predict]:
    """Row name → predictor, in the table's order. ``students``: ``student`` and perhaps ``baseline``."""
    modalities = bench.recipe.teacher.modalities
    out: dict[str, Predict] = {}
    if networks:
        out["single_all"] = _single(bench, networks, modalities)
        if "rgb" in modalities and len(modalities) > 1:
            out["single_rgb"] = _single(bench, networks, ["rgb"])
    for external in bench.external:
        if getattr(external.config, "missing", "error") == "error":  # it answers for every frame, and can be scored
            out[EXTERNAL_ROW + external.name] = _external(bench, external)
    if networks and bench.external:  # the ensemble without external members
        out["networks"] = _ensemble(bench, build_ensemble(bench, networks, []))
    out["ensemble"] = _ensemble(bench, build_ensemble(bench, networks))
    return out | student_rows(bench, students)


def student_rows(bench: Workbench, students: dict[str, Student]) -> dict[str, Predict]:
    """The rows of ``students`` (``student``, ``baseline``), and of the student without what it may lack."""
    out = {name: _student(bench, students[name]) for name in ("baseline", "student") if name in students}
    if "student" in students:
        for hidden in without(students["student"]):
            out[WITHOUT_ROW + ", ".join(hidden)] = _student(bench, students["student"], hidden)
    return out


def without(seeing: Student | Preprocessing) -> list[tuple[str, ...]]:
    """Combinations of hidden modalities to score: each optional one alone, and all of them if others remain."""
    lacking = seeing.may_lack
    single = [(name,) for name in lacking]
    return [*single, lacking] if 1 < len(lacking) < len(seeing.modalities) else single


def score_with_progress(
    bench: Workbench,
    title: str,
    predict: Predict,
    infos: Sequence[FrameInfo],
    tasks: Sequence[Task],
    *,
    sequential: bool,
    observe: Observe = lambda frame, maps, predicted: None,
) -> TaskScores:
    """``score`` on the bench's frames, with a progress bar and lines in its log."""
    with Progress(title, bench.log, len(infos)) as progress:
        step = progress.step
        return score(predict, bench.frames, infos, tasks, sequential=sequential, progress=step, observe=observe)


def score_models(bench: Workbench, predict: dict[str, Predict], split: str) -> tuple[dict[str, TaskScores], Breakdown]:
    """Row name → scores on a split, and what those of ensemble and students are made of."""
    keep_freed_memory()
    infos = bench.frames.frames(split)
    breakdown = Breakdown(bench.tasks, infos, sequential=bench.frames.sequential)
    few = {EXTERNAL_ROW + external.name: list(external.tasks.values()) for external in bench.external}
    results = {}
    for name, one in predict.items():
        doing, fix = f"scoring {name} on whole frames of {split}", "lower ensemble.at_once or student.input_scale"
        title, tasks, sequential = f"evaluating {name} on {split}", few.get(name, bench.tasks), bench.frames.sequential
        extra = {"observe": breakdown.observer(name)} if name in MODELS else {}
        with enough_memory(doing, "data", fix):
            results[name] = score_with_progress(bench, title, one, infos, tasks, sequential=sequential, **extra)
    return results, breakdown


def draw_pictures(
    bench: Workbench,
    networks: Sequence[MultiModal],
    student: Student,
    split: str,
    breakdown: Breakdown,
    folder: Path,
) -> list[Path]:
    """A picture grid per task, ``<task>-<split>.png``, of frames spread over the split; and of the main task the
    student's worst frames, ``<task>-<split>-worst.png``, and those that the ensemble disputes, ``…-disputed.png``."""
    everything, main = bench.frames.frames(split), main_task(bench.tasks)
    count = bench.recipe.evaluate.pictures
    few = min(count, _EXTREMES) if len(everything) > count else 0  # fewer frames are all in the first grid
    named = {frame.name: frame for frame in everything}
    grids = {
        "": (bench.tasks, spread_out(everything, count)),
        "-worst": ([main], [named[name] for name in breakdown.worst(main, few)]),
        "-disputed": ([main], [named[name] for name in breakdown.disputed(main, few)]),
    }
    ensemble, distilled = build_ensemble(bench, networks), _student(bench, student)
    paths = []
    for kind, (tasks, infos) in grids.items():
        taught, learned = [], []
        for frame in infos:
            size = bench.frames.read(frame, ["rgb"])["rgb"].shape[:2]
            inputs = encode_inputs(bench.frames, frame, bench.recipe.teacher.modalities)
            taught.append(ensemble.predict(inputs, size, frame))
            learned.append(distilled(frame, size))
        for task in tasks if infos else ():
            path = folder / f"{task.name}-{split}{kind}.png"
            write_png(path, picture_grid(task, bench.frames, infos, taught, learned))
            paths.append(path)
    return paths


def _single(bench: Workbench, networks: Sequence[MultiModal], visible: Sequence[str]) -> Predict:
    """One pass of the first network, at the precision and first scale of the ensemble."""
    recipe = bench.recipe
    member = Member(0, tuple(name in visible for name in recipe.teacher.modalities), scale=recipe.ensemble.scales[0])
    return _ensemble(bench, Ensemble(networks, [member], precision=recipe.teacher.train.precision))


def _ensemble(bench: Workbench, ensemble: Ensemble) -> Predict:
    def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        inputs = encode_inputs(bench.frames, frame, bench.recipe.teacher.modalities)
        found = ensemble.predict(inputs, size, frame)
        disputed = {name + DISAGREEMENT: p.disagreement[0].cpu().numpy() for name, p in found.items()}
        return with_confidence(bench.tasks, {name: p.soft for name, p in found.items()}) | disputed

    return predict


def _external(bench: Workbench, external: ExternalTeacher) -> Predict:
    return lambda frame, size: native_maps(bench.tasks, external.answer(bench.frames, frame, size))


def _student(bench: Workbench, student: Student, hidden: Sequence[str] = ()) -> Predict:
    student = student.to(device())
    names = [task.name for task in student.modalities]

    def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        soft = student.predict(student.together(encode_inputs(bench.frames, frame, names), hidden), size)
        return with_confidence(bench.tasks, soft)

    return predict
