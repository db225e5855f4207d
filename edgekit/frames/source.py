"""Frames as a device reads them, and photographs as a source of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.images import PHOTO_SUFFIXES, is_photograph, read_rgb


@dataclass(frozen=True)
class CapturedFrame:
    """``image`` (H, W, 3) uint8 in the order ``colour``, of several sensors modality → map; ``captured`` on the clock
    of ``time.perf_counter``.

    ``at``: seconds from a film's or a camera's first frame; None for photographs.
    """

    image: np.ndarray | Mapping[str, np.ndarray]
    colour: str
    name: str
    captured: float
    at: float | None = None

    def rgb(self) -> np.ndarray:
        """The image as rgb, a view where it is not."""
        return self.image if self.colour == "rgb" else self.image[..., ::-1]


class FrameSource:
    """Captured frames in order, to iterate over; ``close()`` it afterwards.

    live        whether frames come at their own pace, and those that nobody takes in time are dropped
    files       the files that are read; none for a camera
    folder      the folder of the photographs, or None
    unreadable  why files were skipped
    count       number of frames, where known
    rate        frames per second, where known
    seconds     length of a film, where known
    dropped     number of frames of a live source that nobody took
    without     modality → number of frames that came without it
    """

    live: bool = False
    files: Sequence[Path] = ()
    folder: Path | None = None
    unreadable: Sequence[EdgekitError] = ()
    count: int | None = None
    rate: float | None = None
    seconds: float | None = None
    dropped: int = 0
    without: Mapping[str, int] = MappingProxyType({})

    def __iter__(self) -> Iterator[CapturedFrame]:
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is open."""


class Photographs(FrameSource):
    """One photograph, or those of a folder in the order of their names.

    Files of a folder that cannot be read are skipped, and listed in ``unreadable``. EdgekitError for a folder without
    photographs; while iterating, where the only photograph, or every one of a folder, cannot be read.

    ``read``: file → frame, of files that end in ``suffixes``.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], np.ndarray] = read_rgb,
        suffixes: Sequence[str] = PHOTO_SUFFIXES,
    ):
        self._read = read
        self._what = "photographs" if tuple(suffixes) == PHOTO_SUFFIXES else "files of frames"
        self.files = [path]
        self.folder = path if path.is_dir() else None
        if path.is_dir():
            self.files = sorted(f for f in path.iterdir() if is_photograph(f, suffixes))
            if not self.files:
                raise EdgekitError(
                    f"the folder has no {self._what}",
                    where=str(path),
                    fix=f"give a folder with files that end in {', '.join(suffixes)}",
                )
        self.count = len(self.files)

    def __iter__(self) -> Iterator[CapturedFrame]:
        self.unreadable: list[EdgekitError] = []
        stems = [f.stem for f in self.files]
        for file in self.files:
            # a.jpg and a.png are two frames, and must not overwrite each other's results
            name = file.stem if stems.count(file.stem) == 1 else file.name.replace(".", "_")
            try:
                image = self._read(file)
            except EdgekitError as error:
                if self.folder is None:
                    raise
                self.unreadable.append(error)
                continue
            yield CapturedFrame(image, "rgb", name, time.perf_counter())
        if len(self.unreadable) == len(self.files):
            first = self.unreadable[0]
            what = f"none of the folder's {len(self.files)} {self._what} can be read; the first: {first.what}"
            raise EdgekitError(what, where=first.where, fix=first.fix)
