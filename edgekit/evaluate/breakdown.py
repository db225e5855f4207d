"""What a score is made of: single frames, classes taken for others, confidence, and where teachers disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.data.source import FrameInfo
from edgekit.evaluate.score import CONFIDENCE, DISAGREEMENT, Observe, primary_metric
from edgekit.tasks import Task, kind_of

MODELS = ("ensemble", "baseline", "student")
"""The rows of a run's table that are broken down, where they are scored."""
MOST_BLOCKS, FILM_BLOCKS = 50, 10
_LEVELS = 256


class Breakdown:
    """Gathers while models are scored; memory grows by a few numbers per frame.

    ``sequential``: neighbouring frames of a scene are neighbouring moments of a film.
    """

    def __init__(self, tasks: Sequence[Task], infos: Sequence[FrameInfo], *, sequential: bool):
        self._tasks = list(tasks)
        self._place = {frame.name: i for i, frame in enumerate(infos)}
        self._blocks = blocks_of(infos, sequential)
        self._found: dict[str, dict[str, _Model]] = {task.name: {} for task in tasks}

    def observer(self, model: str) -> Observe:
        """What ``score`` calls with (frame, its maps, what the model predicts)."""
        counts = {task.name: _Model(task, len(self._place), max(self._blocks) + 1) for task in self._tasks}
        for name, of_task in counts.items():
            self._found[name][model] = of_task

        def observe(frame: FrameInfo, maps: dict[str, np.ndarray], predicted: dict[str, np.ndarray]) -> None:
            place = self._place[frame.name]
            for name, of_task in counts.items():
                target = maps.get(name) if frame.labelled else None
                of_task.add(place, self._blocks[place], predicted, target)

        return observe

    def result(self) -> dict[str, Any]:
        """Ready for JSON; ``edgekit.report.breakdown`` has its schema."""
        tasks = {}
        for task in self._tasks:
            primary = kind_of(task).primary
            title, factor, digits = kind_of(task).columns[primary.name]
            tasks[task.name] = {
                "metric": {"title": title, "factor": factor, "decimals": digits, "higher": primary.higher_is_better},
                "classes": list(_names(task)),
                "models": {model: found.result() for model, found in self._found[task.name].items()},
            }
        return {"frames": list(self._place), "blocks": self._blocks, "tasks": tasks}

    def worst(self, task: Task, count: int) -> list[str]:
        """The labelled frames on which the distilled student's primary metric is worst, the worst first."""
        scores = self._scores(task, "student")
        sign = 1 if kind_of(task).primary.higher_is_better else -1
        return sorted(scores, key=lambda name: sign * scores[name])[:count]

    def disputed(self, task: Task, count: int) -> list[str]:
        """The frames on which the ensemble's members disagree most, averaged over pixels; none where they never do."""
        found = self._found[task.name].get("ensemble")
        values = dict(zip(self._place, found.disagreement, strict=True)) if found else {}
        return sorted((n for n, v in values.items() if v), key=lambda name: -values[name])[:count]

    def _scores(self, task: Task, model: str) -> dict[str, float]:
        found = self._found[task.name].get(model)
        pairs = zip(self._place, found.scores, strict=True) if found else ()
        return {name: score for name, score in pairs if score is not None}


class _Model:
    """The counts of one model and task."""

    def __init__(self, task: Task, frames: int, blocks: int):
        classes = len(_names(task))
        self._task = task
        self.scores: list[float | None] = [None] * frames
        self.disagreement: list[float | None] = [None] * frames
        self._confusion = np.zeros((classes, classes + 1), np.int64)
        self._blocks = np.zeros((blocks, classes, 3), np.int64)
        self._levels = np.zeros((2, _LEVELS), np.int64)

    def add(self, place: int, block: int, predicted: dict[str, np.ndarray], target: np.ndarray | None) -> None:
        name = self._task.name
        disagreement = predicted.get(name + DISAGREEMENT)
        if disagreement is not None:
            self.disagreement[place] = float(disagreement.mean())
        if target is None:
            return
        meter = kind_of(self._task).meter(self._task)
        meter.update(predicted[name], target)
        self.scores[place] = primary_metric(self._task, {name: meter.result()})
        counts = meter.confusion()
        if counts is not None:
            self._confusion += counts
            self._blocks[block] += np.stack([counts.diagonal(), counts.sum(axis=1), counts[:, :-1].sum(axis=0)], axis=1)
        confidence = predicted.get(name + CONFIDENCE)
        if confidence is not None and counts is not None:
            known = target < len(counts)
            levels = confidence[known]
            right = levels[predicted[name][known] == target[known]]
            self._levels += [np.bincount(values, minlength=_LEVELS) for values in (levels, right)]

    def result(self) -> dict[str, Any]:
        return {
            "scores": self.scores,
            "disagreement": self.disagreement,
            "confusion": self._confusion.tolist(),
            "blocks": self._blocks.tolist(),
            "levels": self._levels.tolist(),
        }


def blocks_of(infos: Sequence[FrameInfo], sequential: bool) -> list[int]:
    """Frame → its block, 0 to at most 49: what differences are paired over, and left out together for their error.

    Neighbouring frames of a film say nearly the same, so there a block is a scene, or several in a row; where there
    are fewer than ten scenes, a tenth of the labelled frames in a row. Otherwise each frame is one, or up to 50 shares.
    Frames without labels are in block 0, where they count nothing.
    """
    labelled = [frame for frame in infos if frame.labelled]
    scenes = {scene: i for i, scene in enumerate(dict.fromkeys(frame.scene for frame in labelled))}
    if sequential and len(scenes) >= FILM_BLOCKS:
        unit = {frame.name: scenes[frame.scene] for frame in labelled}
    else:
        unit = {frame.name: i for i, frame in enumerate(labelled)}
    units = max(unit.values(), default=0) + 1
    count = min(units, FILM_BLOCKS if sequential and len(scenes) < FILM_BLOCKS else MOST_BLOCKS)
    return [unit.get(frame.name, 0) * count // units for frame in infos]


def _names(task: Task) -> Sequence[str]:
    """The names of what a pixel may be, none where it is a measure."""
    return task.classes or ((f"no {task.name}", task.name) if kind_of(task).meter(task).confusion() is not None else ())
