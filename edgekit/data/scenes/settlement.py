"""Villages: streets off the main road, houses along them, a yard round every house."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgekit.data.scenes.biome import ROOFS, WALLS, linear
from edgekit.data.scenes.canvas import Box, Canvas, stand
from edgekit.data.scenes.curves import arc_length, draw_lines, sideways, tangents
from edgekit.data.scenes.grid import CELL, CELLS, RESIDENTIAL, WORLD, nearest, window
from edgekit.data.scenes.noise import distance
from edgekit.data.scenes.terrain import COARSE, METRES, Terrain


@dataclass
class Settlement:
    """What was decided about houses before anything is painted.

    streets  side streets, points (k, 2)
    lanes    drives from street to house
    houses   boxes; parts of one house share an entry: (boxes, roof colour, wall row)
    yards    (x, y, angle, half length, half width) of the plots
    centres  where the villages are, points (v, 2), in the main road's unwrapped coordinates
    """

    streets: list[np.ndarray] = field(default_factory=list)
    lanes: list[np.ndarray] = field(default_factory=list)
    houses: list[tuple[list[Box], np.ndarray, int]] = field(default_factory=list)
    yards: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    centres: list[np.ndarray] = field(default_factory=list)


def _side_street(rng: np.random.Generator, start: np.ndarray, direction: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """A gently curved street that ends where the coarse map ``closed`` begins."""
    length = rng.uniform(80, 150)
    turn = rng.normal(0, 0.5) / length
    arc = np.arange(0.0, length, 2.0)
    angle = np.arctan2(direction[1], direction[0]) + turn * arc
    street = start + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1), axis=0) * 2.0
    stop = nearest(closed, street)
    return street[: int(stop.argmax()) if stop.any() else len(street)]


def _house(rng: np.random.Generator, x: float, y: float, angle: float) -> tuple[list[Box], np.ndarray, int]:
    roof = ROOFS[int(rng.integers(len(ROOFS)))] * rng.uniform(0.85, 1.12)
    wall = int(rng.integers(len(WALLS)))
    if rng.random() < 0.16:
        flat = Box(x, y, angle, rng.uniform(13, 20), rng.uniform(9, 13), rng.uniform(5.5, 10.0))
        return [flat], linear(ROOFS[int(rng.integers(3, len(ROOFS)))] * rng.uniform(0.9, 1.2)), wall
    length, width, height = rng.uniform(9, 14), rng.uniform(7.5, 10), rng.uniform(3.0, 6.0)
    boxes = [Box(x, y, angle, length, width, height, rng.uniform(1.6, 3.0))]
    cos, sin = np.cos(angle), np.sin(angle)
    if rng.random() < 0.4:
        shift, side = rng.uniform(-0.25, 0.25) * length, rng.choice([-1.0, 1.0]) * 0.5 * width
        boxes.append(
            Box(
                x + shift * cos - side * sin,
                y + shift * sin + side * cos,
                angle + np.pi / 2,
                width * 0.9,
                length * 0.45,
                height * 0.9,
                1.4,
            )
        )
    if rng.random() < 0.7:
        shift = rng.uniform(-0.3, 0.3) * length
        boxes.append(Box(x + shift * cos, y + shift * sin, angle, 1.2, 1.0, height + 3.2))
    return boxes, linear(roof), wall


def plan_settlement(rng: np.random.Generator, terrain: Terrain) -> Settlement:
    """Choose villages along the main road and farms elsewhere, where the ground is dry and gentle."""
    plan = Settlement()
    steep = np.hypot(*np.gradient(terrain.ground[::4, ::4], METRES)) > 0.33
    wet = terrain.wet[::4, ::4] > -7.0
    main, heading = terrain.main, tangents(terrain.main)
    bad = np.maximum(steep, wet).astype(float)
    badness = np.array(
        [
            bad[np.ix_(*[np.arange(int(c / METRES) - 40, int(c / METRES) + 40) % COARSE for c in p[::-1]])].mean()
            for p in main[::8]
        ]
    )

    chosen: list[int] = []
    for k in np.argsort(badness + 0.05 * rng.random(len(badness))):
        if (
            all(min(abs(k - c), len(badness) - abs(k - c)) * 8 * WORLD / len(main) > 170 for c in chosen)
            and len(chosen) < 4
        ):
            chosen.append(int(k))
    for k in chosen:
        centre = k * 8
        plan.centres.append(main[centre])
        for offset in np.arange(-110.0, 111.0, rng.uniform(50, 60)):
            at = (centre + int(offset * len(main) / WORLD)) % (len(main) - 1)
            normal = sideways(heading[at])
            for side in (-1.0, 1.0):
                if rng.random() < 0.8:
                    street = _side_street(rng, main[at], side * normal + 0.12 * rng.normal(size=2), steep | wet)
                    if len(street) > 12:
                        plan.streets.append(street)

    taken = (
        (draw_lines(COARSE, [terrain.main, *terrain.roads], 11.0) > 60)
        | (draw_lines(COARSE, plan.streets, 8.0) > 60)
        | wet
        | steep
    )
    reach = int(140 * len(main) / WORLD)
    fronts = [(s, 2.2) for s in plan.streets]
    fronts += [(main[max(k * 8 - reach, 0) : k * 8 + reach], 3.3) for k in chosen]
    for curve, half in fronts:
        _houses_along(rng, plan, taken, curve, half)
    for _ in range(10):
        spot = rng.uniform(0, WORLD, 2)
        _add_house(rng, plan, taken, spot, rng.uniform(0, np.pi), 20.0, None)
    return plan


def _houses_along(
    rng: np.random.Generator, plan: Settlement, taken: np.ndarray, curve: np.ndarray, half: float
) -> None:
    """Houses on both sides of a street."""
    heading = tangents(curve)
    arc = arc_length(curve)
    for side in (-1.0, 1.0):
        at = rng.uniform(4, 12)
        while at < arc[-1]:
            k = int(np.searchsorted(arc, at))
            setback = half + rng.uniform(4.0, 8.0) + 5.0
            normal = side * sideways(heading[k])
            angle = (
                float(np.arctan2(heading[k][1], heading[k][0]))
                + rng.normal(0, 0.06)
                + (np.pi / 2 if rng.random() < 0.3 else 0.0)
            )
            _add_house(rng, plan, taken, curve[k] + normal * setback, angle, 7.5, curve[k])
            at += rng.uniform(13.5, 19)


def _add_house(
    rng: np.random.Generator,
    plan: Settlement,
    taken: np.ndarray,
    spot: np.ndarray,
    angle: float,
    room: float,
    door: np.ndarray | None,
) -> None:
    """Add a house at ``spot`` unless something lies within ``room`` metres of it."""
    reach = int(np.ceil(room / METRES))
    row, column = int(round(spot[1] / METRES)), int(round(spot[0] / METRES))
    steps = np.arange(-reach, reach + 1)
    cells = np.ix_((row + steps) % COARSE, (column + steps) % COARSE)
    far = np.hypot(steps[:, None], steps[None]) * METRES
    disc = far <= room
    if taken[cells][far <= 0.75 * room].any():
        return
    taken[cells] |= disc
    plan.houses.append(_house(rng, float(spot[0]), float(spot[1]), angle))
    plan.yards.append((float(spot[0]), float(spot[1]), angle, rng.uniform(9, 12), rng.uniform(9, 13)))
    if door is not None and rng.random() < 0.6:
        plan.lanes.append(np.stack([door, spot]))


def paint_yards(
    rng: np.random.Generator, plan: Settlement, canvas: Canvas, lawn: np.ndarray, gravel: np.ndarray
) -> np.ndarray:
    """Colour the plots; returns a mask (CELLS, CELLS) of them, where no field is ploughed and no forest grows."""
    mask = np.zeros((CELLS, CELLS), bool)
    for x, y, angle, half_length, half_width in plan.yards:
        cells, dx, dy = window(x, y, float(np.hypot(half_length, half_width)) + CELL)
        cos, sin = np.cos(angle), np.sin(angle)
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        inside = (np.abs(along) < half_length) & (np.abs(across) < half_width)
        colour = np.broadcast_to((lawn * rng.uniform(0.75, 1.3)).astype(np.float32), (*inside.shape, 3))
        paved = (along > half_length * rng.uniform(0.2, 0.8)) & (np.abs(across) < rng.uniform(3, 8))
        if rng.random() < 0.6:
            colour = np.where(paved[..., None], gravel * rng.uniform(0.7, 1.1), colour)
        canvas.colour[cells] = np.where(inside[..., None], colour, canvas.colour[cells])
        mask[cells] |= inside
    return mask


def build_houses(plan: Settlement, canvas: Canvas) -> np.ndarray:
    """Stand every house on the canvas; returns the table of houses, rows of x, y, angle, row of the wall colours."""
    table = []
    for number, (boxes, roof, wall) in enumerate(plan.houses):
        for box in boxes:
            stand(canvas, box, RESIDENTIAL, roof, number)
        table.append((boxes[0].x, boxes[0].y, boxes[0].angle, wall))
    return np.array(table, np.float64).reshape(-1, 4)


def village_mask(plan: Settlement) -> np.ndarray:
    """(COARSE, COARSE) bool: within 14 m of a house."""
    mask = np.zeros((COARSE, COARSE), bool)
    for x, y, *_ in plan.yards:
        mask[int(round(y / METRES)) % COARSE, int(round(x / METRES)) % COARSE] = True
    return distance(mask) * METRES < 14.0
