"""Little objects: cars, people, boats, poles, bales and cattle."""

from __future__ import annotations

import numpy as np

from edgekit.data.scenes.biome import linear
from edgekit.data.scenes.canvas import Box, Canvas, stand
from edgekit.data.scenes.curves import arc_length, sideways, tangents
from edgekit.data.scenes.grid import LAND, LITTLE, WORLD, nearest
from edgekit.data.scenes.settlement import Settlement
from edgekit.data.scenes.terrain import Terrain

CARS = np.array([
    (226, 226, 228), (60, 62, 68), (150, 154, 160), (168, 32, 30), (34, 62, 128), (206, 190, 160), (24, 24, 26),
    (210, 150, 40),
])  # fmt: skip
CLOTHES = np.array([(200, 40, 40), (230, 230, 230), (40, 50, 110), (240, 180, 40), (30, 30, 32), (60, 130, 90)])


def _pick(rng: np.random.Generator, colours: np.ndarray) -> np.ndarray:
    return linear(colours[int(rng.integers(len(colours)))])


def _car(rng: np.random.Generator, canvas: Canvas, spot: np.ndarray, angle: float) -> None:
    colour = _pick(rng, CARS)
    if rng.random() < 0.12:
        stand(canvas, Box(*spot, angle, rng.uniform(7, 10), 2.5, rng.uniform(2.8, 3.4)), LITTLE, colour)
        return
    stand(canvas, Box(*spot, angle, rng.uniform(4.0, 4.8), 1.9, 0.85), LITTLE, colour)
    stand(canvas, Box(*spot, angle, 2.4, 1.7, 1.5), LITTLE, colour * 0.9)


def _person(rng: np.random.Generator, canvas: Canvas, spot: np.ndarray) -> None:
    stand(canvas, Box(*spot, 0.0, 0.9, 0.9, rng.uniform(1.55, 1.85)), LITTLE, _pick(rng, CLOTHES))


def scatter_objects(rng: np.random.Generator, canvas: Canvas, terrain: Terrain, plan: Settlement) -> None:
    """Place the little objects of a world; nothing stands inside a house or a tree."""

    def free(spot: np.ndarray) -> bool:
        return bool(nearest(canvas.height, spot) - nearest(canvas.ground, spot) < 0.3)

    routes = [(terrain.main, 1.7, 45.0), (terrain.roads[0], 1.7, 60.0)] + [(s, 1.3, 45.0) for s in plan.streets]
    for curve, lane, gap in routes:
        heading = tangents(curve)
        arc = arc_length(curve)
        at = rng.exponential(gap)
        while at < arc[-1]:
            k = int(np.searchsorted(arc, at))
            side = rng.choice([-1.0, 1.0])
            normal = sideways(heading[k])
            spot = curve[k] + side * lane * normal
            if free(spot) and nearest(terrain.wet, spot) < 0:
                _car(rng, canvas, spot, float(np.arctan2(heading[k][1], heading[k][0])))
            walker = curve[k] + normal * side * rng.uniform(4.5, 7.0) + rng.normal(0, 3.0, 2)
            if rng.random() < 0.5 and free(walker) and nearest(terrain.wet, walker) < 0:
                _person(rng, canvas, walker)
            at += 7.0 + rng.exponential(gap)

    for x, y, angle, half_length, _ in plan.yards:
        spot = np.array([x + half_length * 0.85 * np.cos(angle), y + half_length * 0.85 * np.sin(angle)])
        if rng.random() < 0.25 and free(spot):
            _car(rng, canvas, spot, angle + np.pi / 2)
        spot = np.array([x, y]) + rng.uniform(-11, 11, 2)
        if rng.random() < 0.35 and free(spot):
            _person(rng, canvas, spot)

    main, heading = terrain.main, tangents(terrain.main)
    for k in range(0, len(main) - 1, max(1, int(34 * len(main) / WORLD))):
        spot = main[k] + 5.5 * sideways(heading[k])
        if free(spot) and nearest(terrain.wet, spot) < 0:
            stand(canvas, Box(*spot, 0.0, 0.7, 0.7, 8.0), LITTLE, linear((108, 96, 84)))

    for _ in range(40):
        spot = rng.uniform(0, WORLD, 2)
        wet = nearest(terrain.wet, spot)
        if wet > 4.0:
            angle = rng.uniform(0, np.pi)
            stand(
                canvas, Box(*spot, angle, rng.uniform(4, 7), 2.0, 0.8), LITTLE, _pick(rng, CARS[[0, 3, 4, 5]]), base=0.0
            )
        elif wet < -6.0 and nearest(canvas.label, spot) == LAND and free(spot):
            bales = rng.random() < 0.5
            for _ in range(int(rng.integers(4, 12))):
                one = spot + rng.normal(0, 14.0, 2)
                if not free(one) or nearest(canvas.label, one) != LAND:
                    continue
                if bales:
                    stand(canvas, Box(*one, rng.uniform(0, 3), 1.7, 1.5, 1.4), LITTLE, linear((196, 176, 112)))
                else:
                    stand(canvas, Box(*one, rng.uniform(0, 3), 2.2, 0.9, 1.4), LITTLE, _pick(rng, CLOTHES[[1, 4]]))
