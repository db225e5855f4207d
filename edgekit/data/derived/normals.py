"""Normals of a depth map: of the plane that fits the points of a window best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from pydantic import Field, field_validator

from edgekit.data.derived.derivation import Derivation, DeriveCommon, Needs, PinholeCamera
from edgekit.tasks import Task

_ROWS = 32  # at a time: the arrays of so many rows stay in the processor's cache


class PlaneNormalsConfig(DeriveCommon):
    """Least-squares planes in windows of ``window`` pixels a side of a depth map, whose scale does not matter."""

    derive: Literal["plane_normals"]
    window: int = Field(11, ge=3, le=101)

    @field_validator("window")
    @classmethod
    def _has_a_centre(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError("a window has a pixel in its middle: give an odd number")
        return window


class PlaneNormals(Derivation):
    """`plane_normals` of a depth map as seen by the pipeline's camera."""

    Config = PlaneNormalsConfig
    uses_camera = True

    def __init__(self, config: PlaneNormalsConfig, needs: Needs):
        needs.expect("depth")
        self._window, self._camera = config.window, needs.camera
        self.task = Task("", "normals", range=(-1.0, 1.0))

    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        return plane_normals(maps[0], self._camera, self._window)


def plane_normals(depth: np.ndarray, camera: PinholeCamera, window: int = 11) -> np.ndarray:
    """(H, W) float → (H, W, 3) float32 unit vectors, x right, y down, z forward, that point away from the camera.

    The smallest eigenvector of the covariance of the window's points, those inside the frame and with a depth. NaN
    where a pixel has no depth, where the window has fewer than three points, and where they are one and the same.

    The points' sums over windows are box filters, and the eigenvector has a closed form (Smith, 1961; Kopp,
    arXiv physics/0610206).
    """
    height, width = depth.shape
    fx, fy = camera.focal_lengths(height, width)
    valid = np.isfinite(depth)
    z = np.where(valid, depth, 0).astype(np.float64)
    right = (np.arange(width) - width / 2) / fx  # of the ray through a pixel, for each step ahead
    down = ((np.arange(height) - height / 2) / fy)[:, None]
    x, y = z * right, z * down

    def total(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, cv2.CV_64F, (window, window), normalize=False, borderType=cv2.BORDER_CONSTANT)

    count = total(valid.astype(np.float64))
    sums = [total(values) for values in (x, y, z, x * x, y * y, z * z, x * y, x * z, y * z)]
    out = np.empty((height, width, 3), np.float32)
    for top in range(0, height, _ROWS):
        rows = slice(top, top + _ROWS)
        here, enough = np.maximum(count[rows], 1), valid[rows] & (count[rows] > 2.5)
        normals = _smallest_direction(here, [s[rows] for s in sums])
        ahead = normals[0] * right + normals[1] * down[rows] + normals[2]
        sign = np.where(enough, np.where(ahead < 0, -1.0, 1.0), np.nan)
        for c in range(3):
            out[rows, :, c] = normals[c] * sign
    return out


def _smallest_direction(count: np.ndarray, sums: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(h, w) each: the eigenvector of the smallest eigenvalue of the covariance, NaN where that is no direction."""
    mx, my, mz = (s / count for s in sums[:3])
    a, b, c, d, e, f = (
        s / count - m for s, m in zip(sums[3:], (mx * mx, my * my, mz * mz, mx * my, mx * mz, my * mz), strict=True)
    )  # [[a, d, e], [d, b, f], [e, f, c]]
    scale = a + b + c  # the trace; made 1, so that no power of it is too small
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(scale > 0, 1 / scale, np.nan)
        a, b, c, d, e, f = (value * inverse for value in (a, b, c, d, e, f))
        third = 1 / 3
        p = np.sqrt(((a - third) ** 2 + (b - third) ** 2 + (c - third) ** 2 + 2 * (d * d + e * e + f * f)) / 6)
        aa, bb, cc = a - third, b - third, c - third
        determinant = aa * (bb * cc - f * f) - d * (d * cc - f * e) + e * (d * f - bb * e)
        r = np.clip(determinant / np.maximum(2 * p * p * p, 1e-300), -1, 1)
        smallest = third + 2 * p * np.cos(np.arccos(r) / 3 + 2 * np.pi / 3)
        a, b, c = a - smallest, b - smallest, c - smallest
        # the direction is at right angles to every row of what is left: the longest product of two rows is exact
        products = (
            (d * f - e * b, e * d - a * f, a * b - d * d),
            (d * c - e * f, e * e - a * c, a * f - d * e),
            (b * c - f * f, f * e - d * c, d * f - b * e),
        )
        nx, ny, nz = products[0]
        longest = nx * nx + ny * ny + nz * nz
        for ox, oy, oz in products[1:]:
            square = ox * ox + oy * oy + oz * oz
            longer = square > longest
            nx, ny, nz = np.where(longer, ox, nx), np.where(longer, oy, ny), np.where(longer, oz, nz)
            longest = np.maximum(square, longest)
        norm = 1 / np.sqrt(np.where(longest > 0, longest, np.nan))
        return nx * norm, ny * norm, nz * norm
