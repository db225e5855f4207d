"""A scene: one world and one flight through it, rendered frame by frame."""

from __future__ import annotations

import numpy as np

from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.flight import Flight
from edgekit.data.scenes.frame import render
from edgekit.data.scenes.world import build_world

SPLITS = ("train", "val", "test")
_FLIGHT, _FRAME = 100, 1000


class Scene:
    """World and flight of scene ``number`` of a split; the same for the same seed, split and number."""

    def __init__(self, config: ScenesConfig, split: str, number: int):
        self._key = [config.seed, SPLITS.index(split), number]
        self._size = config.size
        self.world = build_world(*self._key)
        self.flight = Flight(self.world, np.random.default_rng([*self._key, _FLIGHT]), config.camera)

    def frame(self, index: int) -> dict[str, np.ndarray]:
        """All maps of a frame (see ``render``), flow included: the flight goes on after the last frame."""
        rng = np.random.default_rng([*self._key, _FRAME, index])
        return render(self.world, self.flight.pose(index), self.flight.pose(index + 1), self._size, rng)
