"""Where camera rays meet the height field.

A ray from the camera stays over one straight line on the map. Along that line the ray, of slope s (rise per metre of
map), first meets the surface where the slope at which the surface is seen, (height - camera) / range, reaches s. So one
table of the running maximum of that slope, by direction and range, brackets every ray by binary search; rays whose own
line differs from the table's nearest one are marched; then bisection on the bilinear surface gives the depth.
"""

from __future__ import annotations

import numpy as np

from edgekit.data.scenes.flight import Pose
from edgekit.data.scenes.grid import CELL, CELLS, bilinear

FAR = 680.0  # metres of map range; beyond is sky
_NEAR = 3.0
_MASK = CELLS - 1
_CHUNK = 16


def ranges() -> np.ndarray:
    """Map ranges of the samples along a ray, float32: at most a cell apart near the camera, wider far away."""
    steps, at = [], _NEAR
    while at < FAR:
        steps.append(at)
        at += max(0.3, 0.0042 * at)
    return np.array([*steps, FAR], np.float32)


_RANGES = ranges()


def _steepest_views(height: np.ndarray, pose: Pose, angles: np.ndarray) -> np.ndarray:
    """Running maximum over range of the slope at which the surface is seen, (angles, ranges)."""
    x = (pose.position[0] + np.cos(angles)[:, None] * _RANGES) * (1 / CELL) + 0.5
    y = (pose.position[1] + np.sin(angles)[:, None] * _RANGES) * (1 / CELL) + 0.5
    index = (np.floor(y).astype(np.int32) & _MASK) * CELLS + (np.floor(x).astype(np.int32) & _MASK)
    seen = (height.ravel().take(index) - np.float32(pose.position[2])) / _RANGES
    return np.maximum.accumulate(seen, axis=1)


class _Rays:
    """Rays by their map direction and slope, all in cells and metres: height at range r is z + slope * r."""

    def __init__(self, height: np.ndarray, pose: Pose, cos: np.ndarray, sin: np.ndarray, slope: np.ndarray):
        self.height, self.slope = height, slope
        self.cos, self.sin = cos / CELL, sin / CELL
        # float32 resolves a millimetre only near the origin.
        self.x, self.y = (float(p / CELL % CELLS) for p in pose.position[:2])
        self.z = float(pose.position[2])

    def above(self, r: np.ndarray, which: object = slice(None)) -> np.ndarray:
        """Height of the ray above the surface at map range r."""
        x, y = self.x + self.cos[which] * r, self.y + self.sin[which] * r
        return self.z + self.slope[which] * r - bilinear(self.height, x, y)


def intersect(height: np.ndarray, pose: Pose, directions: np.ndarray, pixel: float) -> np.ndarray:
    """Depth along every ray, NaN where it meets nothing within ``FAR`` metres of map.

    height      (CELLS, CELLS) float32
    directions  (n, 3) world directions; the answer t (n,) float32 puts the surface at position + t * direction
    pixel       a pixel's width as an angle, which sets how fine the table is
    """
    flat = np.hypot(directions[:, 0], directions[:, 1])
    slope = (directions[:, 2] / flat).astype(np.float32)
    cos, sin = (directions[:, 0] / flat).astype(np.float32), (directions[:, 1] / flat).astype(np.float32)
    forward = pose.rotation[:2, 2]
    turn = np.arctan2(forward[0] * sin - forward[1] * cos, forward[0] * cos + forward[1] * sin)
    low, high = float(turn.min()), float(turn.max())
    lines = int(np.ceil((high - low) / (0.7 * pixel))) + 1
    angles = np.arctan2(forward[1], forward[0]) + np.linspace(low, high, lines)
    table = _steepest_views(height, pose, angles.astype(np.float32))

    # One sorted array for all lines: each line's slopes are lifted above those of the line before.
    line = np.round((turn - low) * ((lines - 1) / (high - low))).astype(np.int64)
    lift = 64.0
    keys = (np.clip(table, -30, 30) + lift * np.arange(lines)[:, None]).ravel()
    first = np.searchsorted(keys, slope.astype(np.float64) + lift * line) - line * len(_RANGES)

    rays = _Rays(height, pose, cos, sin, slope)
    found = first < len(_RANGES)
    after = np.clip(first, 1, len(_RANGES) - 1)
    good = found & (rays.above(_RANGES[after]) <= 0) & (rays.above(_RANGES[after - 1]) > 0)
    after = np.where(found, after, len(_RANGES))
    _march(rays, np.flatnonzero(found & ~good), after)

    hit = np.flatnonzero(after < len(_RANGES))
    low_r, high_r = _RANGES[after[hit] - 1], _RANGES[after[hit]]
    rays = _Rays(height, pose, cos[hit], sin[hit], slope[hit])
    depth = np.full(len(slope), np.nan, np.float32)
    depth[hit] = _refine(rays, low_r, high_r) / flat[hit]
    return depth


def _refine(rays: _Rays, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Map range (n,) where each ray meets the surface between ``low`` (above it) and ``high`` (below it).

    Alternates false position, which lands at once on smooth ground, with bisection, which walls need, and drops the
    rays that are within a few millimetres.
    """
    at = 0.5 * (low + high)
    todo = np.arange(len(low))
    over, under = rays.above(low), rays.above(high)
    for turn in range(18):
        share = np.clip(over / np.maximum(over - under, 1e-6), 0.0, 1.0) if turn % 2 == 0 else np.float32(0.5)
        middle = low + (high - low) * share
        at[todo] = middle
        gap = rays.above(middle, todo)
        open_ = np.flatnonzero((np.abs(gap) > 0.003) & (high - low > 0.002))
        if not len(open_):
            break
        todo, gap, middle = todo[open_], gap[open_], middle[open_]
        up = gap > 0
        low, high = np.where(up, middle, low[open_]), np.where(up, high[open_], middle)
        over, under = np.where(up, gap, over[open_]), np.where(up, under[open_], gap)
    return at


def _march(rays: _Rays, todo: np.ndarray, after: np.ndarray) -> None:
    """Find the bracket of the rays ``todo`` sample by sample, from a little before where the table put it."""
    at = np.maximum(after[todo] - _CHUNK // 4, 1)
    after[todo] = len(_RANGES)
    while len(todo):
        samples = np.minimum(at[:, None] + np.arange(_CHUNK), len(_RANGES) - 1)
        below = rays.above(_RANGES[samples], (todo[:, None],)) <= 0
        # A first sample already below the surface says nothing about where the ray went under: look before it.
        early = below[:, 0] & (at > 1)
        reached = below.any(axis=1) & ~early
        after[todo[reached]] = samples[reached, below[reached].argmax(axis=1)]
        at = np.where(early, np.maximum(at - (_CHUNK - 1), 1), at + _CHUNK)
        more = ~reached & (at < len(_RANGES))
        todo, at = todo[more], at[more]
