from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from edgekit.data.scenes.config import CameraConfig, ScenesConfig
from edgekit.data.scenes.flight import Flight, pixel_rays
from edgekit.data.scenes.frame import render
from edgekit.data.scenes.grid import CELL, nearest


def test_flight_is_smooth_and_clear_of_everything(scene):
    poses = [scene.flight.pose(k) for k in range(0, 700)]  # more than twice round the world
    steps = np.linalg.norm(np.diff([p.position for p in poses], axis=0), axis=1)
    assert steps.min() > 0.5 and steps.max() < 8.0
    for a, b in pairwise(poses):
        turned = np.degrees(np.arccos(np.clip((np.trace(a.rotation.T @ b.rotation) - 1) / 2, -1, 1)))
        assert turned < 7.0
    over = [p.position[2] - nearest(scene.world.height, p.position[:2]) for p in poses]
    assert min(over) > 8.0


def test_flight_varies(scene):
    poses = [scene.flight.pose(k) for k in range(40)]
    height = np.array([p.position[2] for p in poses])
    pitch = np.degrees(np.arcsin([p.rotation[2, 2] for p in poses]))
    yaw = np.degrees(np.unwrap(np.arctan2([p.rotation[1, 2] for p in poses], [p.rotation[0, 2] for p in poses])))
    assert np.ptp(height) > 4 and np.ptp(pitch) > 6 and np.ptp(yaw) > 10
    assert pitch.min() > -60 and pitch.max() < 0


@pytest.mark.parametrize(
    "camera",
    [CameraConfig(), CameraConfig(altitude=(150, 160), pitch=(-60, -50), roll=40), CameraConfig(pitch=(-5, 0))],
)
def test_heights_and_attitudes_are_those_of_the_recipe(scene, camera):
    for seed in range(4):
        flight = Flight(scene.world, np.random.default_rng(seed), camera)
        rotations = np.array([flight.pose(k).rotation for k in range(0, 200, 2)])
        pitch = np.degrees(np.arcsin(rotations[:, 2, 2]))
        assert camera.pitch[0] - 15 <= pitch.min() and pitch.max() <= camera.pitch[1] + 15 and np.ptp(pitch) > 6
        level = np.cross(rotations[:, :, 2], [0, 0, 1])  # what would be right if the camera did not roll
        level /= np.linalg.norm(level, axis=1)[:, None]
        roll = np.degrees(np.arcsin(np.einsum("ni,ni->n", np.cross(rotations[:, :, 2], level), rotations[:, :, 0])))
        assert 0.9 * camera.roll < np.abs(roll).max() <= camera.roll + 1e-6
        positions = [flight.pose(k).position for k in range(200)]
        ground = np.array([nearest(scene.world.height, p[:2]) for p in positions])
        height = np.array([p[2] for p in positions])
        assert (height > ground + 8.0).all()
        # It follows half of what the ground does, and climbs and sinks by 15 m.
        assert height.mean() - 0.55 * ground.mean() == pytest.approx(sum(camera.altitude) / 2, abs=25)


def test_a_steep_and_rolling_camera_sees_depth_on_the_surface(scene, unproject):
    camera = CameraConfig(pitch=(-60, -60), roll=40)
    config = ScenesConfig(seed=3, size=(80, 144), camera=camera)
    flight = Flight(scene.world, np.random.default_rng(0), camera)
    rolls = [abs(flight.pose(k).rotation[2, 0]) for k in range(60)]
    pose = flight.pose(int(np.argmax(rolls)))
    maps = render(scene.world, pose, None, config.size, np.random.default_rng(0))
    depth = maps["depth"].astype(np.float64)
    hit = np.isfinite(depth)
    assert hit.mean() > 0.95
    points = unproject(depth, pose)[hit]
    at = np.stack([points[:, 1], points[:, 0]]) / CELL
    over = points[:, 2] - map_coordinates(scene.world.height.astype(np.float64), at, order=1, mode="grid-wrap")
    assert np.mean(np.abs(over) < 0.1) > 0.98  # walls are steep: a centimetre of depth is more of height


def test_middle_pixels_look_along_the_axis():
    rays = pixel_rays((4, 6), 0.5)
    np.testing.assert_allclose(rays[1:3, 2:4].mean(axis=(0, 1)), [0, 0, 1], atol=1e-12)
    # Half the width over the focal length is the tangent of half the field of view.
    assert np.isclose(rays[0, -1, 0] + 0.5 / (0.5 * 6), 0.5 / 0.5)
