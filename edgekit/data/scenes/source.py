"""The procedural UAV world as a data source."""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from edgekit.data.dronescapes.classes import CLASSES, COLOURS, WEIGHTS
from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.frame import FAR_DEPTH, NEAR_DEPTH
from edgekit.data.scenes.prepare import render_missing
from edgekit.data.scenes.scene import SPLITS, Scene
from edgekit.data.scenes.store import frame_path, read_frame, write_frame
from edgekit.data.source import FrameInfo
from edgekit.frames.files import is_whole_zip, make_cache
from edgekit.tasks.modality import EIGHT_BIT, RGB
from edgekit.tasks.task import Task


def _semantic(name: str) -> Task:
    return Task(name, "semantic", classes=CLASSES, colours=COLOURS, weights=WEIGHTS)


class Scenes:
    """Frames of procedural worlds, rendered once into ``cache`` and read from there.

    rgb, semantic, depth (metres along the optical axis, sky NaN) and normals (camera frame, sky NaN) are exact up to
    the float16 they are stored in. The two ``simulated_segmentation``, ``simulated_depth`` (metres) and
    ``simulated_normals`` (camera frame) imitate pre-trained experts with structured errors. ``thermal`` is the picture
    of a simulated thermal camera, 0 for 250 K and 255 for 340 K. Splits differ in
    worlds, never only in frames.
    """

    sequential = True

    def __init__(self, config: ScenesConfig, base: Path, cache: Path):
        self.config = config
        self.folder = Path(cache) / f"scenes-{config.fingerprint()}"
        self._scene = lru_cache(maxsize=2)(partial(Scene, config))  # each holds a world of some 300 MB
        self._building = threading.Lock()
        tasks = (
            RGB,
            _semantic("semantic"),
            Task("depth", "depth", range=(NEAR_DEPTH, FAR_DEPTH), unit="m"),
            Task("normals", "normals", range=(-1.0, 1.0)),
            _semantic("simulated_segmentation_a"),
            _semantic("simulated_segmentation_b"),
            Task("simulated_depth", "depth", range=(NEAR_DEPTH, FAR_DEPTH), unit="m"),
            Task("simulated_normals", "normals", range=(-1.0, 1.0)),
            Task("thermal", "modality", channels=1, range=EIGHT_BIT),
        )
        self.tasks = {task.name: task for task in tasks}

    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in SPLITS if getattr(self.config.scenes, split))

    def frames(self, split: str) -> list[FrameInfo]:
        """Frames of a split in flight order; of the train split every 1/labelled-th counts as labelled."""
        share = self.config.labelled if split == "train" else 1.0
        places = itertools.product(range(getattr(self.config.scenes, split)), self.config.indices(split))
        out = []
        for i, (number, index) in enumerate(places):
            labelled = math.floor(i * share) != math.floor((i - 1) * share)
            out.append(FrameInfo(f"{split}-{number}/{index:05d}", f"{split}-{number}", index, split, labelled))
        return out

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The named maps; renders the frame first if the cache lacks it or holds it damaged. Thread-safe."""
        return self._maps(frame, [name for name in names if name in self.tasks])

    def fingerprint(self) -> str:
        """The hash of all that decides a frame's pixels."""
        return self.config.fingerprint()

    def flow(self, frame: FrameInfo) -> np.ndarray | None:
        """Exact optical flow (H, W, 2) in pixels to the next step of the flight; None where that is no frame.

        NaN where the point lies behind the next camera; the sky moves as infinitely far points do.
        """
        if frame.index + 1 not in self.config.indices(frame.split):
            return None
        return self._maps(frame, ["flow"])["flow"]

    def prepare(self, progress: Callable[[int, int], None] | None = None, processes: int | None = None) -> int:
        """Render every frame the cache lacks; returns their number.

        ``progress(done, total)`` is called per frame. Stopped half-way, the next call goes on from there. One process
        per core by default, at most one per scene.
        """
        missing: dict[tuple[str, int], list[int]] = {}
        for split in self.splits():
            for frame in self.frames(split):
                if not is_whole_zip(self._path(frame)):
                    missing.setdefault((split, _world_number(frame)), []).append(frame.index)
        if missing:
            render_missing(self.config, make_cache(self.folder), missing, progress, processes or os.cpu_count() or 1)
        return sum(map(len, missing.values()))

    def _path(self, frame: FrameInfo) -> Path:
        return frame_path(self.folder, frame.split, _world_number(frame), frame.index)

    def _maps(self, frame: FrameInfo, names: list[str]) -> dict[str, np.ndarray]:
        path = self._path(frame)
        maps = read_frame(path, names)
        if maps is None or ("thermal" in names and "thermal" not in maps):  # rendered before there was such a camera
            make_cache(path.parent)
            with self._building:
                scene = self._scene(frame.split, _world_number(frame))
            write_frame(path, scene.frame(frame.index))
            maps = read_frame(path, names)
            if maps is None:
                raise OSError(f"cannot read back {path}")
        return maps


def _world_number(frame: FrameInfo) -> int:
    return int(frame.scene.rsplit("-", 1)[1])
