"""The last stage: score every model of a run on a split, and draw what they said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.data.source import FrameInfo
from edgekit.evaluate.pictures import as_prediction, picture_grid, spread_out
from edgekit.evaluate.score import Predict, Scores, score
from edgekit.evaluate.table import EXTERNAL_ROW
from edgekit.frames.images import write_png
from edgekit.pipeline.targets import build_ensemble, encode_inputs
from edgekit.pipeline.workbench import Workbench
from edgekit.students.student import Student
from edgekit.teachers.ensemble import Ensemble, only
from edgekit.teachers.external.external import External
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
    for external in _of_every_frame(bench):
        out[EXTERNAL_ROW + external.name] = _external(bench, external)
    out["ensemble"] = _ensemble(bench, build_ensemble(bench, networks))
    for name in ("baseline", "student"):
        if name in students:
            out[name] = _student(bench, students[name])
    return out


def evaluate(bench: Workbench, predict: dict[str, Predict], split: str) -> dict[str, Scores]:
    """Row name → scores on a split."""
    keep_freed_memory()
    infos = bench.frames.frames(split)
    few = {EXTERNAL_ROW + external.name: list(external.tasks.values()) for external in bench.external}
    results = {}
    for name, one in predict.items():
        doing, fix = f"scoring {name} on whole frames of {split}", "lower ensemble.at_once or student.input_scale"
        with Progress(f"evaluating {name} on {split}", bench.log) as progress, enough_memory(doing, "data", fix):
            progress.begin(len(infos))
            results[name] = score(
                one,
                bench.frames,
                infos,
                few.get(name, bench.tasks),
                sequential=bench.frames.sequential,
                progress=progress.step,
            )
    return results


def draw(bench: Workbench, networks: Sequence[MultiModal], student: Student, split: str, folder: Path) -> list[Path]:
    """A picture grid per task, ``<task>-<split>.png``; frames spread over the split."""
    infos = spread_out(bench.frames.frames(split), bench.recipe.evaluate.pictures)
    if not infos:
        return []
    ensemble, flown = build_ensemble(bench, networks), _student(bench, student)
    said = [
        ensemble.predict(encode_inputs(bench.frames, f, bench.recipe.teacher.modalities), _size(bench, f), f)
        for f in infos
    ]
    seen = [flown(f, _size(bench, f)) for f in infos]
    paths = []
    for task in bench.tasks:
        path = folder / f"{task.name}-{split}.png"
        write_png(path, picture_grid(task, bench.frames, infos, said, seen))
        paths.append(path)
    return paths


def _size(bench: Workbench, frame: FrameInfo) -> tuple[int, int]:
    return bench.frames.read(frame, ["rgb"])["rgb"].shape[:2]


def _single(bench: Workbench, networks: Sequence[MultiModal], visible: Sequence[str]) -> Predict:
    """One pass of the first network, as exact as a member of the ensemble."""
    recipe = bench.recipe
    member = only(recipe.teacher.modalities, visible, scale=recipe.ensemble.scales[0])
    return _ensemble(bench, Ensemble(networks, member, precision=recipe.teacher.train.precision))


def _ensemble(bench: Workbench, ensemble: Ensemble) -> Predict:
    def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        inputs = encode_inputs(bench.frames, frame, bench.recipe.teacher.modalities)
        return as_prediction({name: p.soft for name, p in ensemble.predict(inputs, size, frame).items()})

    return predict


def _of_every_frame(bench: Workbench) -> list[External]:
    """Those that answer for any frame, and so can be scored."""
    return [external for external in bench.external if getattr(external.config, "missing", "error") == "error"]


def _external(bench: Workbench, external: External) -> Predict:
    def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        return as_prediction(external.answer(bench.frames, frame, size))

    return predict


def _student(bench: Workbench, student: Student) -> Predict:
    student = student.to(device())

    def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        return as_prediction(student.predict(encode_inputs(bench.frames, frame, ["rgb"])["rgb"], size))

    return predict
