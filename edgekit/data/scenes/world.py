"""A whole world: rasters of height, class and colour on a torus, its sun and its air."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgekit.data.scenes.biome import Biome, biome_for, linear
from edgekit.data.scenes.canvas import Canvas, blend
from edgekit.data.scenes.curves import draw_lines
from edgekit.data.scenes.fields import paint_ground
from edgekit.data.scenes.grid import CELL, CELLS, FOREST, LITTLE, RESIDENTIAL, ROAD, WATER
from edgekit.data.scenes.noise import blur, enlarge, smoothstep, spectral
from edgekit.data.scenes.objects import scatter_objects
from edgekit.data.scenes.settlement import Settlement, build_houses, paint_yards, plan_settlement, village_mask
from edgekit.data.scenes.terrain import Terrain, build_terrain
from edgekit.data.scenes.vegetation import forest_density, hedges, plant

MIPS = 6
CONFUSIONS = 8


@dataclass(frozen=True)
class Landscape:
    """All that is needed to render any view. Full rasters are (CELLS, CELLS); lengths in metres, light linear.

    height     float32, the visible surface; between cells it is bilinear
    ground     float32, the surface without houses, trees and objects
    shade      float32, height below which a point lies in cast shadow
    label      uint8, class index
    house      uint16, number of the house on or next to a cell
    houses     rows of x, y, angle, row of the wall colours
    surface    MIPS rasters (CELLS >> level, ..., 5): reflectance r, g, b and the slopes dz/dx, dz/dy
    grain      (512, 512, 2) repeating fine texture and ripples
    clouds     (512, 512) repeating, 0-1
    confusion  (256, 256, CONFUSIONS) unit fields over the world: where the simulated experts go wrong
    sun        unit vector towards the sun
    exposure   factor from linear light to the sensor's 0-1
    """

    biome: Biome
    terrain: Terrain
    settlement: Settlement
    height: np.ndarray
    ground: np.ndarray
    shade: np.ndarray
    label: np.ndarray
    house: np.ndarray
    houses: np.ndarray
    surface: tuple[np.ndarray, ...]
    grain: np.ndarray
    clouds: np.ndarray
    confusion: np.ndarray
    sun: np.ndarray
    sunlight: np.ndarray
    skylight: np.ndarray
    haze: np.ndarray
    exposure: float


def _cast_shadow(height: np.ndarray, sun: np.ndarray) -> np.ndarray:
    """Height below which a point is in shadow: max over t > 0 of height(p + t * sun) - t * slope, by doubling."""
    flat = np.hypot(sun[0], sun[1])
    drop = CELL * sun[2] / flat
    step = sun[:2] / flat

    def towards_sun(field: np.ndarray, cells: int) -> np.ndarray:
        shift = np.round(step * cells).astype(int)
        return np.roll(field, (-shift[1], -shift[0]), axis=(0, 1)) - np.float32(cells * drop)

    shade = np.maximum(towards_sun(height, 1), towards_sun(height, 2))
    for cells in (2, 4, 8, 16, 32, 64, 128):
        shade = np.maximum(shade, towards_sun(shade, cells))
    return cv2.blur(shade, (2, 2), anchor=(0, 0))


def _slopes(field: np.ndarray, out: np.ndarray, where: np.ndarray) -> None:
    """Write central differences of a periodic height map to ``out`` (CELLS, CELLS, 2) at some cells."""
    wide = cv2.copyMakeBorder(field, 1, 1, 1, 1, cv2.BORDER_WRAP)
    for axis, (ahead, behind) in enumerate(((wide[1:-1, 2:], wide[1:-1, :-2]), (wide[2:, 1:-1], wide[:-2, 1:-1]))):
        slope = ahead - behind
        slope *= np.float32(0.5 / CELL)
        np.copyto(out[..., axis], np.clip(slope, -6.0, 6.0, out=slope), where=where)


def _paint_roads(
    rng: np.random.Generator, canvas: Canvas, biome: Biome, terrain: Terrain, plan: Settlement
) -> np.ndarray:
    """Roads, streets and tracks; returns the mask (CELLS, CELLS) of all of them."""
    worn = np.tile(spectral(rng, CELLS // 4, 10, 200, 0.9), (4, 4))
    wobble = 0.25 * np.clip(worn, -2, 2)
    on_road = np.zeros((CELLS, CELLS), bool)
    asphalt, dirt = linear(biome.asphalt), linear(biome.dirt)
    verge = blur(draw_lines(CELLS, [terrain.main, *terrain.roads], 9.0), 2.0) * np.float32(0.5 / 255.0)
    blend(canvas.colour, dirt * np.float32(0.9), verge * (terrain.wet < 0))
    layers = (
        (terrain.tracks, 3.4, dirt, 0.14, 1),
        (plan.lanes, 2.6, 0.5 * (asphalt + dirt), 0.08, 0),
        (plan.streets, 4.6, asphalt * 1.12, 0.06, 0),
        ([terrain.main, *terrain.roads], 6.8, asphalt, 0.05, 0),
    )
    for curves, width, colour, roughness, ragged in layers:
        cover = draw_lines(CELLS, curves, width) * np.float32(1 / 255.0)
        if ragged:
            cover = np.clip(blur(cover, 1.5) + wobble * (cover > 0), 0, 1) * (terrain.wet < 0)
        at = np.flatnonzero(cover)
        flat = canvas.colour.reshape(-1, 3)
        flat[at] += (colour * (1.0 + roughness * worn.ravel()[at, None]) - flat[at]) * cover.ravel()[at, None]
        on_road |= cover > 0.5
    line = draw_lines(CELLS, [terrain.main, *terrain.roads], 0.45, dash=4.0) * np.float32(0.7 / 255.0)
    blend(canvas.colour, linear((214, 212, 204)), line)
    bridge = on_road & (terrain.wet > -1.0)
    deck = np.maximum(canvas.ground, 2.3)
    canvas.ground[bridge] = deck[bridge]
    canvas.height[bridge] = deck[bridge]
    canvas.label[on_road] = ROAD
    return on_road


def build_world(seed: int, split: int, scene: int) -> Landscape:
    """World number ``scene`` of split number ``split``: the same for the same three numbers."""

    def rng(part: int) -> np.random.Generator:
        return np.random.default_rng([seed, split, scene, part])

    biome = biome_for(rng(0), scene + 2 * split)
    terrain = build_terrain(rng(1), biome)
    plan = plan_settlement(rng(2), terrain)
    canvas = Canvas.on(terrain.ground)
    canvas.colour, canvas.label, borders = paint_ground(rng(3), biome, terrain)

    water = terrain.wet > 0
    shore = smoothstep(-3.5, -0.5, terrain.wet) * np.float32(0.75)
    blend(canvas.colour, linear(biome.dirt) * np.float32(0.85), np.where(water, np.float32(0), shore))
    deep = smoothstep(0.0, 9.0, terrain.wet[water])[:, None]
    canvas.colour[water] = linear(biome.shallow) + (linear(biome.water) - linear(biome.shallow)) * deep
    canvas.label[water] = WATER
    yards = paint_yards(rng(4), plan, canvas, linear(biome.grass) * 1.05, linear(biome.dirt) * 0.9)
    on_road = _paint_roads(rng(5), canvas, biome, terrain, plan)

    village = village_mask(plan)
    reserved = blur(on_road.astype(np.float32), 4)[::4, ::4] > 0.05
    density = forest_density(rng(6), biome, terrain, village | (terrain.wet[::4, ::4] > -1.5))
    density = hedges(rng(7), borders, density) * ~(village | reserved)
    houses = build_houses(plan, canvas)
    blocked = on_road | water | (blur((canvas.label == RESIDENTIAL).astype(np.float32), 3) > 0.02)
    plant(rng(8), biome, canvas, density, village, blocked)
    canvas.label[yards & (canvas.label == 7)] = 0
    scatter_objects(rng(9), canvas, terrain, plan)

    h = canvas.height
    # Light from the sky hardly reaches between crowns and along walls.
    around = enlarge(
        blur(cv2.resize(h, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), 1.6), CELLS, cv2.INTER_LINEAR
    )
    openness = 1.0 - 0.11 * np.clip(around - h, 0.0, 5.0)
    level = np.zeros((CELLS, CELLS, 5), np.float32)
    np.multiply(canvas.colour, openness[..., None], out=level[..., :3])
    np.clip(level[..., :3], 0.002, 0.95, out=level[..., :3])
    solid = (canvas.label == RESIDENTIAL) | (canvas.label == LITTLE)
    _slopes(blur(canvas.ground, 0.8 / CELL), level[..., 3:], canvas.label != WATER)
    _slopes(blur(h, 1.1 / CELL), level[..., 3:], canvas.label == FOREST)
    _slopes(h, level[..., 3:], solid)
    surface = [level]
    for _ in range(MIPS - 1):
        level = cv2.resize(level, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        surface.append(level)

    air = rng(10)
    elevation, azimuth = np.radians(air.uniform(24, 58)), air.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    warmth = np.clip((45 - np.degrees(elevation)) / 35, 0, 1)
    overcast = air.uniform(0, 1) ** 2 * 0.75
    sunlight = np.array([1.0, 0.97 - 0.10 * warmth, 0.92 - 0.25 * warmth]) * (1.35 - 1.0 * overcast)
    skylight = (0.32 + 0.35 * overcast) * np.array([0.86, 0.95, 1.10])
    haze = linear(biome.haze) * air.uniform(0.8, 1.05)
    grain = np.stack([spectral(air, 512, 20, 256, 0.6), spectral(air, 512, 12, 120, 0.8)], axis=-1)
    clouds = smoothstep(0.1 - overcast, 1.9 - overcast, spectral(air, 512, 3, 120, 1.35)).astype(np.float32)
    confusion = np.stack([spectral(air, 256, 6, 40, 0.9) for _ in range(CONFUSIONS)], axis=-1)
    typical = float(surface[-1][..., :3].mean()) * float((sunlight * sun[2]).mean() + skylight.mean())
    return Landscape(
        biome=biome, terrain=terrain, settlement=plan, height=h, ground=canvas.ground, shade=_cast_shadow(h, sun),
        label=canvas.label, house=canvas.house, houses=houses, surface=tuple(surface), grain=grain, clouds=clouds,
        confusion=confusion, sun=sun.astype(np.float32), sunlight=sunlight.astype(np.float32),
        skylight=skylight.astype(np.float32), haze=haze.astype(np.float32),
        exposure=float(air.uniform(0.16, 0.20)) / typical,
    )  # fmt: skip
