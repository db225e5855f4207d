"""What every data source offers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from edgekit.tasks.task import Task

T = TypeVar("T")


@dataclass(frozen=True)
class FrameInfo:
    """One frame of a source: its unique name, its scene and place there, its split, and whether its labels count."""

    name: str
    scene: str
    index: int
    split: str
    labelled: bool


class Source(Protocol):
    """Frames by split, read as native arrays (``Source(config, base, cache)`` builds one)."""

    tasks: dict[str, Task]
    sequential: bool
    """Whether neighbouring indices of a scene are neighbouring moments of a film."""

    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have frames."""

    def frames(self, split: str) -> list[FrameInfo]:
        """Frames of a split in order."""

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Native arrays of the named tasks; a task the frame lacks is left out. Thread-safe."""

    def fingerprint(self) -> str:
        """A text that changes when the frames change, computed without reading them."""

    def flow(self, frame: FrameInfo) -> np.ndarray | None:
        """Exact optical flow (H, W, 2) in pixels to the next frame of the scene, or None."""


def spread_out(infos: Sequence[T], count: int) -> list[T]:
    """``count`` of the frames, evenly spaced; all where there are fewer."""
    return [infos[i] for i in np.unique(np.linspace(0, len(infos) - 1, min(count, len(infos))).round().astype(int))]
