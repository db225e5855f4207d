"""Mean and deviation of each modality, over valid pixels of train frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo, spread_out
from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of

MOST_FRAMES = 200
_LEAST_DEVIATION = 1e-3


def class_weights(frames: FrameSet, labelled: Sequence[FrameInfo], name: str, balance: float) -> list[float]:
    """share^−balance per class of a semantic task over labelled frames, scaled so that the mean pixel counts 1.

    A class that no labelled frame has counts as if it had one pixel in a million.
    """
    task = frames.tasks[name]
    counts = np.zeros(256)
    for frame in labelled:
        maps = frames.read(frame, [name])
        if name in maps:
            counts += np.bincount(maps[name].ravel(), minlength=256)
    share = np.maximum(counts[: len(task.classes)] / max(1, counts[: len(task.classes)].sum()), 1e-6)
    weights = share**-balance
    return (weights / (weights * share).sum()).tolist()


Statistics = dict[str, tuple[list[float], list[float]]]


def compute_statistics(frames: FrameSet, split: Sequence[FrameInfo], names: Sequence[str]) -> Statistics:
    """Per modality (mean, std), one number per channel in network units, from at most 200 frames spread over ``split``.

    NaN (missing, invalid) does not count. A modality that none of them has is looked for in the other frames. A
    constant channel gets a deviation of 1, so that standardising it gives 0 and does not divide by zero. EdgekitError
    for a modality that no frame has.
    """
    chosen = spread_out(split, MOST_FRAMES)
    sums = {name: np.zeros((3, kind_of(frames.tasks[name]).channels(frames.tasks[name]))) for name in names}
    for frame in chosen:
        for name, array in frames.read(frame, names).items():
            sums[name] += _moments(frames.tasks[name], array)
    for name in [n for n in names if not sums[n][0].any()]:
        found = 0
        for frame in split:
            for array in frames.read(frame, [name]).values():
                sums[name] += _moments(frames.tasks[name], array)
                found += 1
            if found == MOST_FRAMES:
                break
    out = {}
    for name, (count, total, squares) in sums.items():
        if not count[0]:
            raise EdgekitError(
                f"no train frame has the modality '{name}'",
                where="the modalities of teacher and student",
                fix="remove it, or see `edgekit recipe check` for what the frames have",
            )
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        deviation[deviation < _LEAST_DEVIATION * np.maximum(1, np.abs(mean))] = 1.0
        out[name] = (mean.tolist(), deviation.tolist())
    return out


def _moments(task: Task, array: np.ndarray) -> np.ndarray:
    """(3, C) float64 over the valid pixels of a native map: their number, sum and sum of squares."""
    values = kind_of(task).encode(task, array).reshape(-1, kind_of(task).channels(task))
    values = values[np.isfinite(values).all(axis=1)].astype(np.float64)
    return np.stack([np.full(values.shape[1], len(values)), values.sum(0), np.square(values).sum(0)])
