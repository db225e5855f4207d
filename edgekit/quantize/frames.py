"""Which frames to calibrate and to measure with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from edgekit.errors import EdgekitError

MakeFrames = Callable[[], Iterable[np.ndarray]]
"""Makes the frames anew: arrays (N, 3, H, W) float32 as the network takes them, in a fixed order."""


class HasScene(Protocol):
    scene: str


T = TypeVar("T", bound=HasScene)


def spread(frames: Sequence[T], count: int) -> list[T]:
    """``count`` of the frames (all where there are fewer), an equal share from every scene, or all that it has.

    Evenly spaced inside a scene, in the order given. EdgekitError if ``frames`` is empty: nothing random replaces them.
    """
    if not frames:
        raise EdgekitError(
            "there are no frames to calibrate with",
            where="data",
            fix="calibrate with frames of the recipe's train split, or name a folder with --calibration-frames DIR",
        )
    scenes: dict[str, list[int]] = defaultdict(list)
    for index, frame in enumerate(frames):
        scenes[frame.scene].append(index)
    left, chosen = min(count, len(frames)), []
    # From the smallest scene on: what it lacks of its share goes to those that follow.
    for done, members in enumerate(sorted(scenes.values(), key=len)):
        share = min(len(members), -(-left // (len(scenes) - done)))
        chosen += [members[(2 * i + 1) * len(members) // (2 * share)] for i in range(share)]
        left -= share
    return [frames[i] for i in sorted(chosen)]


def some(frames: MakeFrames, count: int, most: int) -> list[np.ndarray]:
    """At most ``most`` of about ``count`` frames, evenly spaced, to be kept in memory. EdgekitError for none."""
    step = max(1, count // most)
    chosen = [frame for index, frame in enumerate(frames()) if index % step == 0][:most]
    if not chosen:
        raise EdgekitError(
            "there are no frames to measure with",
            where="the frames to measure with",
            fix="give frames of the train split",
        )
    return chosen
