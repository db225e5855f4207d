"""A scene: one world and one flight through it, rendered frame by frame."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.flight import Flight
from edgekit.data.scenes.frame import render
from edgekit.data.scenes.world import build_world

SPLITS = ("train", "val", "test")
_FLIGHT, _FRAME = 100, 1000
_ROOM = 2  # worlds kept


class Scene:
    """World and flight of scene ``number`` of a split; the same for the same seed, split and number."""

    def __init__(self, config: ScenesConfig, split: str, number: int):
        self._key = [config.seed, SPLITS.index(split), number]
        self._size = config.size
        self.world = build_world(*self._key)
        self.flight = Flight(self.world, np.random.default_rng([*self._key, _FLIGHT]))

    def frame(self, index: int) -> dict[str, np.ndarray]:
        """All maps of a frame (see ``render``), flow included: the flight goes on after the last frame."""
        rng = np.random.default_rng([*self._key, _FRAME, index])
        return render(self.world, self.flight.pose(index), self.flight.pose(index + 1), self._size, rng)


class SceneShelf:
    """The scenes used last, so that frames missing from the cache do not each build a world. Thread-safe."""

    def __init__(self, config: ScenesConfig):
        self._config = config
        self._scenes: OrderedDict[tuple[str, int], Scene] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, split: str, number: int) -> Scene:
        with self._lock:
            if (split, number) not in self._scenes:
                while len(self._scenes) >= _ROOM:
                    self._scenes.popitem(last=False)
                self._scenes[split, number] = Scene(self._config, split, number)
            self._scenes.move_to_end((split, number))
            return self._scenes[split, number]
