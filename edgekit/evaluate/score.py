"""Scores of models on a split: every metric of every task, and temporal consistency."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.evaluate.temporal import Consistency, dis_flow
from edgekit.tasks import Task, kind_of

Predict = Callable[[FrameInfo, tuple[int, int]], dict[str, np.ndarray]]
"""(frame, size) → native map per task at that size."""

Observe = Callable[[FrameInfo, dict[str, np.ndarray], dict[str, np.ndarray]], None]
"""(frame, its maps, what a ``Predict`` gave): called for every frame that is scored."""

TaskScores = dict[str, dict]
"""Task name → metric → value, of one model."""

CONFIDENCE, DISAGREEMENT = "_confidence", "_disagreement"
"""Behind a task's name: what a ``Predict`` may give beside its map. Confidence is 0-255, disagreement 0-1."""


def native_maps(tasks: Sequence[Task], soft: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Soft maps (1, C, H, W) as the native maps of those of the tasks that they are of."""
    return {
        task.name: kind_of(task).decode(task, soft[task.name][0].float().cpu().numpy())
        for task in tasks
        if task.name in soft
    }


def with_confidence(tasks: Sequence[Task], soft: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """``native_maps``, and of every task that has such a form ``<task>_confidence`` (H, W) uint8."""
    found = native_maps(tasks, soft)
    for task in [task for task in tasks if task.name in found]:
        kind = kind_of(task)
        if CONFIDENCE[1:] in kind.form_names:
            map_ = soft[task.name][0].float().cpu().numpy()
            found[task.name + CONFIDENCE] = kind.form(CONFIDENCE[1:]).of(task, map_)
    return found


def score(
    predict: Predict,
    frames: FrameSet,
    infos: Sequence[FrameInfo],
    tasks: Sequence[Task],
    *,
    sequential: bool,
    progress: Callable[[int], None] = lambda done: None,
    observe: Observe = lambda frame, maps, predicted: None,
) -> TaskScores:
    """The metrics of a model (see the kinds' meters), over the labelled frames among ``infos``.

    ``sequential``: consecutive indices of a scene are consecutive frames of a film; then tasks with classes also get
    ``temporal_consistency``, with the source's exact flow or else OpenCV's DIS flow.
    """
    meters = {task.name: kind_of(task).meter(task) for task in tasks}
    consistency = {task.name: Consistency() for task in tasks if task.classes} if sequential else {}
    previous: tuple[FrameInfo, dict[str, np.ndarray], np.ndarray] | None = None
    for done, frame in enumerate(infos, 1):
        maps = frames.read(frame, ["rgb", *(t.name for t in tasks)])
        size = maps["rgb"].shape[:2]
        predicted = predict(frame, size)
        for task in tasks:
            if frame.labelled and task.name in maps:
                meters[task.name].update(predicted[task.name], maps[task.name], frame.scene)
        if consistency and previous and (previous[0].scene, previous[0].index + 1) == (frame.scene, frame.index):
            flow = frames.flow(previous[0])
            if flow is None:
                flow = dis_flow(previous[2], maps["rgb"])
            for name, meter in consistency.items():
                meter.update(previous[1][name], predicted[name], flow)
        observe(frame, maps, predicted)
        previous = (frame, {name: predicted[name] for name in consistency}, maps["rgb"])
        progress(done)
    scores = {name: meter.result() for name, meter in meters.items()}
    for name, meter in consistency.items():
        scores[name]["temporal_consistency"] = meter.result()
    return scores


def main_task(tasks: Sequence[Task]) -> Task:
    """The task that a run is judged by: the first that says what things are, else the first."""
    return next((t for t in tasks if t.classes), tasks[0])


def primary_metric(task: Task, scores: TaskScores) -> float | None:
    """The one number that a task is compared by, None where it is undefined."""
    return scores[task.name][kind_of(task).primary.name]


def decimals(value: float | None) -> str:
    """A metric for a sentence."""
    return "none" if value is None else f"{value:.4f}"


def is_better(task: Task, a: float | None, b: float | None) -> bool:
    """Whether the primary metric ``a`` is better than ``b``; False where either is undefined."""
    if a is None or b is None:
        return False
    return a > b if kind_of(task).primary.higher_is_better else a < b
