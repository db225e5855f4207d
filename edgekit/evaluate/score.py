"""Scores of models on a split: every metric of every task, and temporal consistency."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.evaluate.temporal import Consistency, dis_flow
from edgekit.tasks import Task, kind_of

Predict = Callable[[FrameInfo, tuple[int, int]], dict[str, np.ndarray]]
"""(frame, size) → soft map (C, H, W) per task at that size."""

Answer = Callable[[FrameInfo, tuple[int, int]], dict[str, np.ndarray]]
"""(frame, size) → native map per task at that size."""

Scores = dict[str, dict]


def score(
    predict: Predict,
    frames: FrameSet,
    infos: Sequence[FrameInfo],
    tasks: Sequence[Task],
    *,
    sequential: bool,
    progress: Callable[[int], None] = lambda done: None,
) -> Scores:
    """``score_answers`` of a model that gives soft maps."""

    def decoded(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        soft = predict(frame, size)
        return {task.name: kind_of(task).decode(task, soft[task.name]) for task in tasks}

    return score_answers(decoded, frames, infos, tasks, sequential=sequential, progress=progress)


def score_answers(
    answer: Answer,
    frames: FrameSet,
    infos: Sequence[FrameInfo],
    tasks: Sequence[Task],
    *,
    sequential: bool,
    progress: Callable[[int], None] = lambda done: None,
) -> Scores:
    """Task name → metrics (see the kinds' meters), over the labelled frames among ``infos``.

    ``sequential``: neighbouring indices of a scene are neighbouring moments of a film; then tasks with classes also get
    ``temporal_consistency``, with the source's exact flow or else OpenCV's DIS flow.
    """
    meters = {task.name: kind_of(task).meter(task) for task in tasks}
    consistency = {task.name: Consistency() for task in tasks if task.classes} if sequential else {}
    previous: tuple[FrameInfo, dict[str, np.ndarray], np.ndarray] | None = None
    for done, frame in enumerate(infos, 1):
        maps = frames.read(frame, ["rgb", *(t.name for t in tasks)])
        size = maps["rgb"].shape[:2]
        decoded = answer(frame, size)
        for task in tasks:
            if frame.labelled and task.name in maps:
                meters[task.name].update(decoded[task.name], maps[task.name], frame.scene)
        if consistency and previous and (previous[0].scene, previous[0].index + 1) == (frame.scene, frame.index):
            flow = frames.flow(previous[0])
            if flow is None:
                flow = dis_flow(previous[2], maps["rgb"])
            for name, meter in consistency.items():
                meter.update(previous[1][name], decoded[name], flow)
        previous = (frame, {name: decoded[name] for name in consistency}, maps["rgb"])
        progress(done)
    scores = {name: meter.result() for name, meter in meters.items()}
    for name, meter in consistency.items():
        scores[name]["temporal_consistency"] = meter.result()
    return scores


def main_task(tasks: Sequence[Task]) -> Task:
    """The task that a run is judged by: the first that says what things are, else the first."""
    return next((t for t in tasks if t.classes), tasks[0])


def primary_metric(task: Task, scores: Scores) -> float | None:
    """The one number that a task is compared by, None where it is undefined."""
    return scores[task.name][kind_of(task).primary.name]


def is_better(task: Task, a: float | None, b: float | None) -> bool:
    """Whether the primary metric ``a`` is better than ``b``; False where either is undefined."""
    if a is None or b is None:
        return False
    return a > b if kind_of(task).primary.higher_is_better else a < b
