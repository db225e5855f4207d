"""Depth: the distance along the camera's axis, in metres or relative."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks.colours import heat, turbo
from edgekit.tasks.disk import plane
from edgekit.tasks.form import OutputForm
from edgekit.tasks.kind import Kind, Meter, listed, require, share
from edgekit.tasks.legend import Legend, Scale, round_numbers
from edgekit.tasks.metric import PrimaryMetric
from edgekit.tasks.store import Arrays
from edgekit.tasks.task import Task

_WORST_RELATIVE_ERROR = 0.5  # painted in full red


class Depth(Kind):
    """Native (H, W) float32 in ``task.unit``: metres, or 0-1 when the unit is empty; NaN = invalid.

    Soft (1, H, W) in 0-1: log(d / a) / log(b / a) for metres in the range (a, b), so that a relative error costs the
    same near and far; (d - a) / (b - a) for 0-1 depth. Values outside the range are clipped.
    """

    name = "depth"
    geometric = True
    fields = frozenset({"range", "unit"})
    primary = PrimaryMetric("absrel", unit="%", limit=2.0, higher_is_better=False)
    forms = (
        OutputForm("depth", "distance along the camera's axis", "plane", lambda task, soft: _distance(task, soft)),
    )
    columns = MappingProxyType({"absrel": ("AbsRel", 1, 4), "rmse": ("RMSE", 1, 3), "delta125": ("d<1.25 %", 100, 2)})

    def channels(self, task: Task) -> int:
        return 1

    def check(self, task: Task) -> None:
        super().check(task)
        if task.unit and task.range[0] <= 0:
            raise ValueError("unit: m needs a range that starts above 0, e.g. [1, 300]")

    def about(self, task: Task) -> str:
        return f"depth from {task.range[0]:g} to {task.range[1]:g} {task.unit or '(relative)'}".rstrip()

    def validate(self, task: Task, array: np.ndarray, where: str) -> None:
        require(task, array, where, shape="HxW", dtypes=(np.float32,))
        if task.unit:
            wrong, rule = (array <= 0) | np.isinf(array), f"finite and above 0 {task.unit}"
        else:
            wrong, rule = (array < 0) | (array > 1), "in 0-1, as a depth without a unit is"
        if wrong.any():
            raise EdgekitError(
                f"task '{task.name}' (depth) has value {listed(array[wrong])} in {int(wrong.sum())} pixels",
                where=where,
                fix=f"make every depth {rule}, and NaN where the depth is unknown",
            )

    def encode(self, task: Task, array: np.ndarray) -> np.ndarray:
        least, most = _range(task)
        if task.unit:
            encoded = np.log(np.clip(array, least, most) / least) / math.log(most / least)
        else:
            encoded = (array - least) / (most - least)
        return np.clip(encoded, 0, 1).astype(np.float32)[..., None]

    def activation(self, task: Task, raw: np.ndarray) -> np.ndarray:
        return np.clip(raw, 0, 1)

    def decode(self, task: Task, soft: np.ndarray) -> np.ndarray:
        return _distance(task, soft)

    def store(self, task: Task, soft: np.ndarray, keep: str, top: int) -> Arrays:
        return {"depth": np.rint(np.clip(soft, 0, 1) * 65535).astype(np.uint16)}

    def restore(self, task: Task, arrays: Arrays) -> np.ndarray:
        return arrays["depth"].astype(np.float32) / 65535

    def from_disk(self, task: Task, stored: np.ndarray, where: str) -> np.ndarray:
        """(H, W, 1) float, metres or 0-1, clipped to the range; 0 metres or less is no depth and becomes NaN."""
        depth = plane(task, stored, where, "f", "float (H, W, 1)").astype(np.float32)
        if task.unit:
            depth[depth <= 0] = np.nan
            return np.minimum(depth, np.float32(task.range[1]))
        return np.clip(depth, *(np.float32(side) for side in task.range))

    def reorient(self, task: Task, array: np.ndarray, turn: np.ndarray, zoom: float) -> np.ndarray:
        """Metric depth is divided by the zoom; relative depth is known up to its scale and stays."""
        return array / np.float32(zoom) if task.unit else array

    def meter(self, task: Task) -> Meter:
        return DepthMeter()

    def picture(self, task: Task, array: np.ndarray) -> np.ndarray:
        """Near is red, far is blue, invalid is dark grey."""
        return turbo(1 - self.encode(task, array)[..., 0])

    def error_picture(self, task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Relative error |p - t| / t, full red from 0.5."""
        valid = np.isfinite(target) & (target > 0)
        relative = np.abs(prediction - target) / np.where(valid, target, 1)
        return heat(relative / _WORST_RELATIVE_ERROR, valid)

    def legend(self, task: Task, array: np.ndarray) -> Legend:
        """A bar with ticks at round distances, and marks around what this map spans."""
        colours = self.picture(task, self.decode(task, np.linspace(0, 1, 256, dtype=np.float32)[None, None]))[0]
        seen = array[np.isfinite(array)]
        span = [float(seen.min()), float(seen.max())] if seen.size else []
        unit = f" {task.unit}" if task.unit else ""
        title = f"{task.name}  {span[0]:.3g} to {span[1]:.3g}{unit}" if span else task.name
        ticks = round_numbers(*task.range, logarithmic=bool(task.unit))
        places = self.encode(task, np.float32([[*ticks, *span]]))[0, :, 0].tolist()
        labels = [(place, f"{value:g}") for place, value in zip(places, ticks, strict=False)]
        return Scale(title, colours, labels, places[len(ticks) :])


class DepthMeter(Meter):
    """absrel, rmse (in the task's unit) and delta125, each over all pixels of all frames, in native units.

    A pixel counts when target and prediction are finite. absrel = |p - t| / t and delta125, the share with
    max(p / t, t / p) < 1.25, are undefined at a target of 0 (the nearest point of a 0-1 depth) and leave it out.
    """

    def __init__(self) -> None:
        self._squares = self._relative = 0.0
        self._pixels = self._positive = self._close = 0

    def _add(self, prediction: np.ndarray, target: np.ndarray, scene: str) -> None:
        valid = np.isfinite(target) & np.isfinite(prediction)
        p, t = prediction[valid].astype(np.float64), target[valid].astype(np.float64)
        self._squares += float(np.square(p - t).sum())
        self._pixels += t.size
        p, t = p[t > 0], t[t > 0]
        self._relative += float((np.abs(p - t) / t).sum())
        self._close += int(((p < 1.25 * t) & (t < 1.25 * p)).sum())
        self._positive += t.size

    def result(self) -> dict[str, float | dict | None]:
        mean_square = share(self._squares, self._pixels)
        return {
            "absrel": share(self._relative, self._positive),
            "rmse": None if mean_square is None else math.sqrt(mean_square),
            "delta125": share(self._close, self._positive),
        }


def _distance(task: Task, soft: np.ndarray) -> np.ndarray:
    least, most = _range(task)
    share_of_range = np.clip(soft[0].astype(np.float32), 0, 1)
    if task.unit:
        return (least * np.exp(share_of_range * math.log(most / least))).astype(np.float32)
    return (least + share_of_range * (most - least)).astype(np.float32)


def _range(task: Task) -> tuple[float, float]:
    least, most = task.range
    if least >= most or (task.unit and least <= 0):
        raise EdgekitError(
            f"task '{task.name}' (depth) has the range ({least:g}, {most:g}) {task.unit}".rstrip(),
            where=f"{task.name}: range",
            fix="give (least, most) with least < most, and least above 0 for metric depth, which is log-encoded",
        )
    return least, most
