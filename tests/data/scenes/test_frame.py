from __future__ import annotations

import cv2
import numpy as np

from edgekit.data.scenes.frame import FAR_DEPTH, NEAR_DEPTH
from edgekit.data.scenes.grid import LAND, LITTLE, RESIDENTIAL, ROAD, SKY, WATER

SIZE = (80, 144)  # of the shared frames
INDEX = 5  # of the first of them


def test_maps_have_their_native_form(pair):
    forms = {name: (array.shape, array.dtype.name) for name, array in pair.now.items()}
    assert forms == {
        "rgb": ((*SIZE, 3), "uint8"),
        "semantic": (SIZE, "uint8"),
        "depth": (SIZE, "float32"),
        "normals": ((*SIZE, 3), "float32"),
        "flow": ((*SIZE, 2), "float32"),
        "simulated_segmentation_a": (SIZE, "uint8"),
        "simulated_segmentation_b": (SIZE, "uint8"),
        "simulated_depth": (SIZE, "float32"),
        "simulated_normals": ((*SIZE, 3), "float32"),
        "thermal": (SIZE, "uint8"),
    }


def test_sky_and_only_sky_has_neither_depth_nor_normal(scene):
    seen = np.zeros(8, np.int64)
    for index in (0, 13, 26, 39):
        maps = scene.frame(index)
        sky = maps["semantic"] == SKY
        np.testing.assert_array_equal(np.isnan(maps["depth"]), sky)
        np.testing.assert_array_equal(np.isnan(maps["normals"]).any(axis=-1), sky)
        depth = maps["depth"][~sky]
        assert depth.min() > NEAR_DEPTH and depth.max() < FAR_DEPTH
        seen += np.bincount(maps["semantic"].ravel(), minlength=8)
    assert len(seen) == 8 and (seen > 0).sum() >= 7
    assert (seen / seen.sum())[[0, 1]].max() < 0.75  # no class swallows a scene


def test_normals_are_unit_and_turned_to_the_camera(pair, unproject):
    depth, normals = pair.now["depth"], pair.now["normals"]
    hit = np.isfinite(depth)
    np.testing.assert_allclose(np.linalg.norm(normals[hit], axis=-1), 1.0, atol=1e-5)
    view = unproject(depth, pair.poses[0])[hit] - pair.poses[0].position
    facing = (view * (normals[hit] @ pair.poses[0].rotation.T)).sum(axis=-1)
    # Smoothed crowns may turn away a little at their rim.
    assert np.mean(facing < 0) > 0.97


def test_normals_agree_with_the_depth_on_smooth_ground(pair, unproject):
    depth, normals, pose = pair.now["depth"].astype(np.float64), pair.now["normals"], pair.poses[0]
    points = unproject(depth, pose)
    across, along = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    by_hand = np.cross(along, across)
    by_hand /= np.linalg.norm(by_hand, axis=-1, keepdims=True)
    by_hand *= np.where(by_hand[..., 2:] < 0, -1.0, 1.0)  # up
    smooth = np.isin(pair.now["semantic"], (LAND, ROAD, WATER)).astype(np.uint8)
    inner = cv2.erode(smooth, np.ones((3, 3), np.uint8))[1:-1, 1:-1].astype(bool) & (depth[1:-1, 1:-1] < 250)
    assert inner.sum() > 300
    world = normals[1:-1, 1:-1] @ pose.rotation.T
    angle = np.degrees(np.arccos(np.clip((world * by_hand).sum(axis=-1), -1, 1)))[inner]
    assert np.median(angle) < 2.5 and np.quantile(angle, 0.9) < 10


def test_water_is_level(scene, unproject):
    levels = []
    for index in range(0, 40, 6):
        maps, pose = scene.frame(index), scene.flight.pose(index)
        water = maps["semantic"] == WATER
        inner = cv2.erode(water.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        levels.append(unproject(maps["depth"].astype(np.float64), pose)[inner])
        np.testing.assert_allclose(
            maps["normals"][water] @ pose.rotation.T, np.broadcast_to([0, 0, 1.0], (water.sum(), 3)), atol=1e-5
        )
    heights = np.concatenate(levels)[:, 2]
    # Where the bank begins, half a cell of it counts as water.
    assert len(heights) > 20 and np.mean(np.abs(heights) < 0.02) > 0.97 and np.abs(heights).max() < 1.0


def test_houses_and_objects_stand_above_the_ground(scene):
    world = scene.world
    tall = world.height - world.ground
    assert np.median(tall[world.label == RESIDENTIAL]) > 3.0
    assert np.median(tall[world.label == LITTLE]) > 0.5
    assert tall[world.label == ROAD].max() < 0.01
    assert tall.min() >= 0.0


def test_flow_is_where_the_point_is_seen_next(pair, unproject):
    """Project the unprojected points into the next camera by hand, and check the depth found there."""
    depth = pair.now["depth"].astype(np.float64)
    now, later = pair.poses
    points = unproject(depth, now)
    camera = (points - later.position) @ later.rotation
    width = SIZE[1]
    u = camera[..., 0] / camera[..., 2] * later.focal * width + width / 2 - 0.5
    v = camera[..., 1] / camera[..., 2] * later.focal * width + SIZE[0] / 2 - 0.5
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    hit = np.isfinite(depth)
    flow = pair.now["flow"]
    np.testing.assert_allclose((flow[..., 0] + x)[hit], u[hit], atol=2e-3)
    np.testing.assert_allclose((flow[..., 1] + y)[hit], v[hit], atol=2e-3)

    inside = hit & (u > 0) & (u < width - 1) & (v > 0) & (v < SIZE[0] - 1)
    there = pair.later["depth"][np.round(v[inside]).astype(int), np.round(u[inside]).astype(int)]
    same = np.abs(there / camera[..., 2][inside] - 1) < 0.03
    assert inside.sum() > 2000 and same.mean() > 0.75  # the rest is newly hidden or on a border


def test_next_frame_warped_back_matches_this_one(pair):
    flow = pair.now["flow"]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    at = x + flow[..., 0], y + flow[..., 1]
    back = cv2.remap(pair.later["rgb"], *at, cv2.INTER_LINEAR).astype(float)
    inside = (at[0] > 0) & (at[0] < SIZE[1] - 1) & (at[1] > 0) & (at[1] < SIZE[0] - 1)
    moved = np.abs(flow[inside]).mean()
    warped = np.abs(back - pair.now["rgb"])[inside].mean()
    unmoved = np.abs(pair.later["rgb"].astype(float) - pair.now["rgb"])[inside].mean()
    assert moved > 0.5
    assert warped < 14 and warped < 0.65 * unmoved


def test_sky_moves_as_infinitely_far(scene, unproject):
    for index in range(40):
        maps = scene.frame(index)
        sky = maps["semantic"] == SKY
        if sky.sum() > 100:
            break
    else:
        raise AssertionError("no frame of the scene shows the sky")
    now, later = scene.flight.pose(index), scene.flight.pose(index + 1)
    far = np.full(SIZE, 1e9)
    camera = (unproject(far, now) - later.position) @ later.rotation
    u = camera[..., 0] / camera[..., 2] * later.focal * SIZE[1] + SIZE[1] / 2 - 0.5
    np.testing.assert_allclose((maps["flow"][..., 0] + np.arange(SIZE[1]))[sky], u[sky], atol=1e-3)


def test_picture_is_a_picture(pair):
    rgb = pair.now["rgb"].astype(float)
    assert 60 < rgb.mean() < 190 and rgb.std() > 20
    assert np.mean(rgb.max(axis=-1) >= 255) < 0.05
    # Neighbours resemble each other: texture, not noise.
    assert np.corrcoef(rgb[:, 1:].ravel(), rgb[:, :-1].ravel())[0, 1] > 0.75


def test_same_frame_twice_is_the_same_and_neighbours_differ(scene, pair):
    again = scene.frame(INDEX)
    for name, array in pair.now.items():
        np.testing.assert_array_equal(array, again[name])
    assert (pair.now["rgb"] != pair.later["rgb"]).mean() > 0.5
