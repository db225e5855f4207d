"""Outlines and run lengths drawn into a label: a pixel belongs to a shape if its centre lies inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit import limits

FARTHEST = 1e6
"""Coordinates beyond this are no coordinates, in pixels."""


@dataclass(frozen=True)
class DrawnShape:
    """``mask`` (h, w) bool, whose upper left pixel lies at ``(top, left)`` of the label; it may reach beyond it."""

    mask: np.ndarray
    top: int = 0
    left: int = 0


NOTHING = DrawnShape(np.zeros((0, 0), bool))


def polygon(points: Sequence | np.ndarray, height: int, width: int) -> DrawnShape:
    """The inside of a closed outline, by the even-odd rule: (N, 2) or flat x, y, … in pixels from the image's corner.

    ValueError for fewer than three points, or invalid coordinates.
    """
    xy = np.asarray(points, np.float64)
    if xy.ndim == 1:
        if len(xy) % 2:
            raise ValueError(f"an outline has {len(xy)} coordinates, and there must be two for each point")
        xy = xy.reshape(-1, 2)
    if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) < 3:
        raise ValueError(f"an outline needs at least three points (x, y), and one has {len(xy)}")
    if not (np.abs(xy) <= FARTHEST).all():
        raise ValueError("an outline has coordinates that are not finite, or far outside any image")
    left, top = np.maximum(np.ceil(xy.min(0) - 0.5), 0).astype(int)
    right, bottom = np.minimum(np.ceil(xy.max(0) - 0.5), (width, height)).astype(int)
    if right <= left or bottom <= top:
        return NOTHING
    # The rows whose centres each edge crosses, and the first column whose centre lies right of the crossing.
    start, end = xy, np.roll(xy, -1, axis=0)
    first, last = (
        np.clip(np.ceil(f(start[:, 1], end[:, 1]) - 0.5), top, bottom).astype(int) for f in (np.minimum, np.maximum)
    )
    if (last - first).sum() > limits.OUTLINE_ROWS:
        raise ValueError(f"an outline crosses more than {limits.OUTLINE_ROWS:,} rows")
    edge = np.repeat(np.arange(len(xy)), last - first)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    slope = (end - start)[edge]
    crossing = start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope[:, 0] / slope[:, 1]
    column = np.clip(np.ceil(crossing - 0.5), left, right).astype(int)
    crossings = np.zeros((bottom - top, right - left + 1), np.uint8)
    np.add.at(crossings, (row - top, column - left), 1)  # only whether it is odd counts
    return DrawnShape(np.bitwise_xor.accumulate(crossings[:, :-1] & 1, axis=1).view(bool), top, left)


def box(x1: float, y1: float, x2: float, y2: float, height: int, width: int) -> DrawnShape:
    """The rectangle between two corners."""
    return polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], height, width)


def ellipse(cx: float, cy: float, rx: float, ry: float, height: int, width: int) -> DrawnShape:
    """The inside of an upright ellipse. ValueError for an invalid centre or radius."""
    if not (rx > 0 and ry > 0 and max(abs(cx), abs(cy), rx, ry) <= FARTHEST):
        raise ValueError(f"an ellipse has the radii {rx:g} and {ry:g} around ({cx:g}, {cy:g})")
    top, bottom = (min(max(int(np.floor(cy + r)), 0), height) for r in (-ry, ry + 1))
    left, right = (min(max(int(np.floor(cx + r)), 0), width) for r in (-rx, rx + 1))
    y, x = (centre + 0.5 for centre in np.ogrid[top:bottom, left:right])
    return DrawnShape(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1, top, left)


def runs(counts: Sequence[int], height: int, width: int, *, by_column: bool = False) -> DrawnShape:
    """A mask of that size from the lengths of its runs of pixels outside, inside, outside, …, row by row.

    ValueError where they do not fit.
    """
    counts = np.asarray(counts, np.float64)  # exact for any count that fits
    if not (counts >= 0).all() or counts.sum() != height * width:
        raise ValueError(f"run lengths of {counts.sum():g} pixels do not fit a mask of {width}x{height}")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts.astype(np.int64))
    mask = flat.reshape(width, height).T if by_column else flat.reshape(height, width)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not rows.size:
        return NOTHING
    top, left = int(rows[0]), int(columns[0])
    return DrawnShape(mask[top : rows[-1] + 1, left : columns[-1] + 1].copy(), top, left)


def paint(height: int, width: int, shapes: Iterable[tuple[int, DrawnShape]], background: int) -> np.ndarray:
    """(H, W) uint8: each shape's value, later shapes above earlier ones, and ``background`` elsewhere."""
    label = np.full((height, width), background, np.uint8)
    for value, shape in shapes:
        bottom, right = shape.top + shape.mask.shape[0], shape.left + shape.mask.shape[1]
        if bottom <= 0 or right <= 0:
            continue
        below = label[max(shape.top, 0) : bottom, max(shape.left, 0) : right]
        mask = shape.mask[max(-shape.top, 0) :, max(-shape.left, 0) :]
        below[mask[: below.shape[0], : below.shape[1]]] = value
    return label
