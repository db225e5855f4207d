"""Colours of task pictures, without a plotting library."""

from __future__ import annotations

import numpy as np

INVALID = 64  # dark grey: a pixel without a value
RIGHT, WRONG, IGNORED = (200, 200, 200), (214, 30, 30), (0, 0, 0)

# Every 17th colour of the Turbo colour map (A. Mikhailov, Google, 2019; Apache 2.0).
_TURBO_STOPS = np.array([
    (48, 18, 59), (65, 67, 167), (71, 113, 233), (62, 155, 254), (34, 197, 226), (26, 228, 182), (70, 248, 132),
    (136, 255, 78), (185, 246, 53), (225, 221, 55), (250, 186, 57), (253, 141, 39), (240, 91, 18), (214, 53, 6),
    (175, 24, 1), (122, 4, 3),
])  # fmt: skip
# Starts in the grey of a right pixel and ends in the red of a wrong one, so that all error pictures read alike.
_HEAT_STOPS = np.array([RIGHT, (250, 215, 120), (245, 140, 50), WRONG])


def _table(stops: np.ndarray) -> np.ndarray:
    """256 colours (256, 3) uint8 by linear interpolation between evenly spaced ones."""
    at = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


_TURBO_TABLE, _HEAT_TABLE = _table(_TURBO_STOPS), _table(_HEAT_STOPS)


def levels(values: np.ndarray) -> np.ndarray:
    """Values in 0-1 (clipped, NaN allowed) to uint8 0-255 of the same shape; NaN gives 0."""
    return np.rint(255 * np.clip(np.nan_to_num(values, nan=0.0), 0, 1)).astype(np.uint8)


def turbo(values: np.ndarray) -> np.ndarray:
    """Values (H, W) in 0-1 to (H, W, 3) uint8, blue through green to red; NaN is dark grey."""
    picture = _TURBO_TABLE[levels(values)]
    picture[np.isnan(values)] = INVALID
    return picture


def heat(errors: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Errors (H, W) in 0-1 to (H, W, 3) uint8, grey through orange to red; black where not ``valid``.

    A NaN error at a valid pixel, a missing answer, counts as the largest error.
    """
    picture = _HEAT_TABLE[levels(np.where(np.isnan(errors), 1.0, errors))]
    picture[~valid] = IGNORED
    return picture
