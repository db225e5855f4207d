from __future__ import annotations

from itertools import pairwise

import numpy as np

from edgekit.data.scenes.flight import pixel_rays
from edgekit.data.scenes.grid import nearest


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


def test_middle_pixels_look_along_the_axis():
    rays = pixel_rays((4, 6), 0.5)
    np.testing.assert_allclose(rays[1:3, 2:4].mean(axis=(0, 1)), [0, 0, 1], atol=1e-12)
    # Half the width over the focal length is the tangent of half the field of view.
    assert np.isclose(rays[0, -1, 0] + 0.5 / (0.5 * 6), 0.5 / 0.5)
