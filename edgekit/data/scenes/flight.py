"""Where the camera is and where it looks, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.data.scenes.config import CameraConfig
from edgekit.data.scenes.curves import arc_length, tangents
from edgekit.data.scenes.grid import WORLD, nearest, wrapped
from edgekit.data.scenes.noise import enlarge
from edgekit.data.scenes.world import Landscape


@dataclass(frozen=True)
class Pose:
    """A pinhole camera. ``position`` (3,) metres, z up; ``rotation`` (3, 3), columns: the camera's right, down and
    forward axes in world coordinates; ``focal`` in image widths."""

    position: np.ndarray
    rotation: np.ndarray
    focal: float


def pixel_rays(size: tuple[int, int], focal: float) -> np.ndarray:
    """Camera-frame directions (H, W, 3) of the pixel centres, with z = 1: a point is its depth times its ray."""
    height, width = size
    x = (np.arange(width) + 0.5 - width / 2) / (focal * width)
    y = (np.arange(height) + 0.5 - height / 2) / (focal * width)
    return np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)


def _look(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation of a camera looking along ``yaw`` (counted from x), ``pitch`` above the horizon, turned by ``roll``."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    forward = np.array([cy * cp, sy * cp, sp])
    right = np.array([sy, -cy, 0.0])
    down = np.cross(forward, right)
    return np.stack([cr * right + sr * down, cr * down - sr * right, forward], axis=1)


class Flight:
    """The path through a world: along its main road, past the villages, swaying, climbing, panning, tilting."""

    speed = 2.6  # metres from frame to frame

    def __init__(self, world: Landscape, rng: np.random.Generator, camera: CameraConfig):
        road = world.terrain.main
        lap = road[-1] - road[0]
        laps = np.concatenate([road[:-1] + lap * k for k in range(3)])
        kernel = np.hanning(2 * int(60 * len(road) / WORLD) + 1)
        padded = np.concatenate([laps[: len(kernel)], laps, laps[-len(kernel) :]])
        path = np.stack([np.convolve(padded[:, k], kernel / kernel.sum(), "same") for k in (0, 1)], axis=1)
        path = path[len(kernel) : -len(kernel)][len(road) - 1 : 2 * len(road) - 1]
        if rng.random() < 0.5:
            path, lap = path[::-1], -lap
        arc = arc_length(path)
        self._path, self._arc, self._lap = path, arc, lap
        heading = tangents(path)
        self._heading = np.unwrap(np.arctan2(heading[:, 1], heading[:, 0]))
        # The village with the most houses is worth the trip; a second one now and then.
        homes = np.array([yard[:2] for yard in world.settlement.yards]).reshape(-1, 1, 2)
        centres = np.array(world.settlement.centres)
        near = (np.linalg.norm(wrapped(homes - centres), axis=2) < 130).sum(axis=0)
        at = centres[np.argsort(near)[-1 if rng.random() < 0.7 else -2]]
        nearest_point = int(np.argmin(np.linalg.norm(wrapped(path - at), axis=1)))
        self._start = arc[nearest_point] - rng.uniform(40, 160)
        self._waves = rng.uniform(0, 2 * np.pi, 8)
        self._lengths = rng.uniform(0.75, 1.3, 8)
        self._altitude = rng.uniform(*camera.altitude)
        self._pitch = np.radians(rng.uniform(*camera.pitch))
        self._roll = np.radians(camera.roll)
        self._side = rng.choice([-1.0, 1.0]) * rng.uniform(0.0, 0.35)
        self._focal = 0.5 / np.tan(np.radians(rng.uniform(64, 76)) / 2)
        # The camera keeps clear of the ground some way around it, not only of the ground below.
        coarse = world.height.reshape(64, 32, 64, 32).max(axis=(1, 3))
        around = np.max([np.roll(coarse, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
        self._floor = enlarge(around.astype(np.float32), 512)

    def _wave(self, number: int, travelled: float, length: float) -> float:
        return float(np.sin(self._waves[number] + 2 * np.pi * travelled / (length * self._lengths[number])))

    def pose(self, index: int) -> Pose:
        """The camera at frame ``index``; defined for every index, the world being a torus."""
        travelled = index * self.speed
        laps, at = divmod(self._start + travelled, self._arc[-1])
        ground = [np.interp(at, self._arc, self._path[:, k]) + laps * self._lap[k] for k in (0, 1)]
        heading = float(np.interp(at, self._arc, self._heading))
        sway = 22.0 * self._wave(0, travelled, 210.0)
        x, y = ground[0] - np.sin(heading) * sway, ground[1] + np.cos(heading) * sway
        ahead = np.array([[x + r * np.cos(heading), y + r * np.sin(heading)] for r in np.arange(-60.0, 61.0, 10.0)])
        weight = np.hanning(len(ahead) + 2)[1:-1]
        floor = float((nearest(self._floor, ahead) * weight).sum() / weight.sum())
        z = 0.55 * floor + self._altitude + 15.0 * self._wave(1, travelled, 170.0)
        z = max(z, floor + 14.0)
        yaw = (
            heading
            + self._side
            + np.radians(30) * self._wave(2, travelled, 190.0)
            + np.radians(9) * self._wave(3, travelled, 60.0)
        )
        pitch = (
            self._pitch
            + np.radians(11) * self._wave(4, travelled, 120.0)
            + np.radians(4) * self._wave(5, travelled, 37.0)
        )
        roll = self._roll * self._wave(6, travelled, 50.0)
        return Pose(np.array([x, y, z]), _look(yaw, pitch, roll), float(self._focal))
