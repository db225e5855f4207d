"""The raster every world lies on."""

from __future__ import annotations

import numpy as np

CELLS = 2048  # a power of two, so that wrapping an index is one bit mask
CELL = 0.4  # metres; a car is 11 x 5 cells
WORLD = CELLS * CELL  # metres after which the world repeats

LAND, FOREST, RESIDENTIAL, ROAD, LITTLE, WATER, SKY, HILL = range(8)


def window(x: float, y: float, radius: float) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Cells within a square of half-side ``radius`` around (x, y), all in metres.

    Returns the wrapped index pair (rows, columns) for fancy indexing, and the offsets dx (1, k), dy (k, 1) of the
    cells' centres.
    Cell (i, j) has its centre at x = j * CELL, y = i * CELL.
    """
    reach = int(np.ceil(radius / CELL))
    column, row = int(round(x / CELL)), int(round(y / CELL))
    steps = np.arange(-reach, reach + 1)
    dx = ((column + steps) * CELL - x)[None, :]
    dy = ((row + steps) * CELL - y)[:, None]
    return np.ix_((row + steps) % CELLS, (column + steps) % CELLS), dx, dy


def nearest(raster: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values of a periodic raster (m, m[, C]) of any resolution at points (..., 2) in metres."""
    m = raster.shape[0]
    index = np.round(points * (m / WORLD)).astype(np.int64) % m
    return raster[index[..., 1], index[..., 0]]
