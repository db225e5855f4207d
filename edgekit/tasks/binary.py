"""Binary maps: a yes or no per pixel."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks.colours import INVALID, heat
from edgekit.tasks.disk import misfit, plane
from edgekit.tasks.form import CONFIDENCE, PROBABILITIES, OutputForm
from edgekit.tasks.kind import Kind, Meter, confusion, listed, require, share
from edgekit.tasks.legend import Legend, Swatches, percent
from edgekit.tasks.metric import PrimaryMetric
from edgekit.tasks.store import Arrays, restore_probabilities, store_probabilities
from edgekit.tasks.task import IGNORE, Task


class Binary(Kind):
    """Native (H, W) uint8 0 or 1, 255 = ignore. Soft: the probability of 1, (1, H, W)."""

    name = "binary"
    interpolation = "nearest"
    primary = PrimaryMetric("iou", unit="points", limit=1.0)
    columns = MappingProxyType({"iou": ("IoU %", 100, 2), "f1": ("F1 %", 100, 2), "accuracy": ("accuracy %", 100, 2)})
    forms = (
        OutputForm("mask", "0 or 1 per pixel, uint8", "index", lambda task, soft: _mask(soft)),
        CONFIDENCE,
        PROBABILITIES,
    )

    def channels(self, task: Task) -> int:
        return 1

    def about(self, task: Task) -> str:
        return "yes or no"

    def validate(self, task: Task, array: np.ndarray, where: str) -> None:
        require(task, array, where, shape="HxW", dtypes=(np.uint8,))
        wrong = (array > 1) & (array != IGNORE)
        if wrong.any():
            raise EdgekitError(
                f"task '{task.name}' (binary) has value {listed(array[wrong])} in {int(wrong.sum())} pixels",
                where=where,
                fix=f"use 0 and 1, and {IGNORE} for ignore",
            )

    def encode(self, task: Task, array: np.ndarray) -> np.ndarray:
        encoded = array.astype(np.float32)
        encoded[array == IGNORE] = np.nan
        return encoded[..., None]

    def activation(self, task: Task, raw: np.ndarray) -> np.ndarray:
        return 0.5 * (1 + np.tanh(0.5 * raw))  # the sigmoid, in the form that cannot overflow

    def decode(self, task: Task, soft: np.ndarray) -> np.ndarray:
        return _mask(soft)

    def store(self, task: Task, soft: np.ndarray, keep: str, top: int) -> Arrays:
        return store_probabilities(soft, keep, top)

    def restore(self, task: Task, arrays: Arrays) -> np.ndarray:
        return restore_probabilities(arrays, 1)

    def to_disk(self, task: Task, native: np.ndarray, where: str) -> np.ndarray:
        """(H, W) bool."""
        if (native == IGNORE).any():
            raise EdgekitError(
                f"the binary map '{task.name}' has pixels without a value, which a bool cannot say",
                where=where,
                fix="leave the task out with --task, or make it a semantic task of two classes",
            )
        return native.astype(bool)

    def from_disk(self, task: Task, stored: np.ndarray, where: str) -> np.ndarray:
        flat = plane(task, stored, where, "bui", "bool (H, W)")
        if flat.dtype.kind != "b" and ((flat < 0) | ((flat > 1) & (flat != IGNORE))).any():
            raise misfit(task, stored, where, "bool (H, W)")
        return flat.astype(np.uint8)

    def meter(self, task: Task) -> Meter:
        return BinaryMeter()

    def picture(self, task: Task, array: np.ndarray) -> np.ndarray:
        grey = np.where(array == IGNORE, INVALID, np.where(array == 1, 255, 0)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)

    def error_picture(self, task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        return heat((prediction != target).astype(np.float32), valid=target != IGNORE)

    def legend(self, task: Task, array: np.ndarray) -> Legend:
        """The share of yes."""
        return Swatches([((255, 255, 255), task.name, percent(float((array == 1).mean())))])


def _mask(soft: np.ndarray) -> np.ndarray:
    return (soft[0] > 0.5).astype(np.uint8)


class BinaryMeter(Meter):
    """iou and f1 of the positive class and accuracy, counts summed over all frames.

    Pixels with target 255 are left out; a prediction of 255 (no answer) is wrong. iou and f1 are None when neither
    target nor prediction ever is 1.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((2, 3), np.int64)  # target by prediction; the last column is "no answer"

    def _add(self, prediction: np.ndarray, target: np.ndarray, scene: str) -> None:
        self._counts += confusion(prediction, target, 2)

    def result(self) -> dict[str, float | dict | None]:
        hits, false_alarms = self._counts[1, 1], self._counts[0, 1]
        wrong = self._counts[1].sum() - hits + false_alarms
        return {
            "iou": share(hits, hits + wrong),
            "f1": share(2 * hits, 2 * hits + wrong),
            "accuracy": share(np.trace(self._counts), self._counts.sum()),
        }

    def confusion(self) -> np.ndarray:
        return self._counts
