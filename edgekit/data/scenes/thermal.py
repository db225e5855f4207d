"""A simulated thermal camera beside the photograph: how warm things look, as 8-bit levels.

Simple physics, of day: the air warms with the height of the sun; surfaces take its light by their class, slope, shade
and reflectance; what stores heat lags behind the air, cold in the morning and warm in the afternoon; what does not
radiate fully shows some of the cold sky instead; the air between dims contrast. The camera has half the photograph's
resolution, is a little blurred, and noisy.
"""

from __future__ import annotations

import cv2
import numpy as np

from edgekit.data.scenes.grid import FOREST, HILL, LAND, LITTLE, RESIDENTIAL, ROAD, WATER
from edgekit.data.scenes.noise import smoothstep
from edgekit.data.scenes.shade import Hits, cloud_cover, lit_share
from edgekit.data.scenes.world import Landscape

RANGE = (250.0, 340.0)
"""Kelvin of the levels 0 and 255."""

_CLASSES = {  # emissivity, kelvin in full sun where nothing is reflected, kelvin of heat stored, own warmth
    LAND: (0.95, 16.0, 2.0, 0.0),
    FOREST: (0.98, 4.0, 0.5, -1.0),
    RESIDENTIAL: (0.91, 26.0, 4.0, 2.0),
    ROAD: (0.94, 24.0, 6.0, 0.0),
    LITTLE: (0.92, 22.0, 1.0, 6.0),  # engines and people
    WATER: (0.98, 1.0, 3.0, -5.0),
    HILL: (0.95, 13.0, 2.0, -1.0),
}
_EMISSIVITY, _SUNLIT, _STORED, _OWN = (
    np.array([_CLASSES.get(label, (1.0, 0, 0, 0))[i] for label in range(8)], np.float32) for i in range(4)
)
_COARSER = 2  # pixels of the photograph per pixel of the camera, each way
_NOISE, _COLUMNS = 0.12, 0.08  # kelvin: of each pixel, and of each column
_CLEAR = 2500.0  # metres after which a third of the contrast is left
_ZENITH = 245.0  # kelvin


def air_temperature(world: Landscape) -> float:
    """Kelvin: 280 with the sun at the horizon, 298 with it overhead."""
    return 280.0 + 18.0 * float(world.sun[2])


def surface_temperature(world: Landscape, hits: Hits, views: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """How warm surface points look (n,), kelvin, along unit ``views`` (n, 3) from ``distance`` metres (n,)."""
    air, label = air_temperature(world), hits.label
    facing = np.clip(hits.normal @ world.sun, 0.0, 1.0) * lit_share(world, hits)
    afternoon = -np.sign(world.sun[0]) * (1.0 - world.sun[2])  # the sun goes from +x, the east, to the west
    absorbed = 1.0 - hits.colour.mean(axis=1)
    kelvin = air + _SUNLIT[label] * absorbed * facing + _STORED[label] * afternoon + _OWN[label]
    grazing = (1.0 - np.clip(-(views * hits.normal).sum(axis=1), 0.0, 1.0)) ** 5
    emissivity = _EMISSIVITY[label] * (1.0 - np.where(label == WATER, 0.6, 0.15) * grazing)
    kelvin = emissivity * kelvin + (1.0 - emissivity) * _ZENITH
    clear = np.exp(-distance / _CLEAR)
    return (kelvin * clear + air * (1.0 - clear)).astype(np.float32)


def sky_temperature(world: Landscape, directions: np.ndarray) -> np.ndarray:
    """How warm the sky looks (n,), kelvin, in unit directions (n, 3): at the horizon as the air, clouds warmer."""
    rise = np.clip(directions[:, 2], 0.0, 1.0)
    bare = _ZENITH + (air_temperature(world) - 4.0 - _ZENITH) * np.exp(-5.0 * rise)
    return (bare + 14.0 * cloud_cover(world, directions)[:, 0] * smoothstep(0.0, 0.3, rise)).astype(np.float32)


def camera(kelvin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The camera's picture (H, W) uint8 of temperatures (H, W), brought to the photograph's size."""
    height, width = kelvin.shape
    small = cv2.resize(kelvin, (max(1, width // _COARSER), max(1, height // _COARSER)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (3, 3), 0.6)
    small += _NOISE * rng.standard_normal(small.shape, dtype=np.float32)
    small += _COLUMNS * rng.standard_normal((1, small.shape[1]), dtype=np.float32)
    levels = (small - RANGE[0]) * (255.0 / (RANGE[1] - RANGE[0]))
    levels = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    return cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR)
