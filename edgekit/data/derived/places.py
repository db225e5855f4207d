"""Derived from depth and normals: what is near, and where one could land."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgekit.data.derived.derivation import Derivation, DeriveCommon, Needs
from edgekit.tasks import Task


class NearbyConfig(DeriveCommon):
    """``of: [binary map, depth map]``: 1 where the first is 1 and the depth is at most ``within``, in its own unit."""

    derive: Literal["nearby"]
    within: float = 0.3


class Nearby(Derivation):
    """0 where there is no depth."""

    Config = NearbyConfig

    def __init__(self, config: NearbyConfig, needs: Needs):
        needs.expect("binary", "depth")
        self._within = np.float32(config.within)
        self.task = Task("", "binary")

    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        yes, depth = maps
        return ((yes == 1) & (depth <= self._within)).astype(np.uint8)


class SafeLandingConfig(DeriveCommon):
    """``of: [normals, depth, binary maps…]``: 1 where the ground is level and near, and all the binary maps are 1.

    With v = (n + 1) / 2: v_y above ``upright``, v_x + v_z below ``tilt``, and the depth at most ``within``.
    """

    derive: Literal["safe_landing"]
    upright: float = 0.8
    tilt: float = 1.2
    within: float = 0.9


class SafeLanding(Derivation):
    """For normals that point away from the camera, as ``plane_normals`` gives them. 0 without a normal or depth."""

    Config = SafeLandingConfig

    def __init__(self, config: SafeLandingConfig, needs: Needs):
        needs.expect("normals", "depth", more="binary")
        self._limits = [np.float32(limit) for limit in (config.upright, config.tilt, config.within)]
        self.task = Task("", "binary")

    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        normals, depth, *masks = maps
        upright, tilt, within = self._limits
        x, y, z = ((normals[..., c] + 1) / 2 for c in range(3))
        safe = (y > upright) & (x + z < tilt) & (depth <= within)
        for mask in masks:
            safe &= mask == 1
        return safe.astype(np.uint8)
