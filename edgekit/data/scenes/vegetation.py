"""Trees: every crown is a dome or a cone of its own, and a wood is many of them."""

from __future__ import annotations

import numpy as np

from edgekit.data.scenes.biome import Biome, linear
from edgekit.data.scenes.canvas import Canvas
from edgekit.data.scenes.grid import CELL, CELLS, FOREST, HILL, LAND, WORLD, nearest
from edgekit.data.scenes.noise import blur, enlarge, smoothstep, spectral
from edgekit.data.scenes.terrain import COARSE, METRES, Terrain

_PAD = 16  # cells of margin, more than the widest crown's radius
_TINTS = 64  # shades of leaf; the lower half are broadleaved, the upper half conifers
_NOTHING = -(2**30)
_RADII = (1.4, 1.8, 2.3, 2.8, 3.4, 4.0, 4.7)


def _stamps() -> list[tuple[float, bool, np.ndarray]]:
    """(radius m, conifer, height below the top in mm) for crowns of several sizes; far below outside the crown."""
    stamps = []
    for conifer in (False, True):
        for radius in _RADII:
            reach = int(np.ceil(radius / CELL))
            steps = np.arange(-reach, reach + 1) * CELL
            r = np.hypot(steps[:, None], steps[None]) / radius
            drop = 3.6 * r if conifer else 2.4 * (1.0 - np.sqrt(np.clip(1.0 - 0.96 * r * r, 0.0, 1.0)))
            stamps.append((radius, conifer, np.where(r <= 1.0, -drop * radius * 1000, _NOTHING).astype(np.int64)))
    return stamps


def forest_density(rng: np.random.Generator, biome: Biome, terrain: Terrain, keep_out: np.ndarray) -> np.ndarray:
    """Chance (COARSE, COARSE) that a tree stands at a place: woods, copses and single trees."""
    wood = spectral(rng, COARSE, 3, 40, 1.35)
    hill = np.clip(terrain.hill / max(biome.relief, 1.0), 0, 1)
    shore = np.exp(-(((terrain.wet[::4, ::4] + 10) / 8) ** 2))
    wood = wood + 0.3 * np.sqrt(hill) - 0.8 * hill + 0.5 * shore
    edge = float(np.quantile(wood, 1.0 - biome.forest))
    density = smoothstep(edge - 0.04, edge + 0.05, wood)
    density = np.maximum(density, 0.35 * smoothstep(1.0, 1.8, spectral(rng, COARSE, 8, 60, 0.8)))
    density = np.maximum(density, 0.012)
    return density * ~keep_out


def plant(
    rng: np.random.Generator,
    biome: Biome,
    canvas: Canvas,
    density: np.ndarray,
    gardens: np.ndarray,
    blocked: np.ndarray,
) -> None:
    """Stand trees on the canvas.

    density  (COARSE, COARSE) chance of a tree per 4.2 m square
    gardens  (COARSE, COARSE) bool, where small trees stand here and there
    blocked  (CELLS, CELLS) bool, where no trunk may stand (roads, houses, water)
    """
    side = int(WORLD / 4.2)
    grid = (
        np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1) + rng.uniform(0.1, 0.9, (side, side, 2))
    ) * (WORLD / side)
    spots = grid.reshape(-1, 2)
    garden = nearest(gardens, spots)
    grows = rng.random(len(spots)) < np.maximum(nearest(density, spots), 0.10 * garden)
    grows &= ~nearest(blocked, spots)
    spots, garden = spots[grows], garden[grows]

    stand_age = nearest(spectral(rng, 256, 3, 30, 1.0), spots)
    kind = nearest(spectral(rng, 256, 3, 24, 1.0), spots) + 0.5 * rng.normal(size=len(spots))
    conifer = (kind > np.quantile(kind, 1.0 - min(biome.needles, 0.97))) & ~garden
    size = np.clip(0.5 + 0.16 * stand_age + 0.16 * rng.normal(size=len(spots)) - 0.25 * garden, 0, 0.999)
    tall = np.where(conifer, 8.0 + 10.0 * size, 4.0 + 9.5 * size) * rng.uniform(0.9, 1.1, len(spots))
    tint = np.clip(
        _TINTS / 4 + 5.0 * nearest(spectral(rng, 256, 4, 40, 1.0), spots) + 5.0 * rng.normal(size=len(spots)),
        0,
        _TINTS / 2 - 1,
    )
    tint = tint.astype(np.int64) + (_TINTS // 2) * conifer

    stamps = _stamps()
    which = (size * 7).astype(int) + 7 * conifer
    which = np.where(conifer, np.maximum(which - 2, 7), which)  # conifers are slimmer
    cells = np.round(spots / CELL).astype(int) % CELLS
    top = (canvas.ground[cells[:, 1], cells[:, 0]] + tall) * 1000
    # One integer holds height and tint, so that the higher crown wins a cell with both by a single maximum.
    key = np.full((CELLS + 2 * _PAD, CELLS + 2 * _PAD), _NOTHING * _TINTS, np.int64)
    keyed = [s * _TINTS for _, _, s in stamps]
    tops = (top.astype(np.int64) * _TINTS + tint).tolist()
    for (column, row), k, base in zip(cells.tolist(), which.tolist(), tops, strict=True):
        stamp = keyed[k]
        reach = stamp.shape[0] // 2
        part = key[row + _PAD - reach : row + _PAD + reach + 1, column + _PAD - reach : column + _PAD + reach + 1]
        np.maximum(part, stamp + base, out=part)
    for axis in (0, 1):
        key = np.moveaxis(key, axis, 0)
        key[_PAD : 2 * _PAD] = np.maximum(key[_PAD : 2 * _PAD], key[-_PAD:])
        key[-2 * _PAD : -_PAD] = np.maximum(key[-2 * _PAD : -_PAD], key[:_PAD])
        key = np.moveaxis(key, 0, axis)
    key = key[_PAD:-_PAD, _PAD:-_PAD]

    crown = (key // _TINTS).astype(np.float32) / 1000.0
    rough = np.tile(spectral(rng, CELLS // 4, 40, 250, 0.6), (4, 4))
    crown += 0.28 * rough
    is_tree = (crown > canvas.height + 0.6) & (key > 0)
    canvas.height[is_tree] = crown[is_tree]
    canvas.label[is_tree] = FOREST
    leaf, other, needle = linear(biome.leaf), linear(biome.leaf_other), linear(biome.needle)
    t = np.linspace(0, 1, _TINTS // 2, dtype=np.float32)[:, None]
    palette = np.concatenate([leaf + (other - leaf) * t, needle * (0.8 + 0.45 * t)])
    palette *= rng.uniform(0.85, 1.15, (_TINTS, 1)).astype(np.float32)
    canvas.colour[is_tree] = palette[(key[is_tree] % _TINTS)] * (1.0 + 0.16 * rough[is_tree])[:, None]

    # Between the crowns of a dense wood the floor is forest too.
    filled = blur(is_tree.astype(np.float32), 1.4 / CELL) > 0.62
    floor = filled & ~is_tree & ((canvas.label == LAND) | (canvas.label == HILL))
    canvas.label[floor] = FOREST
    canvas.colour[floor] *= np.float32(0.45)


def hedges(rng: np.random.Generator, borders: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Density with rows of trees along some borders (COARSE, COARSE) bool between fields."""
    chosen = enlarge(spectral(rng, 128, 4, 30, 0.6), COARSE) > 0.9
    near = blur((borders & chosen).astype(np.float32), 2.0 / METRES) > 0.12
    return np.maximum(density, 0.75 * near)
