"""A small Dronescapes as it is published, written by numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.data.dronescapes import Dronescapes, DronescapesConfig

SIZE = (12, 20)
SEMANTIC = (
    "semantic_segprop8",
    "semantic_mask2former_swin_mapillary_converted",
    "semantic_mask2former_r50_mapillary_converted",
    "semantic_mask2former_swin_coco_converted",
)
BINARY = (
    "buildings",
    "buildings(nearby)",
    "sky-and-water",
    "transportation",
    "containing",
    "vegetation",
    "safe-landing-no-sseg",
    "safe-landing-semantics",
)


def published_maps(seed: int, size: tuple[int, int] = SIZE) -> dict[str, np.ndarray]:
    """One frame's arrays as they lie on disk."""
    rng = np.random.default_rng(seed)
    maps = {"rgb": rng.integers(0, 256, (*size, 3)).astype(np.uint8)}
    for i, name in enumerate(SEMANTIC):
        maps[name] = rng.integers(0, 8, size).astype(np.uint16 if i % 2 else np.uint8)
    maps["depth_sfm_manual202204"] = rng.uniform(2, 280, (*size, 1)).astype(np.float16)
    maps["depth_marigold"] = rng.uniform(0, 1, (*size, 1)).astype(np.float16)
    for name in ("normals_sfm_manual202204", "normals_svd(depth_marigold)"):
        normal = rng.normal(size=(*size, 3))
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        maps[name] = ((normal + 1) / 2).astype(np.float16)
    for name in BINARY:
        maps[name] = rng.random(size) < 0.5
    return maps


@pytest.fixture
def write() -> Callable:
    """write(set folder, frame, maps, place={task: "npz"}): one file per map."""

    def write(folder: Path, frame: str, maps: dict[str, np.ndarray], place: dict[str, str] | None = None) -> None:
        for task, array in maps.items():
            where = folder / task / (place or {}).get(task, "")
            where.mkdir(parents=True, exist_ok=True)
            np.savez(where / f"{frame}.npz", array)

    return write


@pytest.fixture
def open_data(tmp_path) -> Callable:
    """The source over ``tmp_path/data``."""

    def open_data(**config) -> Dronescapes:
        return Dronescapes(DronescapesConfig(root=Path("data"), **config), tmp_path)

    return open_data


@pytest.fixture
def maps() -> Callable:
    return published_maps
