"""Light: from what a ray meets to the radiance it brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.data.scenes.biome import WALLS, linear
from edgekit.data.scenes.grid import CELL, CELLS, FOREST, LITTLE, RESIDENTIAL, WATER, WORLD, bilinear, corners, wrapped
from edgekit.data.scenes.noise import smoothstep
from edgekit.data.scenes.world import MIPS, Landscape

_MASK = CELLS - 1
_WALLS = linear(WALLS)


@dataclass(frozen=True)
class Hits:
    """What n rays met: points (n, 3) in metres, class (n,), upward normal (n, 3), reflectance (n, 3), footprint of a
    pixel (n,) in metres."""

    points: np.ndarray
    label: np.ndarray
    normal: np.ndarray
    colour: np.ndarray
    footprint: np.ndarray


def _mip(world: Landscape, level: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Surface raster of a level at map points (n,) in metres, bilinear."""
    cell = WORLD / len(world.surface[level])
    # A coarse cell's centre lies between the centres of the cells it was averaged from.
    offset = 0.5 * (CELL / cell - 1.0)
    return bilinear(world.surface[level], x / cell + offset, y / cell + offset)


def _surface(world: Landscape, x: np.ndarray, y: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Reflectance and slopes (n, 5), blended between the two levels whose cells are next to the pixel's footprint."""
    level = np.clip(np.log2(footprint * (1.25 / CELL)), 0.0, MIPS - 1.001)
    base = level.astype(np.int64)
    out = np.empty((len(x), world.surface[0].shape[-1]), np.float32)
    for k in range(MIPS - 1):
        at = np.flatnonzero(base == k)
        if len(at):
            fine, coarse = _mip(world, k, x[at], y[at]), _mip(world, k + 1, x[at], y[at])
            out[at] = fine + (coarse - fine) * (level[at] - k)[:, None]
    return out


def _facet(world: Landscape, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class and exact slopes (n, 2) at map points in metres.

    The class is that of the four cells around with the largest bilinear weight, which makes borders straight lines
    instead of stairs.
    """
    cells, u, v = corners(x / CELL, y / CELL)
    labels = [world.label.ravel().take(cell) for cell in cells]
    weights = [(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v]
    best, label = np.zeros(len(x), np.float32), labels[0]
    for one in labels:
        vote = sum(w * (other == one) for w, other in zip(weights, labels, strict=True))
        label = np.where(vote > best, one, label)
        best = np.maximum(best, vote)
    a, b, c, d = (world.height.ravel().take(cell) for cell in cells)
    slope_x = ((b - a) * (1 - v) + (d - c) * v) / CELL
    slope_y = ((c - a) * (1 - u) + (d - b) * u) / CELL
    return label, np.stack([slope_x, slope_y], axis=-1)


def surface_at(world: Landscape, points: np.ndarray, footprint: np.ndarray) -> Hits:
    """Class, normal and reflectance at surface points (n, 3); ``footprint`` (n,) is a pixel's width there, metres."""
    x, y = (points[:, 0] % WORLD).astype(np.float32), (points[:, 1] % WORLD).astype(np.float32)
    surface = _surface(world, x, y, footprint)
    label, exact = _facet(world, x, y)
    slopes, colour = surface[:, 3:], surface[:, :3]
    solid = (label == RESIDENTIAL) | (label == LITTLE)
    near = solid & (footprint < 2.0 * CELL)
    slopes = np.where(near[:, None], exact, slopes)
    slopes[label == WATER] = 0.0
    steep = np.hypot(exact[:, 0], exact[:, 1])
    walls = np.flatnonzero((label == RESIDENTIAL) & (steep > 1.7) & (footprint < 4.0 * CELL))
    colour[walls] = _walls(world, points[walls], exact[walls], footprint[walls])

    grain_at = np.floor(np.stack([y, x]) / 0.11).astype(np.int64) & 511
    grain = world.grain[grain_at[0], grain_at[1], 0]
    strength = np.array([0.15, 0.22, 0.05, 0.05, 0.0, 0.0, 0.0, 0.19], np.float32)[label]
    colour = colour * (1.0 + grain * strength * np.clip(1.6 - footprint / 0.3, 0.0, 1.0))[:, None]

    normal = np.concatenate([-slopes, np.ones((len(x), 1), np.float32)], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return Hits(points, label, normal, np.clip(colour, 0.0, 1.0), footprint)


def _walls(world: Landscape, points: np.ndarray, slopes: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Reflectance (n, 3) of house walls at points (n, 3) with exact slopes (n, 2): plaster or brick, and windows."""
    cells = np.round(points[:, 1::-1] / CELL).astype(np.int64) & _MASK
    house_x, house_y, angle, row = world.houses[world.house[cells[:, 0], cells[:, 1]]].T
    dx, dy = (wrapped(points[:, k] - at) for k, at in enumerate((house_x, house_y)))
    cos, sin = np.cos(angle), np.sin(angle)
    gable = np.abs(slopes[:, 0] * cos + slopes[:, 1] * sin) > np.abs(slopes[:, 1] * cos - slopes[:, 0] * sin)
    along = np.where(gable, dy * cos - dx * sin, dx * cos + dy * sin)
    above = (points[:, 2] - world.ground[cells[:, 0], cells[:, 1]]) % 2.9
    window = ((along / 2.7) % 1.0 < 0.42) & (above > 1.0) & (above < 2.2) & (footprint < 0.7)
    return np.where(window[:, None], np.float32(0.05), _WALLS[row.astype(np.int64)])


def sky_light(world: Landscape, directions: np.ndarray) -> np.ndarray:
    """Radiance (n, 3) of the sky in unit directions (n, 3)."""
    rise = np.clip(directions[:, 2:], 0.0, 1.0)
    blue = world.haze + (linear(world.biome.zenith) - world.haze) * (1.0 - np.exp(-4.5 * rise))
    cloud = cloud_cover(world, directions) * smoothstep(0.0, 0.12, rise)
    towards = np.clip(directions @ world.sun, 0.0, 1.0)[:, None]
    bright = np.float32(0.95) * (0.8 + 0.2 * towards) * world.haze.max()
    glow = 0.25 * towards**6 * world.sunlight
    return blue + (bright - blue) * 0.85 * cloud + glow * world.haze


def cloud_cover(world: Landscape, directions: np.ndarray) -> np.ndarray:
    """How much cloud (n, 1) there is in unit directions (n, 3), 0-1."""
    rise = np.clip(directions[:, 2:], 0.0, 1.0)
    plane = directions[:, :2] / np.maximum(rise + 0.06, 0.06)
    at = np.floor(plane * 42.0 + 256.0).astype(np.int64) & 511
    return world.clouds[at[:, 1], at[:, 0]][:, None]


def lit_share(world: Landscape, hits: Hits) -> np.ndarray:
    """How much of the sun (n,) reaches surface points past what casts shadows, 0-1."""
    x, y = (hits.points[:, 0] / CELL % CELLS).astype(np.float32), (hits.points[:, 1] / CELL % CELLS).astype(np.float32)
    cover = bilinear(world.shade, x, y) - hits.points[:, 2].astype(np.float32)
    return 1.0 - smoothstep(0.05, 0.7, cover)


def radiance(world: Landscape, hits: Hits, views: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Linear radiance (n, 3) that reaches the camera along unit ``views`` (n, 3) from ``distance`` metres (n,)."""
    lit = lit_share(world, hits)
    facing = np.clip(hits.normal @ world.sun, 0.0, 1.0)
    # Leaves pass light on: crowns have no hard dark side.
    facing = np.where(hits.label == FOREST, 0.25 + 0.75 * facing, facing) * lit
    dome = 0.55 + 0.45 * hits.normal[:, 2]
    light = facing[:, None] * world.sunlight + dome[:, None] * world.skylight
    out = hits.colour * light

    wet = np.flatnonzero(hits.label == WATER)
    if len(wet):
        out[wet] = _water(world, hits, views, lit, out, wet)
    clear = np.exp(-((distance / (world.biome.visibility)) ** 1.25))[:, None]
    towards = np.clip(views @ world.sun, 0.0, 1.0)[:, None]
    air = world.haze * (0.9 + 0.25 * towards**4)
    return out * clear + air * (1.0 - clear)


def _water(
    world: Landscape, hits: Hits, views: np.ndarray, lit: np.ndarray, body: np.ndarray, wet: np.ndarray
) -> np.ndarray:
    """Water: its own colour below a reflection of the sky that grows towards grazing angles, and sun glitter."""
    points, view = hits.points[wet], views[wet]
    calm = np.clip(1.4 - hits.footprint[wet] / 0.7, 0.15, 1.0)
    at = np.floor(points[:, 1::-1] / 0.23).astype(np.int64) & 511
    at_other = np.floor(points[:, 1::-1] / 0.37 + 131).astype(np.int64) & 511
    tilt = np.stack([world.grain[at[:, 0], at[:, 1], 1], world.grain[at_other[:, 1], at_other[:, 0], 1]], axis=1)
    normal = np.concatenate([0.035 * calm[:, None] * tilt, np.ones((len(wet), 1))], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    facing = -(view * normal).sum(axis=1, keepdims=True)
    mirror = view + 2.0 * facing * normal
    mirror[:, 2] = np.abs(mirror[:, 2])
    fresnel = 0.03 + 0.97 * (1.0 - np.clip(facing, 0.0, 1.0)) ** 5
    glitter = np.clip(mirror @ world.sun, 0.0, 1.0)[:, None] ** 350 * 1.2 * lit[wet, None]
    return (
        body[wet] * 0.9
        + sky_light(world, mirror) * fresnel * (0.35 + 0.65 * lit[wet, None])
        + glitter * world.sunlight * 0.5
    )
