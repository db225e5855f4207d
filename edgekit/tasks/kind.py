"""The interface of a kind of task, and of the meter that scores it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks.disk import as_floats, floats
from edgekit.tasks.form import LOGITS, OutputForm
from edgekit.tasks.legend import Legend
from edgekit.tasks.metric import PrimaryMetric
from edgekit.tasks.store import Arrays
from edgekit.tasks.task import IGNORE, Task

_MOST = 1e30  # of a value: maps are float32


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

    def confusion(self) -> np.ndarray | None:
        """Pixels so far by target and predicted index, see ``confusion``; None where a pixel is a measure."""
        return None


class Kind(ABC):
    """One kind of per-pixel map, declared once: all that data, metrics, pictures, files and bundles ask of it in numpy.

    Its torch half is the ``Head`` of the same name. One instance serves every task of the kind.

    name           the key in ``KINDS`` and in recipes
    predictable    whether a network can predict it; an input has no metric, form or legend
    fields         the fields of ``Task`` that a recipe may set
    usual_range    ``Task.range`` by default
    geometric      whether geometry is derived from it, so that maps of experts are stored as they are, not rounded
    interpolation  how geometry resamples native maps: ``nearest``, ``linear``, or ``area`` for inputs: averaged
                   where they shrink, the frame's edge repeated outside
    primary        the metric that summarises a task in one number and that the INT8 gate compares
    columns        what a table shows: key of ``Meter.result()`` → (title, factor, decimals)
    forms          what outputs of a graph may hold besides logits; the first is the native map

    Native maps are (H, W) or (H, W, C) as a frame holds them. *Soft* maps are (..., C, H, W) float in network units:
    probabilities, encoded depth, unit vectors.
    """

    name: str
    predictable: bool = True
    fields: frozenset[str] = frozenset()
    usual_range: tuple[float, float] = (0.0, 1.0)
    geometric: bool = False
    interpolation: Literal["nearest", "linear", "area"] = "linear"
    primary: PrimaryMetric | None = None
    columns: Mapping[str, tuple[str, float, int]] = MappingProxyType({})
    forms: tuple[OutputForm, ...] = ()

    def __init_subclass__(cls, **options: object) -> None:
        """TypeError for a kind that is predicted and could not be judged or exported: at once, not after training."""
        super().__init_subclass__(**options)
        if cls.predictable and not (cls.forms and cls.primary and cls.primary.name in cls.columns):
            raise TypeError(f"{cls.__name__} needs forms, and a primary metric that is one of its columns")

    # The map itself

    @abstractmethod
    def channels(self, task: Task) -> int:
        """Number of network channels."""

    def check(self, task: Task) -> None:
        """Refuse a task of this kind that makes no sense, such as a range that is empty. ValueError with the reason."""
        if not -_MOST < task.range[0] < task.range[1] < _MOST:
            raise ValueError(f"range must be [least, most], got {list(task.range)}")

    @abstractmethod
    def about(self, task: Task) -> str:
        """What the task's map says, in a few words for the model card."""

    @abstractmethod
    def validate(self, task: Task, array: np.ndarray, where: str) -> None:
        """Refuse a map of the wrong shape, type or values with an EdgekitError that names ``where`` (the file)."""

    # Through a network

    @abstractmethod
    def encode(self, task: Task, array: np.ndarray) -> np.ndarray:
        """Native map to (H, W, C) float32 in network units, NaN in every channel of an invalid pixel."""

    def encode_if_there(self, task: Task, array: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
        """``encode``; NaN everywhere, (H, W) = ``size``, where a frame has no such map."""
        return np.full((*size, self.channels(task)), np.nan, np.float32) if array is None else self.encode(task, array)

    @abstractmethod
    def activation(self, task: Task, raw: np.ndarray) -> np.ndarray:
        """Raw network output (..., C, H, W) to a soft map of the same shape."""

    @abstractmethod
    def decode(self, task: Task, soft: np.ndarray) -> np.ndarray:
        """Soft map (C, H, W) to a native map, every pixel valid."""

    def form(self, name: str) -> OutputForm:
        """The form of this name. KeyError where the kind has no such output."""
        for form in (*self.forms, LOGITS):
            if form.name == name:
                return form
        raise KeyError(f"the kind {self.name} has no form '{name}': {', '.join(self.form_names)}")

    @property
    def form_names(self) -> tuple[str, ...]:
        """All that a graph may give of such a task; empty for a kind that is not predictable."""
        return (*(form.name for form in self.forms), LOGITS.name) if self.forms else ()

    # Geometry and storage

    def reorient(self, task: Task, array: np.ndarray, turn: np.ndarray, zoom: float) -> np.ndarray:
        """The values of a native map after the frame is turned and enlarged; the caller resamples its pixels.

        ``turn`` (2, 2) orthogonal: an (x, y) direction of the frame as a direction of the turned one. ``zoom`` > 1:
        things look larger, as if the scene were pressed together along the camera's axis.
        """
        return array

    def reorient_soft(self, task: Task, soft: np.ndarray, turn: np.ndarray, zoom: float) -> np.ndarray:
        """``reorient`` of a soft map (H, W, C): geometry acts on metres and unit vectors, not on codes."""
        if type(self).reorient is Kind.reorient:
            return soft
        native = self.decode(task, soft.transpose(2, 0, 1))
        return self.encode(task, self.reorient(task, native, turn, zoom))

    def store(self, task: Task, soft: np.ndarray, keep: str, top: int) -> Arrays:
        """A soft map (h, w, C) of an ensemble in a few bytes per pixel, as arrays with names of the kind's own.

        ``keep`` and ``top`` say how much of a class distribution is kept: see ``edgekit.tasks.store``.
        """
        return {"soft": soft.astype(np.float16)}

    def restore(self, task: Task, arrays: Arrays) -> np.ndarray:
        """The soft map (h, w, C) float32 again, as exactly as ``store`` kept it."""
        return arrays["soft"].astype(np.float32)

    def to_disk(self, task: Task, native: np.ndarray, where: str) -> np.ndarray:
        """A native map as it is stored in a file of Dronescapes. EdgekitError naming ``where`` if it cannot be."""
        return as_floats(native)

    def from_disk(self, task: Task, stored: np.ndarray, where: str) -> np.ndarray:
        """The native map in a file of Dronescapes. EdgekitError naming ``where``, the file, for a wrong layout."""
        array = floats(task, stored, where, self.channels(task))
        return array[..., 0] if array.shape[2] == 1 else array

    # Metrics and pictures

    @abstractmethod
    def meter(self, task: Task) -> Meter:
        """A fresh meter. TypeError for a kind that is not predictable."""

    @abstractmethod
    def picture(self, task: Task, array: np.ndarray) -> np.ndarray:
        """A native map as (H, W, 3) uint8 for people to look at."""

    @abstractmethod
    def error_picture(self, task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8: grey where the prediction is right, red where it is wrong, black without target.

        TypeError for a kind that is not predictable.
        """

    @abstractmethod
    def legend(self, task: Task, array: np.ndarray) -> Legend:
        """What the colours of ``picture`` mean, for this native map. TypeError for a kind that is not predictable."""


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


def confusion(prediction: np.ndarray, target: np.ndarray, count: int) -> np.ndarray:
    """(count, count + 1) pixels by target and predicted index; the last column holds predictions that are no class.

    Pixels with target 255 are left out.
    """
    labelled = target != IGNORE
    answers = np.minimum(prediction[labelled].astype(np.int64), count)
    pairs = target[labelled].astype(np.int64) * (count + 1) + answers
    return np.bincount(pairs, minlength=count * (count + 1)).reshape(count, count + 1)


def listed(values: np.ndarray, most: int = 8) -> str:
    """Some values for an error message: the first few distinct ones, and how many there are."""
    distinct = np.unique(values)
    text = ", ".join(f"{v:g}" for v in distinct[:most])
    return text if len(distinct) <= most else f"{text}, … ({len(distinct)} different values)"


def share(part: float, whole: float) -> float | None:
    """part / whole, None when there is no whole."""
    return float(part / whole) if whole else None
