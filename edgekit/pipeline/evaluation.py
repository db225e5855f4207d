"""The end of a run: score every model on a split, and draw what ensemble and student predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.data.source import FrameInfo
from edgekit.evaluate.pictures import picture_grid, spread_out
from edgekit.evaluate.score import Predict, TaskScores, native_maps, score
from edgekit.evaluate.table import EXTERNAL_ROW
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
    out["ensemble"] = _ensemble(bench, build_ensemble(bench, networks))
    for name in ("baseline", "student"):
        if name in students:
            out[name] = _student(bench, students[name])
    return out


def score_with_progress(
    bench: Workbench,
    title: str,
    predict: Predict,
    infos: Sequence[FrameInfo],
    tasks: Sequence[Task],
    *,
    sequential: bool,
) -> TaskScores:
    """``score`` on the bench's frames, with a progress bar and lines in its log."""
    with Progress(title, bench.log) as progress:
        progress.begin(len(infos))
        return score(predict, bench.frames, infos, tasks, sequential=sequential, progress=progress.step)


def score_models(bench: Workbench, predict: dict[str, Predict], split: str) -> dict[str, TaskScores]:
    """Row name → scores on a split."""
    keep_freed_memory()
    infos = bench.frames.frames(split)
    few = {EXTERNAL_ROW + external.name: list(external.tasks.values()) for external in bench.external}
    results = {}
    for name, one in predict.items():
        doing, fix = f"scoring {name} on whole frames of {split}", "lower ensemble.at_once or student.input_scale"
        title, tasks, sequential = f"evaluating {name} on {split}", few.get(name, bench.tasks), bench.frames.sequential
        with enough_memory(doing, "data", fix):
            results[name] = score_with_progress(bench, title, one, infos, tasks, sequential=sequential)
    return results


def draw_pictures(
    bench: Workbench, networks: Sequence[MultiModal], student: Student, split: str, folder: Path
) -> list[Path]:
    """A picture grid per task, ``<task>-<split>.png``, of frames spread over the split."""
    infos = spread_out(bench.frames.frames(split), bench.recipe.evaluate.pictures)
    if not infos:
        return []
    ensemble, distilled = build_ensemble(bench, networks), _student(bench, student)
    taught, learned = [], []
    for frame in infos:
        size = bench.frames.read(frame, ["rgb"])["rgb"].shape[:2]
        inputs = encode_inputs(bench.frames, frame, bench.recipe.teacher.modalities)
        taught.append(ensemble.predict(inputs, size, frame))
        learned.append(distilled(frame, size))
    paths = []
    for task in bench.tasks:
        path = folder / f"{task.name}-{split}.png"
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
        return native_maps(bench.tasks, {name: p.soft for name, p in ensemble.predict(inputs, size, frame).items()})

    return predict


def _external(bench: Workbench, external: ExternalTeacher) -> Predict:
    return lambda frame, size: native_maps(bench.tasks, external.answer(bench.frames, frame, size))


def _student(bench: Workbench, student: Student) -> Predict:
    student = student.to(device())

    def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        return native_maps(bench.tasks, student.predict(encode_inputs(bench.frames, frame, ["rgb"])["rgb"], size))

    return predict
