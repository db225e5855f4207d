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


def wrapped(offset: np.ndarray) -> np.ndarray:
    """An offset in metres by the shortest way round the torus."""
    return (offset + WORLD / 2) % WORLD - WORLD / 2


def corners(x: np.ndarray, y: np.ndarray, size: int = CELLS) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """The four cells around points in cells of a periodic raster (size, size), as indices into its flat form, in the
    order (y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1); and how far the points lie behind the first along x and y."""
    i, j = np.floor(y), np.floor(x)
    u, v = x - j, y - i
    i, j = i.astype(np.int32), j.astype(np.int32)
    top, bottom = (i & (size - 1)) * size, ((i + 1) & (size - 1)) * size
    left, right = j & (size - 1), (j + 1) & (size - 1)
    return (top + left, top + right, bottom + left, bottom + right), u, v


def bilinear(raster: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of a periodic raster (m, m[, C]) at points in its cells, bilinear between their centres."""
    cells, u, v = corners(x, y, len(raster))
    if raster.ndim == 3:
        u, v = u[:, None], v[:, None]
    flat = raster.reshape(-1, *raster.shape[2:])
    a, b, c, d = (flat.take(cell, axis=0) for cell in cells)
    top = a + (b - a) * u
    return top + (c + (d - c) * u - top) * v


def nearest(raster: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values of a periodic raster (m, m[, C]) of any resolution at points (..., 2) in metres."""
    m = raster.shape[0]
    index = np.round(points * (m / WORLD)).astype(np.int64) % m
    return raster[index[..., 1], index[..., 0]]
