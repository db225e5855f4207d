"""What every kind of task can do, and the meter that scores it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks.task import Task


class Meter(ABC):
    """Streaming scores of one task: memory does not grow with the number of frames."""

    def update(self, prediction: np.ndarray, target: np.ndarray, scene: str = "") -> None:
        """Add one frame: two native maps of one shape, and the scene the frame belongs to."""
        if prediction.shape != target.shape:
            raise ValueError(f"prediction {prediction.shape} and target {target.shape} differ in shape")
        self._add(prediction, target, scene)

    @abstractmethod
    def _add(self, prediction: np.ndarray, target: np.ndarray, scene: str) -> None: ...

    @abstractmethod
    def result(self) -> dict[str, float | dict | None]:
        """The scores so far, ready for JSON; a score no pixel defines is None, never NaN."""


class Kind(ABC):
    """One kind of per-pixel map: encoding, decoding, metrics and pictures. One instance serves every task of the kind.

    name              the key in ``KINDS`` and in recipes
    predictable       whether a network may be asked for it
    interpolation     how geometry resamples native maps: ``nearest`` or ``linear``
    headline          the key of ``Meter.result()`` quoted when there is room for one number
    higher_is_better  of the headline
    columns           what a table shows: key of ``Meter.result()`` → (title, factor, decimals)

    Native maps are (H, W) or (H, W, C) as a frame holds them. *Soft* maps are (..., C, H, W) float in network units:
    probabilities, encoded depth, unit vectors.
    """

    name: str
    predictable: bool = True
    interpolation: str = "linear"
    headline: str | None = None
    higher_is_better: bool = True
    columns: Mapping[str, tuple[str, float, int]] = MappingProxyType({})

    @abstractmethod
    def channels(self, task: Task) -> int:
        """Number of network channels."""

    @abstractmethod
    def validate(self, task: Task, array: np.ndarray, where: str) -> None:
        """Refuse a map of the wrong shape, type or values with an EdgekitError that names ``where`` (the file)."""

    @abstractmethod
    def encode(self, task: Task, array: np.ndarray) -> np.ndarray:
        """Native map to (H, W, C) float32 in network units, NaN in every channel of an invalid pixel."""

    @abstractmethod
    def soften(self, task: Task, raw: np.ndarray) -> np.ndarray:
        """Raw network output (..., C, H, W) to a soft map of the same shape."""

    @abstractmethod
    def decode(self, task: Task, soft: np.ndarray) -> np.ndarray:
        """Soft map (C, H, W) to a native map, every pixel valid."""

    def mirror(self, task: Task, array: np.ndarray) -> np.ndarray:
        """The native map of the left-right mirrored frame."""
        return self.reorient(task, np.ascontiguousarray(array[:, ::-1]), np.diag([-1.0, 1.0]), 1.0)

    def mirror_soft(self, task: Task, soft: np.ndarray) -> np.ndarray:
        """The soft map (..., C, H, W) of the left-right mirrored frame."""
        return np.ascontiguousarray(soft[..., ::-1])

    def reorient(self, task: Task, array: np.ndarray, turn: np.ndarray, zoom: float) -> np.ndarray:
        """What a native map's values become when the frame is turned and enlarged (its pixels are resampled elsewhere).

        ``turn`` (2, 2) orthogonal: an (x, y) direction of the frame as a direction of the turned one. ``zoom`` > 1:
        things look larger, as if the scene were pressed together along the camera's axis.
        """
        return array

    @abstractmethod
    def meter(self, task: Task) -> Meter:
        """A fresh meter. TypeError for a kind that is not predictable."""

    @abstractmethod
    def picture(self, task: Task, array: np.ndarray) -> np.ndarray:
        """A native map as (H, W, 3) uint8 for people to look at."""

    @abstractmethod
    def error_picture(self, task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Where a prediction is wrong, (H, W, 3) uint8: grey right, red wrong, black without target.

        TypeError for a kind that is not predictable.
        """


def require(task: Task, array: np.ndarray, where: str, *, shape: str, dtypes: tuple[type, ...]) -> None:
    """Refuse a map whose layout is not ``shape`` ("HxW" or "HxWxC", C a number) or whose dtype is not listed."""
    _, _, *depth = shape.split("x")
    fits = array.ndim == 2 + len(depth) and list(array.shape[2:]) == [int(c) for c in depth] and array.size > 0
    if not fits:
        raise EdgekitError(
            f"task '{task.name}' ({task.kind}) has shape {'x'.join(map(str, array.shape))}, expected {shape}",
            where=where,
            fix="give a map of that layout, or correct the task's kind or channels in the recipe",
        )
    if array.dtype not in [np.dtype(d) for d in dtypes]:
        expected = " or ".join(np.dtype(d).name for d in dtypes)
        raise EdgekitError(
            f"task '{task.name}' ({task.kind}) is {array.dtype}, expected {expected}",
            where=where,
            fix=f"convert the map to {expected}, or correct the task's kind in the recipe",
        )


def holes(array: np.ndarray) -> np.ndarray:
    """(H, W, C) → (H, W): where any channel is NaN. Channel by channel: numpy's ``any`` over a last axis of three is
    twenty times slower, and it is asked for every frame of a training batch."""
    return np.logical_or.reduce([np.isnan(array[..., c]) for c in range(array.shape[-1])])


def listed(values: np.ndarray, most: int = 8) -> str:
    """Some values for an error message: the first few distinct ones, and how many there are."""
    distinct = np.unique(values)
    text = ", ".join(f"{v:g}" for v in distinct[:most])
    return text if len(distinct) <= most else f"{text}, … ({len(distinct)} different values)"


def share(part: float, whole: float) -> float | None:
    """part / whole, None when there is no whole."""
    return float(part / whole) if whole else None
