"""Frames to calibrate on, as the network gets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgekit.bundle.manifest import Preprocessing, Tensor
from edgekit.errors import EdgekitError
from edgekit.frames.images import PHOTO_SUFFIXES, is_photograph, read_rgb
from edgekit.runtime.given import FrameReader, frame_size
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.preprocess import Preprocessor


def find_frames(source: Path) -> list[Path]:
    """The images of a folder, by name. EdgekitError if the folder has no images."""
    found = sorted(p for p in source.rglob("*") if is_photograph(p)) if source.is_dir() else []
    if not found:
        raise EdgekitError(
            "there are no frames to calibrate on",
            where=str(source),
            fix=f"give a folder of a hundred or more typical frames as images ({', '.join(PHOTO_SUFFIXES)})",
        )
    return found


def calibration_feeds(files: list[Path], preprocessing: Preprocessing, tensor: Tensor) -> Iterator[np.ndarray]:
    """One (1, C, H, W) float32 input per file, one in memory at a time.

    EdgekitError for a network that sees more than photographs show, also where it may lack that: its ranges would be
    those of a sensor that never works.
    """
    if others := [task.name for task in preprocessing.modalities if task.name != "rgb"]:
        raise EdgekitError(
            f"photographs show rgb alone, and the network sees {', '.join(others)} too",
            where="--calibrate",
            fix="leave it out: the bundle holds ranges of frames with all that the network sees",
        )
    prepare, accept = Preprocessor(preprocessing, [tensor]), FrameReader(preprocessing)
    for file in files:
        batch = accept.one({"rgb": read_rgb(file)})
        placement = FramePlacement.of(preprocessing, frame_size(batch), preprocessing.size)
        yield prepare(batch, placement)[tensor.name]
