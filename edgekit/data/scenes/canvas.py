"""The rasters a world is built on, and the boxes that stand on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.data.scenes.grid import CELL, CELLS, LITTLE, RESIDENTIAL, window


@dataclass
class Canvas:
    """Rasters (CELLS, CELLS) a world is painted on.

    ground  float32, metres, without anything standing on it
    height  float32, metres, with everything
    label   uint8, class
    colour  float32 x 3, linear reflectance
    house   uint16, number of the house on a cell and next to it
    """

    ground: np.ndarray
    height: np.ndarray
    label: np.ndarray
    colour: np.ndarray
    house: np.ndarray

    @classmethod
    def on(cls, ground: np.ndarray) -> Canvas:
        shape = (CELLS, CELLS)
        return cls(
            ground,
            ground.copy(),
            np.zeros(shape, np.uint8),
            np.zeros((*shape, 3), np.float32),
            np.zeros(shape, np.uint16),
        )


@dataclass(frozen=True)
class Box:
    """An upright box at (x, y) turned by ``angle``, metres and radians; ``ridge`` metres of gable along its length."""

    x: float
    y: float
    angle: float
    length: float
    width: float
    height: float
    ridge: float = 0.0


def blend(colour: np.ndarray, towards: np.ndarray, weight: np.ndarray) -> None:
    """Move a colour raster (n, n, 3), contiguous, in place towards a colour (3,) by ``weight`` (n, n).

    Touches only the cells with a weight: roads and shores are a few percent of a world.
    """
    at = np.flatnonzero(weight)
    flat = colour.reshape(-1, 3)
    flat[at] += (towards - flat[at]) * weight.ravel()[at, None]


def stand(canvas: Canvas, box: Box, label: int, colour: np.ndarray, house: int = 0, base: float | None = None) -> None:
    """Put a box on the canvas; its walls are ramps one cell wide, so that they are straight at any angle."""
    cells, dx, dy = window(box.x, box.y, 0.5 * float(np.hypot(box.length, box.width)) + 2 * CELL)
    cos, sin = np.cos(box.angle), np.sin(box.angle)
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    inside = np.minimum(0.5 * box.length - np.abs(along), 0.5 * box.width - np.abs(across))
    cover = np.clip(inside / CELL + 0.5, 0.0, 1.0)
    ground = canvas.ground[cells]
    foot = base
    if base is None:
        # A house is levelled on its highest corner; a car or a person stands on the ground's average.
        below = ground[inside > -CELL]
        foot = float(below.max() if label == RESIDENTIAL else below.mean())
    slant = np.clip(1.0 - np.abs(across) / (0.5 * box.width), 0.0, 1.0)
    top = foot + box.height + box.ridge * slant
    now = canvas.height[cells]
    canvas.height[cells] = np.where(cover > 0, np.maximum(now, ground + (top - ground) * cover), now)
    canvas.label[cells] = np.where(inside > -CELL, label, canvas.label[cells])
    shade = 1.0
    if label == RESIDENTIAL:
        canvas.house[cells] = np.where(inside > -1.5 * CELL, house, canvas.house[cells])
        # Courses of tiles, and a darker line along the eaves.
        shade = (0.94 + 0.08 * ((across * 1.6) % 1.0 > 0.5)) * np.where(inside < 0.45, 0.85, 1.0)
    elif label == LITTLE and box.length > 3.0:
        # Windscreens: two dark bands across a car.
        shade = np.where((np.abs(along) > 0.12 * box.length) & (np.abs(along) < 0.28 * box.length), 0.35, 1.0)
    paint = np.broadcast_to(np.asarray(shade)[..., None] * colour, (*inside.shape, 3))
    canvas.colour[cells] = np.where((inside > -0.5 * CELL)[..., None], paint, canvas.colour[cells])
