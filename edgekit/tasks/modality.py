"""Modalities: inputs of a network that are never scored, such as rgb, hsv or edges."""

from __future__ import annotations

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks.colours import INVALID, levels
from edgekit.tasks.disk import as_floats, misfit
from edgekit.tasks.kind import Kind, Meter, holes, require
from edgekit.tasks.legend import Legend
from edgekit.tasks.task import Task

EIGHT_BIT = (0.0, 255.0)
MOST_CHANNELS = 512
RGB = Task("rgb", "modality", channels=3, range=EIGHT_BIT)


def native_type(task: Task) -> type:
    """The type of a modality's native maps: uint8 where its range is 0 to 255, else float32."""
    return np.uint8 if tuple(task.range) == EIGHT_BIT else np.float32


class Modality(Kind):
    """Native (H, W, k), or (H, W) when k is 1: uint8 when the range is (0, 255), else float32, NaN = invalid.

    Soft (k, H, W): float32 of the values, in the same units.
    """

    name = "modality"
    predictable = False
    fields = frozenset({"channels", "range", "vector"})
    interpolation = "area"

    def channels(self, task: Task) -> int:
        return task.channels

    def check(self, task: Task) -> None:
        super().check(task)
        if not 1 <= task.channels <= MOST_CHANNELS:
            raise ValueError(f"a modality has 1 to {MOST_CHANNELS} channels, got {task.channels}")
        if task.vector and task.channels < 2:
            raise ValueError("vector is for a modality of two channels or more: x and y of a displacement")

    def about(self, task: Task) -> str:
        return f"an input of {task.channels} channels"

    def validate(self, task: Task, array: np.ndarray, where: str) -> None:
        shape = "HxW" if task.channels == 1 else f"HxWx{task.channels}"
        require(task, array, where, shape=shape, dtypes=(native_type(task),))
        infinite = int(np.isinf(array).sum())
        if infinite:
            raise EdgekitError(
                f"task '{task.name}' (modality) has {infinite} infinite values",
                where=where,
                fix="use NaN where there is no value",
            )

    def encode(self, task: Task, array: np.ndarray) -> np.ndarray:
        encoded = array.astype(np.float32).reshape(*array.shape[:2], task.channels)
        if array.dtype.kind == "f":
            encoded[holes(encoded)] = np.nan
        return encoded

    def activation(self, task: Task, raw: np.ndarray) -> np.ndarray:
        return raw

    def decode(self, task: Task, soft: np.ndarray) -> np.ndarray:
        array = soft.transpose(1, 2, 0)
        array = array[..., 0] if task.channels == 1 else array
        if native_type(task) == np.uint8:
            return np.rint(np.clip(array, 0, 255)).astype(np.uint8)
        return np.ascontiguousarray(array, dtype=np.float32)

    def to_disk(self, task: Task, native: np.ndarray, where: str) -> np.ndarray:
        """(H, W, C) uint8 with the range 0-255, else float16."""
        return native.reshape(*native.shape[:2], -1) if native.dtype == np.uint8 else as_floats(native)

    def from_disk(self, task: Task, stored: np.ndarray, where: str) -> np.ndarray:
        if native_type(task) != np.uint8:
            return super().from_disk(task, stored, where)
        wide = stored[..., None] if stored.ndim == 2 else stored
        if stored.dtype != np.uint8 or wide.ndim != 3 or wide.shape[2] != task.channels:
            raise misfit(task, stored, where, f"uint8 (H, W, {task.channels})")
        return wide[..., 0] if task.channels == 1 else wide

    def reorient(self, task: Task, array: np.ndarray, turn: np.ndarray, zoom: float) -> np.ndarray:
        """A displacement turns with the frame and is longer in an enlarged one; other values stay what they are."""
        if not task.vector:
            return array
        moved = array[..., :2] @ (zoom * turn.T).astype(array.dtype)
        return np.concatenate([moved, array[..., 2:]], axis=-1)

    def meter(self, task: Task) -> Meter:
        raise TypeError(f"task '{task.name}' is a modality: an input has no score")

    def picture(self, task: Task, array: np.ndarray) -> np.ndarray:
        """The first three channels as a colour, the first as grey when there are fewer, scaled by the task's range."""
        least, most = task.range
        values = self.encode(task, array)
        picture = levels((values - least) / (most - least))
        picture[holes(values)] = INVALID
        return picture[..., :3].copy() if task.channels >= 3 else np.repeat(picture[..., :1], 3, axis=-1)

    def error_picture(self, task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        raise TypeError(f"task '{task.name}' is a modality: an input has no error")

    def legend(self, task: Task, array: np.ndarray) -> Legend:
        raise TypeError(f"task '{task.name}' is a modality: an input is not shown over a frame")
