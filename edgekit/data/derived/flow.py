"""Optical flow to the film's next frame, by DIS (Kroeger et al., arXiv 1603.03590), of OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from edgekit.data.derived.derivation import Derivation, DeriveCommon, Needs
from edgekit.errors import EdgekitError
from edgekit.tasks import Task

_LEAST_SIDE = 32


class FlowConfig(DeriveCommon):
    """Where each pixel of rgb goes in the film's next frame; ``range`` (pixels) only colours the pictures of it."""

    derive: Literal["flow_dis"]
    range: tuple[float, float] = (-32.0, 32.0)


class FlowDis(Derivation):
    """(H, W, 2) float32, x right and y down, in pixels of the frame. The last frame of a film has none."""

    Config = FlowConfig
    ahead = True

    def __init__(self, config: FlowConfig, needs: Needs):
        needs.expect("modality")
        if needs.tasks[0].channels != 3 or tuple(needs.tasks[0].range) != (0.0, 255.0):
            raise EdgekitError(
                "flow is computed from pictures of 8 bits and three colours",
                where=f"{needs.where}.of",
                fix="list rgb under of",
            )
        self.task = Task("", "modality", channels=2, range=config.range, vector=True)

    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        if min(maps[0].shape[:2]) < _LEAST_SIDE:
            raise EdgekitError(
                f"flow needs frames of at least {_LEAST_SIDE} pixels a side, got {maps[0].shape[:2]}",
                where="derive: flow",
                fix="leave flow out for such small frames",
            )
        here, there = (cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY) for rgb in maps)
        # an object of its own: it keeps the flow of the call before as its start
        return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(here, there, None)
