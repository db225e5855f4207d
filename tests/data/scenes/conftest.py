"""One world and two neighbouring frames of it, shared by the tests: building a world takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.scene import Scene

INDEX = 5


@pytest.fixture(scope="session")
def scene() -> Scene:
    return Scene(ScenesConfig(seed=3, size=(80, 144)), "train", 0)


@pytest.fixture(scope="session")
def pair(scene: Scene) -> SimpleNamespace:
    """Frames INDEX and INDEX + 1 with their poses."""
    poses = scene.flight.pose(INDEX), scene.flight.pose(INDEX + 1)
    return SimpleNamespace(now=scene.frame(INDEX), later=scene.frame(INDEX + 1), poses=poses)


@pytest.fixture(scope="session")
def unproject() -> Callable:
    return _unproject


def _unproject(depth: np.ndarray, pose: object) -> np.ndarray:
    """World points (H, W, 3) by the textbook pinhole formula, written apart from the renderer's."""
    height, width = depth.shape
    focal = pose.focal * width
    v, u = np.mgrid[:height, :width]
    x = (u + 0.5 - width / 2) / focal * depth
    y = (v + 0.5 - height / 2) / focal * depth
    right, down, forward = pose.rotation.T
    return pose.position + x[..., None] * right + y[..., None] * down + depth[..., None] * forward
