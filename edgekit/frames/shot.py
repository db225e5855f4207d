"""A frame on its way through the device, and the photographs among its sources."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.images import PHOTO_SUFFIXES, is_photograph, read_rgb


@dataclass(frozen=True)
class Shot:
    """``image`` (H, W, 3) uint8 in the order ``colour``; ``captured`` on the clock of ``time.perf_counter``.

    ``at``: seconds from a film's or a camera's first frame; None for photographs.
    """

    image: np.ndarray
    colour: str
    name: str
    captured: float
    at: float | None = None

    def rgb(self) -> np.ndarray:
        """The image as rgb, a view where it is not."""
        return self.image if self.colour == "rgb" else self.image[..., ::-1]


class Photographs:
    """One photograph, or those of a folder in the order of their names.

    Those of a folder that cannot be read are passed over, and are in ``unreadable`` from then on. EdgekitError for a
    folder without any photograph; from the iteration, where the one photograph, or all of a folder, cannot be read.
    """

    live = False

    def __init__(self, path: Path):
        self.files = [path]
        self.unreadable: list[EdgekitError] = []
        self.folder = path if path.is_dir() else None
        if path.is_dir():
            self.files = sorted(f for f in path.iterdir() if is_photograph(f))
            if not self.files:
                raise EdgekitError(
                    "the folder has no photographs",
                    where=str(path),
                    fix=f"give a folder with files that end in {', '.join(PHOTO_SUFFIXES)}",
                )
        self.count: int | None = len(self.files)
        self.rate: float | None = None
        self.seconds: float | None = None
        self.dropped = 0

    def __iter__(self) -> Iterator[Shot]:
        self.unreadable = []
        stems = [f.stem for f in self.files]
        for file in self.files:
            # a.jpg and a.png are two frames, and must not overwrite each other's results
            name = file.stem if stems.count(file.stem) == 1 else file.name.replace(".", "_")
            try:
                image = read_rgb(file)
            except EdgekitError as error:
                if self.folder is None:
                    raise
                self.unreadable.append(error)
                continue
            yield Shot(image, "rgb", name, time.perf_counter())
        if len(self.unreadable) == len(self.files):
            first = self.unreadable[0]
            what = f"none of the folder's {len(self.files)} photographs can be read; the first: {first.what}"
            raise EdgekitError(what, where=first.where, fix=first.fix)

    def close(self) -> None:
        """Nothing is open in between."""
