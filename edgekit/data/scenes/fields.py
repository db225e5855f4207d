"""Open ground: fields in parcels, meadows, and the bare flanks of the hills."""

from __future__ import annotations

import cv2
import numpy as np

from edgekit.data.scenes.biome import Biome, linear
from edgekit.data.scenes.canvas import blend
from edgekit.data.scenes.grid import CELLS, HILL, LAND, WORLD, wrapped
from edgekit.data.scenes.noise import blur, enlarge, smoothstep, spectral
from edgekit.data.scenes.terrain import COARSE, METRES, Terrain

_HILL_FROM = 7.0  # metres a hill must add to the ground to be called one


def _parcels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Parcel number of every coarse cell, and the coordinate across its furrows in metres."""
    place = (np.arange(COARSE) + 0.5) * METRES
    warp = 9.0 * spectral(rng, COARSE, 2, 12, 1.0), 9.0 * spectral(rng, COARSE, 2, 12, 1.0)
    x, y = place[None] + warp[0], place[:, None] + warp[1]
    seeds = rng.uniform(0, WORLD, (11, 2))
    nearest_d, region = np.full((COARSE, COARSE), np.inf), np.zeros((COARSE, COARSE), np.int64)
    for number, (sx, sy) in enumerate(seeds):
        dx, dy = wrapped(x - sx), wrapped(y - sy)
        d = dx * dx + dy * dy
        closer = d < nearest_d
        nearest_d, region = np.where(closer, d, nearest_d), np.where(closer, number, region)
    angle, strip, block = rng.uniform(0, np.pi, 11), rng.uniform(32, 75, 11), rng.uniform(70, 170, 11)
    dx, dy = wrapped(x - seeds[region, 0]), wrapped(y - seeds[region, 1])
    across = dy * np.cos(angle[region]) - dx * np.sin(angle[region])
    along = dx * np.cos(angle[region]) + dy * np.sin(angle[region])
    row = np.floor(across / strip[region]).astype(np.int64)
    shift = ((row * 7919 + region * 104729) % 97) / 97.0
    column = np.floor(along / block[region] + shift).astype(np.int64)
    return (region * 1009 + row * 31 + column * 17 + 100_000) % 4096, across.astype(np.float32)


def paint_ground(rng: np.random.Generator, biome: Biome, terrain: Terrain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour and class of the open ground.

    Returns colour float32 (CELLS, CELLS, 3), linear; label uint8 (CELLS, CELLS); and where the borders between fields
    are, bool (COARSE, COARSE).
    """
    parcel, across = _parcels(rng)
    kinds = [biome.grass, biome.pasture, biome.crop, biome.ripe, biome.soil]
    palette = np.stack([linear(c) for c in kinds])
    kind = rng.choice(5, size=4096, p=[0.30, 0.22, 0.22, 0.15, 0.11])
    tone = rng.uniform(0.82, 1.18, (4096, 1)) * rng.normal(1.0, 0.05, (4096, 3))
    parcel_colour = (palette[kind] * tone).astype(np.float32)

    hill = np.clip((terrain.hill - 1.5) / 6.0, 0, 1)[..., None]
    moist = 0.5 + 0.28 * spectral(rng, COARSE, 3, 40, 1.2)[..., None]
    meadow = palette[0] + (palette[1] - palette[0]) * np.clip(moist, 0, 1)
    stony = np.clip(0.5 + 0.4 * spectral(rng, COARSE, 6, 90, 1.0)[..., None], 0, 1)
    flank = meadow + (linear(biome.rock) - meadow) * (
        0.12 + 0.48 * stony * smoothstep(4.0, 0.7 * biome.relief, terrain.hill)[..., None]
    )
    wild = smoothstep(-0.1, 0.25, spectral(rng, COARSE, 2, 10, 1.0) - 0.6)[..., None]
    field = parcel_colour[parcel]
    coarse = field + (meadow - field) * np.maximum(wild, hill)
    coarse = coarse + (flank - coarse) * hill
    colour = enlarge(cv2.GaussianBlur(coarse.astype(np.float32), (0, 0), 0.6), CELLS, cv2.INTER_LINEAR)

    # Furrows: the coordinate is bent back and forth smoothly so that it survives enlarging.
    tilled = (
        np.array([0.10, 0.03, 0.30, 0.24, 0.34], np.float32)[kind][parcel] * (1.0 - hill[..., 0]) * (1 - wild[..., 0])
    )
    phase = enlarge(across, CELLS, cv2.INTER_LINEAR) * np.float32(2 * np.pi / 2.6)
    texture = np.sin(phase, out=phase)
    texture *= enlarge((0.4 * tilled).astype(np.float32), CELLS, cv2.INTER_NEAREST)
    texture += enlarge(1.0 + 0.1 * spectral(rng, COARSE, 8, 200, 0.9), CELLS, cv2.INTER_LINEAR)
    grain = spectral(rng, COARSE, 20, 256, 0.5)
    tuft = smoothstep(0.7, 1.8, spectral(rng, COARSE, 8, 100, 0.8))
    tiles = texture.reshape(CELLS // COARSE, COARSE, CELLS // COARSE, COARSE)
    tiles += (np.float32(0.09) * grain - np.float32(0.22) * tuft)[:, None]
    colour = colour * np.clip(texture, 0.35, 1.8, out=texture)[..., None]

    mound = enlarge(
        (terrain.hill + 0.9 * spectral(rng, COARSE, 10, 80, 1.0)).astype(np.float32), CELLS, cv2.INTER_LINEAR
    )
    label = np.where(mound > _HILL_FROM, HILL, LAND).astype(np.uint8)
    edge = (parcel != np.roll(parcel, 1, 0)) | (parcel != np.roll(parcel, 1, 1))
    borders = edge & (hill[..., 0] < 0.5) & (terrain.wet[::4, ::4] < -8)
    lane = np.clip(1.2 * enlarge(blur(borders.astype(np.float32), 0.7), CELLS, cv2.INTER_LINEAR) - 0.2, 0, 0.8)
    blend(colour, linear(biome.grass) * np.float32(0.7), lane * (1 - np.float32(0.7) * np.tile(tuft, (4, 4))))
    return colour, label, borders
