"""A small set of pictures whose labels each test writes in its own format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.data.registry import SOURCES
from edgekit.data.source import Source

HEIGHT, WIDTH = 9, 12


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures t0, t1, t2 in train and v0 in val, each 12 wide and 9 high."""
    for i, name in enumerate(["train/t0", "train/t1", "train/t2", "val/v0"]):
        _photograph(tmp_path / f"{name}.png", i)
    return tmp_path


@pytest.fixture
def photograph() -> Callable[..., None]:
    """``photograph(path, seed, orientation, (height, width))`` writes a picture, its pixels stored in that size."""
    return _photograph


def _photograph(path: Path, seed: int = 0, orientation: int = 1, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(path, exif=exif)


@pytest.fixture
def open_source(root: Path) -> Callable[..., Source]:
    """``open_source("coco", splits=…)``: the source as a recipe in ``root`` would have it."""

    def open_source(name: str, **keys) -> Source:
        entry = SOURCES[name]
        return entry.build(entry.config.model_validate({"root": "."} | keys), root, None)

    return open_source


@pytest.fixture
def label_of(open_source) -> Callable[..., np.ndarray]:
    """The label of the frame ``name`` of a source."""

    def label_of(source: Source, name: str) -> np.ndarray:
        frames = {frame.name: frame for split in source.splits() for frame in source.frames(split)}
        maps = source.read(frames[name], list(source.tasks))
        assert maps["rgb"].shape == (*maps["semantic"].shape, 3)
        return maps["semantic"]

    return label_of
