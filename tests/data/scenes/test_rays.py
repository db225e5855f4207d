from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from edgekit.data.scenes.flight import Pose, _look, pixel_rays
from edgekit.data.scenes.grid import CELL, CELLS
from edgekit.data.scenes.rays import intersect


def surface(height: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear height under points (..., 3), by scipy in double precision."""
    at = np.stack([points[..., 1], points[..., 0]]) / CELL
    return map_coordinates(height.astype(np.float64), at, order=1, mode="grid-wrap")


@settings(max_examples=8, deadline=None)
@given(
    st.floats(-1.1, -0.3), st.floats(-3, 3), st.floats(-0.2, 0.2), st.floats(20, 90),
    st.floats(-5000, 5000), st.floats(-5000, 5000),
)  # fmt: skip
def test_flat_ground_has_the_depth_of_a_plane(pitch, yaw, roll, z, x, y):
    height = np.full((CELLS, CELLS), 2.0, np.float32)
    pose = Pose(np.array([x, y, z]), _look(yaw, pitch, roll), 0.7)
    directions = pixel_rays((24, 40), pose.focal).reshape(-1, 3) @ pose.rotation.T
    depth = intersect(height, pose, directions, 1 / (0.7 * 40))
    with np.errstate(divide="ignore"):
        plane = (2.0 - z) / directions[:, 2]
    reach = plane * np.hypot(directions[:, 0], directions[:, 1])
    seen = (plane > 0) & (reach < 670) & (reach > 4)
    assert np.isnan(depth[(plane < 0) | (reach > 690)]).all()
    np.testing.assert_allclose(depth[seen], plane[seen], rtol=2e-4)


def test_rotation_is_a_right_handed_camera_that_looks_where_it_is_told():
    rotation = _look(0.7, -0.4, 0.1)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(rotation), 1.0)
    np.testing.assert_allclose(
        rotation[:, 2], [np.cos(0.7) * np.cos(0.4), np.sin(0.7) * np.cos(0.4), -np.sin(0.4)], atol=1e-12
    )
    assert _look(0.7, -0.4, 0.0)[2, 1] < 0  # the camera's down is down


def test_depth_lies_on_the_surface_of_the_world(scene, pair, unproject):
    depth = pair.now["depth"].astype(np.float64)
    pose = pair.poses[0]
    before, after = unproject(depth - 0.02 - 1e-4 * depth, pose), unproject(depth + 0.02 + 1e-4 * depth, pose)
    hit = np.isfinite(depth)
    over = before[hit][:, 2] - surface(scene.world.height, before[hit])
    under = after[hit][:, 2] - surface(scene.world.height, after[hit])
    # A ray must go from above to below within two centimetres (0.01% far away) of the depth.
    assert np.mean((over > -0.005) & (under < 0.005)) > 0.999


def test_nothing_stands_between_camera_and_surface(scene, pair, unproject):
    """Brute force: march the exact surface; only silhouettes, narrower than a pixel, may differ."""
    depth, pose = pair.now["depth"].astype(np.float64), pair.poses[0]
    sky = np.isnan(depth)
    rows, columns = np.mgrid[3:80:8, 2:144:6]
    chosen = np.where(sky, 600.0, depth)
    ends = (unproject(chosen, pose) - pose.position)[rows, columns]
    blocked = np.zeros(rows.shape, bool)
    for share in np.linspace(0.05, 0.985, 250):
        points = pose.position + share * ends
        blocked |= points[..., 2] < surface(scene.world.height, points) - 0.05
    assert blocked.mean() < 0.03


def test_cast_shadow_agrees_with_a_march_towards_the_sun(scene):
    world = scene.world
    rng = np.random.default_rng(0)
    cells = rng.integers(0, CELLS, (400, 2))
    start = np.stack([cells[:, 1] * CELL, cells[:, 0] * CELL, world.height[cells[:, 0], cells[:, 1]]], axis=1)
    depth_in_shadow = np.full(400, -np.inf)
    for t in np.arange(0.5, 60.0, 0.3):
        point = start + t / np.hypot(*world.sun[:2]) * world.sun
        depth_in_shadow = np.maximum(depth_in_shadow, surface(world.height, point) - point[:, 2])
    told = world.shade[cells[:, 0], cells[:, 1]] - start[:, 2]
    clear = np.abs(depth_in_shadow) > 1.0  # away from the shadow's edge
    assert clear.sum() > 100
    assert np.mean((told > 0)[clear] == (depth_in_shadow > 0)[clear]) > 0.95
