"""Steadier class maps of a film: a frame's probabilities averaged with those before it, moved as the picture moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgekit.frames.opencv import import_cv2
from edgekit.runtime.given import Given, picture_of
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.postprocess import Result
from edgekit.runtime.soft import Soft, finish_soft, soft_results
from edgekit.tasks import kind_of
from edgekit.tasks.form import LOGITS, PROBABILITIES

if TYPE_CHECKING:
    from edgekit.runtime.predictor import Predictor

HISTORY = 0.7
"""Weight of what came before, where it is the same thing that is seen."""
_GREY = 12.0  # levels of 256 by which a pixel may differ from the one that it is taken for, at 1/e of the weight


class Stream:
    """The frames of one film, in order: ``infer`` of each, as the Predictor's.

    Exponential averaging: p = (1 − h)·p_now + h·p_before, with p_before moved by optical flow (dense inverse search,
    Kroeger et al., ECCV 2016) and h ``history``, less where the moved picture looks different, and 0 for what was
    outside the frame. Of tasks with probabilities; other maps are the frame's own. ``reset`` begins another film.
    """

    def __init__(self, predictor: Predictor, history: float, tile: bool | int):
        self._predictor, self._tile = predictor, tile
        artifact, manifest = predictor.backend.artifact, predictor.manifest
        self._results = soft_results(manifest, artifact, predictor.outputs, "frames are averaged")
        self._averaged = {r.source.name: r for r in self._results.values() if _has_probabilities(r)}
        self._average = MovingAverage(history)
        self._placement: FramePlacement | None = None

    def infer(self, frame: Given, colour: Literal["rgb", "bgr"] = "rgb") -> dict[str, np.ndarray]:
        """The next frame → result name → map; a frame of another size begins a film."""
        predictor = self._predictor
        soft = predictor.soft(frame, colour, tile=self._tile)
        if soft.placement != self._placement:
            self.reset()
        self._placement = soft.placement
        shown = _grey(picture_of(frame, predictor.manifest.preprocessing, colour), soft)
        now = {name: _probabilities(result, soft.answers[name]) for name, result in self._averaged.items()}
        answers = {**soft.answers, **self._average.update(shown, now)}
        results = {name: _of_probabilities(result) for name, result in self._results.items()}
        soft = replace(soft, answers=answers)
        return finish_soft(soft, results, predictor.results, predictor.manifest.upsampling)

    def reset(self) -> None:
        """Forget the frames so far."""
        self._average.reset()


class MovingAverage:
    """Exponential averages of maps that move with a picture."""

    def __init__(self, history: float):
        if not 0 <= history < 1:
            raise ValueError(f"history is a weight from 0 up to, but not, 1; this is {history}")
        self._history = history
        self._cv2 = import_cv2("steady films need")
        self._flow = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self.reset()

    def reset(self) -> None:
        self._before: np.ndarray | None = None
        self._maps: dict[str, np.ndarray] = {}

    def update(self, picture: np.ndarray, maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The averages after this picture (H, W) uint8, of ``maps`` (C, h, w) float32 that cover the same view."""
        picture = np.ascontiguousarray(picture)
        if self._before is not None and self._before.shape == picture.shape:
            # Where each pixel was before: x and y in pixels of the picture.
            y, x = np.indices(picture.shape, dtype=np.float32)
            flow = self._flow.calc(picture, self._before, None)
            place_x, place_y = x + flow[..., 0], y + flow[..., 1]
            moved = self._cv2.remap(self._before, place_x, place_y, self._cv2.INTER_LINEAR)
            weight = self._history * np.exp(-np.abs(picture.astype(np.float32) - moved) / _GREY)
            height, width = picture.shape
            weight *= (place_x >= 0) & (place_x <= width - 1) & (place_y >= 0) & (place_y <= height - 1)
            maps = {name: self._mixed(name, now, place_x, place_y, weight) for name, now in maps.items()}
        self._before, self._maps = picture, dict(maps)
        return self._maps

    def _mixed(
        self, name: str, now: np.ndarray, place_x: np.ndarray, place_y: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        cv2, size = self._cv2, now.shape[:0:-1]
        rows, columns = (own / shown for own, shown in zip(now.shape[1:], weight.shape, strict=True))
        # pixel centres are half-integers
        x = cv2.resize((place_x + 0.5) * columns - 0.5, size, interpolation=cv2.INTER_LINEAR)
        y = cv2.resize((place_y + 0.5) * rows - 0.5, size, interpolation=cv2.INTER_LINEAR)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        before = [cv2.remap(p, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for p in self._maps[name]]
        return now + weight * (np.stack(before) - now)


def _grey(frame: np.ndarray, soft: Soft) -> np.ndarray:
    """The frame as the maps show it, in grey and at half the network's resolution; what is padding is 0."""
    cv2, placement = import_cv2("steady films need"), soft.placement
    height, width = (max(1, round(side / 2)) for side in placement.content)
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    picture = np.zeros([max(1, -(-side // 2)) for side in placement.network], np.uint8)
    picture[:height, :width] = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return picture


def _probabilities(result: Result, answer: np.ndarray) -> np.ndarray:
    answer = answer.astype(np.float32)
    return kind_of(result.task).activation(result.task, answer) if result.source.form == LOGITS.name else answer


def _of_probabilities(result: Result) -> Result:
    """The same result, of what the average holds."""
    if not _has_probabilities(result):
        return result
    return replace(result, source=replace(result.source, form=PROBABILITIES.name))


def _has_probabilities(result: Result) -> bool:
    known = PROBABILITIES.name in kind_of(result.task).form_names
    return known and result.source.form in (LOGITS.name, PROBABILITIES.name)
