"""Bare ground: hills, lowland, lakes and a river, the road bed cut into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.data.scenes.biome import Biome
from edgekit.data.scenes.curves import cheapest_curve, draw_lines, transpose
from edgekit.data.scenes.grid import CELLS, WORLD
from edgekit.data.scenes.noise import blur, distance, enlarge, smoothstep, spectral

COARSE = 512  # resolution of everything larger than a house
METRES = WORLD / COARSE  # per coarse cell


@dataclass(frozen=True)
class Terrain:
    """Ground and network of a world. Coarse maps are (COARSE, COARSE), full ones (CELLS, CELLS).

    ground    full, float32, metres; open water is 0
    hill      coarse, float32, metres a hill adds to the ground
    wet       full, float32, metres into the water (negative: metres from the shore)
    main      the road through the villages, points (k, 2)
    roads     other paved roads
    tracks    dirt tracks
    """

    ground: np.ndarray
    hill: np.ndarray
    wet: np.ndarray
    main: np.ndarray
    roads: list[np.ndarray]
    tracks: list[np.ndarray]


def _at_most(field: np.ndarray, share: float) -> float:
    return float(np.quantile(field, 1.0 - share))


def build_terrain(rng: np.random.Generator, biome: Biome) -> Terrain:
    """Ground of a world with its water and its main roads."""
    shape = spectral(rng, COARSE, 1, 5, 1.9)
    rise = smoothstep(0.0, 2.2, shape - _at_most(shape, biome.hills * 1.2))
    ridges = spectral(rng, COARSE, 6, 48, 1.7)
    hill = rise * biome.relief * (1.0 + 0.10 * ridges) + 3.0 * rise * np.abs(ridges)
    low = 5.0 + 2.2 * spectral(rng, COARSE, 2, 10, 1.4) + 0.5 * spectral(rng, COARSE, 10, 60, 1.3)

    pools = spectral(rng, COARSE, 2, 7, 1.3) - 4.0 * rise
    wet = pools > _at_most(pools, 1.4 * biome.lake)
    if rng.random() < 0.8:
        wish = blur(hill + 3.0 * low, 6)[::4, ::4] * 0.06 + 1.0 * spectral(rng, COARSE // 4, 2, 10, 1.0)
        river = cheapest_curve(wish - wish.min(), bend=0.3, smooth=16.0)
        river = transpose(river) if rng.random() < 0.5 else river
        wet |= draw_lines(COARSE, [river], rng.uniform(14, 32)) > 127
    inside = distance(~wet) * METRES
    outside = distance(wet) * METRES
    ragged = 1.3 * spectral(rng, COARSE, 20, 160, 1.0)
    depth = blur((inside - outside).astype(np.float32), 1.5) + ragged

    ground = np.maximum(low, 1.2) + hill
    ground = 0.5 + (ground - 0.5) * smoothstep(0.0, 45.0, -depth) + 0.04 * np.clip(-depth, 0, 30)

    toll = blur(hill, 2)[::4, ::4] * 0.6 + 4.0 * (depth[::4, ::4] > -8) + 0.6 * spectral(rng, COARSE // 4, 2, 12, 1.0)
    main = cheapest_curve(toll - toll.min(), bend=0.5, smooth=14.0)
    other = toll.T + 0.8 * spectral(rng, COARSE // 4, 2, 12, 1.0)
    cross = transpose(cheapest_curve(other - other.min(), bend=0.5, smooth=14.0))
    tracks = []
    for turned in (False, True):
        wander = (toll.T if turned else toll) * 0.4 + 2.0 * spectral(rng, COARSE // 4, 2, 10, 0.8)
        track = cheapest_curve(wander - wander.min(), bend=0.25, smooth=9.0)
        tracks.append(transpose(track) if turned else track)

    bed = blur(draw_lines(COARSE, [main, cross], 13.0).astype(np.float32) / 255.0, 2.0)
    bed = np.maximum(bed, 0.8 * blur(draw_lines(COARSE, tracks, 8.0).astype(np.float32) / 255.0, 1.5))
    level = np.maximum(blur(ground.astype(np.float32), 9), 2.2)
    ground = ground + (level - ground) * np.clip(1.3 * bed, 0.0, 1.0)

    ground, depth = enlarge(ground.astype(np.float32), CELLS), enlarge(depth.astype(np.float32), CELLS)
    bumps = 0.03 * np.tile(spectral(rng, CELLS // 4, 30, 200, 1.0), (4, 4))
    ground = np.where(depth > 0.0, 0.0, np.maximum(ground + bumps, 0.05)).astype(np.float32)
    return Terrain(ground, hill.astype(np.float32), depth, main, [cross], tracks)
