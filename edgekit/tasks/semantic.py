"""Semantic segmentation: one class index per pixel."""

from __future__ import annotations

import colorsys
import math
from types import MappingProxyType

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks.colours import heat
from edgekit.tasks.disk import misfit, plane
from edgekit.tasks.form import CONFIDENCE, PROBABILITIES, OutputForm
from edgekit.tasks.kind import Kind, Meter, confusion, holes, listed, require, share
from edgekit.tasks.legend import Legend, Swatches, percent
from edgekit.tasks.metric import PrimaryMetric
from edgekit.tasks.store import Arrays, restore_probabilities, store_probabilities
from edgekit.tasks.task import IGNORE, Task

_LEAST_SHARE = 0.0005  # of the pixels; a class with fewer is not listed in the legend


class Semantic(Kind):
    """Native (H, W) uint8 class index, 255 = ignore. Soft: class probabilities (C, H, W)."""

    name = "semantic"
    interpolation = "nearest"
    fields = frozenset({"classes", "colours", "weights"})
    primary = PrimaryMetric("miou", unit="points", limit=1.0)
    forms = (
        OutputForm(
            "classes",
            "class index per pixel, uint8",
            "index",
            lambda task, soft: _winner(soft),
            of_logits=True,  # the largest logit is the largest probability
        ),
        CONFIDENCE,
        PROBABILITIES,
    )
    columns = MappingProxyType(
        {
            "miou": ("mIoU %", 100, 2),
            "classes": ("over classes", 1, 0),
            "weighted_miou": ("weighted mIoU %", 100, 2),
            "samplewise_miou": ("sample-wise mIoU %", 100, 2),
            "temporal_consistency": ("temporal %", 100, 2),  # of a film, counted beside the meter
        }
    )

    def channels(self, task: Task) -> int:
        return len(task.classes)

    def check(self, task: Task) -> None:
        if not 1 <= len(task.classes) <= IGNORE:
            raise ValueError(f"{len(task.classes)} classes are given, expected 1 to {IGNORE}")
        for what, given in (("colours", task.colours), ("weights", task.weights)):
            if given and len(given) != len(task.classes):
                raise ValueError(f"{len(given)} {what} are given for {len(task.classes)} classes")
        if not all(0 <= value <= 255 for colour in task.colours for value in colour):
            raise ValueError("a colour is red, green and blue, each from 0 to 255")
        if not all(0 <= weight < math.inf for weight in task.weights):
            raise ValueError("the weight of a class is finite, 0 or more")

    def about(self, task: Task) -> str:
        return f"one of {len(task.classes)} classes: {', '.join(task.classes)}"

    def validate(self, task: Task, array: np.ndarray, where: str) -> None:
        require(task, array, where, shape="HxW", dtypes=(np.uint8,))
        wrong = (array >= len(task.classes)) & (array != IGNORE)
        if wrong.any():
            raise EdgekitError(
                f"task '{task.name}' has label {listed(array[wrong])} in {int(wrong.sum())} pixels, "
                f"outside its {len(task.classes)} classes",
                where=where,
                fix=f"use labels 0 to {len(task.classes) - 1} and {IGNORE} for ignore, or add the class to the recipe",
            )

    def encode(self, task: Task, array: np.ndarray) -> np.ndarray:
        classes = np.arange(len(task.classes), dtype=np.uint8)
        encoded = (array[..., None] == classes).astype(np.float32)  # (H, W, C)
        encoded[array == IGNORE] = np.nan
        return encoded

    def activation(self, task: Task, raw: np.ndarray) -> np.ndarray:
        powers = np.exp(raw - raw.max(axis=-3, keepdims=True))  # shifted, so that no logit overflows
        return powers / powers.sum(axis=-3, keepdims=True)

    def decode(self, task: Task, soft: np.ndarray) -> np.ndarray:
        return _winner(soft)

    def store(self, task: Task, soft: np.ndarray, keep: str, top: int) -> Arrays:
        return store_probabilities(soft, keep, top)

    def restore(self, task: Task, arrays: Arrays) -> np.ndarray:
        return restore_probabilities(arrays, len(task.classes))

    def to_disk(self, task: Task, native: np.ndarray, where: str) -> np.ndarray:
        """Indices (H, W) uint8; where some pixels have no label, scores (H, W, C) float16 with NaN there.

        An index that is no class breaks the public reader.
        """
        ignored = native == IGNORE
        if not ignored.any():
            return native
        scores = (native[..., None] == np.arange(len(task.classes))).astype(np.float16)
        scores[ignored] = np.nan
        return scores

    def from_disk(self, task: Task, stored: np.ndarray, where: str) -> np.ndarray:
        """Indices (H, W) uint8 or uint16, or scores (H, W, C) float, of which the best counts and NaN is ignored."""
        count = len(task.classes)
        if stored.dtype.kind == "f":
            if stored.ndim != 3 or stored.shape[2] != count:
                raise misfit(task, stored, where, f"class indices (H, W), or scores (H, W, {count})")
            known = ~holes(stored) & (stored != 0).any(axis=-1)
            return np.where(known, np.nan_to_num(stored).argmax(axis=-1), IGNORE).astype(np.uint8)
        index = plane(task, stored, where, "ui", "class indices (H, W)")
        nobody = np.iinfo(index.dtype).max  # 65535 in uint16 is the 255 of uint8
        wrong = (index < 0) | ((index >= count) & (index != IGNORE) & (index != nobody))
        if wrong.any():
            raise EdgekitError(
                f"the task '{task.name}' has class {int(index[wrong][0])}, and there are {count} classes",
                where=where,
                fix=f"use 0 to {count - 1}, or name the folder's own classes under data.tasks.{task.name}",
            )
        return np.minimum(index, IGNORE).astype(np.uint8)

    def meter(self, task: Task) -> Meter:
        return SemanticMeter(task)

    def picture(self, task: Task, array: np.ndarray) -> np.ndarray:
        table = np.zeros((256, 3), dtype=np.uint8)  # 255 stays black
        table[: len(task.classes)] = task.colours or _spread_colours(len(task.classes))
        return table[array]

    def error_picture(self, task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        return heat((prediction != target).astype(np.float32), valid=target != IGNORE)

    def legend(self, task: Task, array: np.ndarray) -> Legend:
        """The classes of this map by area, with their share."""
        counts = np.bincount(array.ravel(), minlength=256)
        indices = np.arange(len(task.classes), dtype=np.uint8)
        colours = self.picture(task, indices[None])[0]
        least = max(1, _LEAST_SHARE * array.size)
        listed = [i for i in np.argsort(-counts[indices], kind="stable") if counts[i] >= least]
        rows = [(tuple(colours[i].tolist()), task.classes[i], percent(counts[i] / array.size)) for i in listed]
        if counts[IGNORE] and len(task.classes) <= IGNORE:
            rows.append(((0, 0, 0), "no answer", percent(counts[IGNORE] / array.size)))
        return Swatches(rows)


def _winner(soft: np.ndarray) -> np.ndarray:
    return soft.argmax(axis=-3).astype(np.uint8)


class SemanticMeter(Meter):
    """IoU from confusion counts, in the variants of the PHG-MAE evaluation; pixels with target 255 are left out.

    miou             mean IoU of the classes that occur in the targets, counts summed over all frames; every model is
                     averaged over the same classes, whatever it predicts
    classes          the number of these classes
    iou              the same per class name, None for a class that no target holds
    weighted_miou    per scene: IoU from counts summed over its frames (absent class 0), weighted; mean over scenes.
                     None when the task has no weights. Weights are scaled to sum to one.
    samplewise_miou  IoU per frame (absent class 0), mean over frames, then weighted (uniform without weights)
    pixel_accuracy   share of right pixels

    A frame or scene without a labelled pixel has no IoU and is left out of the means. A prediction outside the
    classes (255: no answer) is wrong for its target and a false positive of none.
    """

    def __init__(self, task: Task):
        self.classes = task.classes
        count = len(task.classes)
        self._weighted = bool(task.weights)
        weights = np.array(task.weights or [1.0] * count, dtype=np.float64)
        self._weights = weights / weights.sum()
        self._scenes: dict[str, np.ndarray] = {}  # (C, C + 1) target by prediction; the last column is "no answer"
        self._frame_iou = np.zeros(count)
        self._frames = 0

    def _add(self, prediction: np.ndarray, target: np.ndarray, scene: str) -> None:
        counts = confusion(prediction, target, len(self.classes))
        if not counts.any():
            return
        self._scenes[scene] = self._scenes.get(scene, 0) + counts
        self._frame_iou += np.nan_to_num(_iou(counts))
        self._frames += 1

    def result(self) -> dict[str, float | dict | None]:
        total = self.confusion()
        iou = _iou(total)
        known = total.any(axis=1)
        by_scene = [np.nan_to_num(_iou(counts)) @ self._weights for counts in self._scenes.values()]
        return {
            "miou": share(iou[known].sum(), known.sum()),
            "classes": int(known.sum()),
            "iou": {name: float(v) if ok else None for name, v, ok in zip(self.classes, iou, known, strict=True)},
            "weighted_miou": share(sum(by_scene), len(by_scene)) if self._weighted else None,
            "samplewise_miou": share(self._frame_iou @ self._weights, self._frames),
            "pixel_accuracy": share(np.trace(total), total.sum()),
        }

    def confusion(self) -> np.ndarray:
        count = len(self.classes)
        return sum(self._scenes.values(), np.zeros((count, count + 1), dtype=np.int64))


def _iou(counts: np.ndarray) -> np.ndarray:
    """IoU per class of a (C, C + 1) confusion matrix, NaN for a class in neither target nor prediction."""
    right = np.diagonal(counts)
    union = counts.sum(axis=1) + counts[:, :-1].sum(axis=0) - right
    return np.where(union > 0, right / np.maximum(union, 1), np.nan)


def _spread_colours(count: int) -> list[list[int]]:
    """Distinct colours for classes the recipe gives none: hues a golden angle apart."""
    return [[round(255 * c) for c in colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.75, 0.9)] for i in range(count)]
