"""Drift: how far each pixel moves until the next frame."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from edgekit.tasks import Kind, Meter, Task
from edgekit.tasks.colours import heat, levels
from edgekit.tasks.form import OutputForm
from edgekit.tasks.kind import holes, require, share
from edgekit.tasks.legend import Legend, Scale
from edgekit.tasks.metric import PrimaryMetric

MOST = 8.0  # pixels


class Drift(Kind):
    """Native (H, W, 2) float32, x and y in pixels, NaN = invalid. Soft (2, H, W): in units of ``MOST``, -1 to 1."""

    name = "drift"
    usual_range = (-MOST, MOST)
    primary = PrimaryMetric("epe", unit="px", limit=0.3, higher_is_better=False)
    columns = MappingProxyType({"epe": ("EPE px", 1, 3)})
    forms = (OutputForm("motion", "x and y in pixels", "planes", lambda task, soft: np.float32(MOST) * soft),)

    def channels(self, task: Task) -> int:
        return 2

    def about(self, task: Task) -> str:
        return "motion until the next frame"

    def validate(self, task: Task, array: np.ndarray, where: str) -> None:
        require(task, array, where, shape="HxWx2", dtypes=(np.float32,))

    def encode(self, task: Task, array: np.ndarray) -> np.ndarray:
        return np.clip(array / np.float32(MOST), -1, 1)

    def activation(self, task: Task, raw: np.ndarray) -> np.ndarray:
        return np.clip(raw, -1, 1)

    def decode(self, task: Task, soft: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(MOST * soft.transpose(1, 2, 0), np.float32)

    def reorient(self, task: Task, array: np.ndarray, turn: np.ndarray, zoom: float) -> np.ndarray:
        return array @ (zoom * turn.T).astype(np.float32)

    def meter(self, task: Task) -> Meter:
        return DriftMeter()

    def picture(self, task: Task, array: np.ndarray) -> np.ndarray:
        both = levels((array / MOST + 1) / 2)
        return np.concatenate([both, both[..., :1]], axis=-1)

    def error_picture(self, task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        return heat(np.linalg.norm(prediction - target, axis=-1) / MOST, valid=~holes(target))

    def legend(self, task: Task, array: np.ndarray) -> Legend:
        steps = np.linspace(-MOST, MOST, 64, dtype=np.float32)
        colours = self.picture(task, np.dstack([steps[None], steps[None]]))[0]
        return Scale(f"{task.name}, px", colours, [(0.0, f"-{MOST:g}"), (0.5, "0"), (1.0, f"{MOST:g}")], [])


class DriftMeter(Meter):
    """epe: mean distance in pixels between the end points."""

    def __init__(self) -> None:
        self._sum, self._pixels = 0.0, 0

    def _add(self, prediction: np.ndarray, target: np.ndarray, scene: str) -> None:
        apart = np.linalg.norm(prediction - target, axis=-1)
        valid = np.isfinite(apart)
        self._sum += float(apart[valid].sum())
        self._pixels += int(valid.sum())

    def result(self) -> dict[str, float | dict | None]:
        return {"epe": share(self._sum, self._pixels)}


DRIFT = Drift()
