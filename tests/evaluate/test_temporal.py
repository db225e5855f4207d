"""Temporal consistency on motions with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from edgekit.evaluate.temporal import Consistency, dis_flow, warp_back

RNG = np.random.default_rng(0)
WORLD = RNG.integers(0, 5, (60, 80), dtype=np.uint8)


def view(dx, dy, height=20, width=30):
    """The world seen by a camera that has moved by (dx, dy)."""
    return WORLD[20 + dy : 20 + dy + height, 25 + dx : 25 + dx + width]


def constant_flow(dx, dy, height=20, width=30):
    return np.broadcast_to(np.float32([dx, dy]), (height, width, 2))


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_warping_undoes_a_camera_motion(dx, dy):
    warped = warp_back(view(dx, dy), constant_flow(-dx, -dy))
    valid = warped != 255
    assert valid.sum() == (20 - abs(dy)) * (30 - abs(dx))
    np.testing.assert_array_equal(warped[valid], view(0, 0)[valid])


def test_flow_is_x_then_y_and_looked_up_by_nearest_pixel():
    one = np.zeros((4, 6), np.uint8)
    one[1, 4] = 3
    warped = warp_back(one, constant_flow(2.4, -1.4, 4, 6))
    valid = warped != 255
    assert np.argwhere(warped == 3).tolist() == [[2, 2]]
    assert not valid[0].any() and not valid[:, 4:].any() and valid[1:, :4].all()


def test_a_pixel_without_flow_is_not_valid():
    flow = np.zeros((4, 6, 2), np.float32)
    flow[2, 3] = np.nan, np.inf
    warped = warp_back(np.zeros((4, 6), np.uint8), flow)
    assert np.argwhere(warped == 255).tolist() == [[2, 3]]


def test_consistency_of_a_still_world_seen_from_a_moving_camera_is_one():
    meter = Consistency()
    assert meter.result() is None
    for dx, dy in ((3, 0), (-2, 5), (0, 0)):
        meter.update(view(0, 0), view(dx, dy), constant_flow(-dx, -dy))
    assert meter.result() == 1
    still = Consistency()
    still.update(view(0, 0), view(3, 0), constant_flow(0, 0))
    assert still.result() < 0.5  # without the flow five random classes agree by chance only


def test_consistency_counts_pixels_over_all_pairs():
    meter = Consistency()
    first, second = view(0, 0), view(4, 0).copy()
    second[:10] = (second[:10] + 1) % 5  # half of the rows change class; 26 columns stay in the frame
    meter.update(first, second, constant_flow(-4, 0))
    meter.update(first[:5], first[:5], constant_flow(0, 0, 5))
    assert meter.result() == pytest.approx((10 * 26 + 5 * 30) / (20 * 26 + 5 * 30))


def test_pixels_without_an_answer_are_left_out():
    first, second = view(0, 0).copy(), view(0, 0).copy()
    first[0], second[1] = 255, 255
    second[2] = (second[2] + 1) % 5
    meter = Consistency()
    meter.update(first, second, constant_flow(0, 0))
    assert meter.result() == pytest.approx(17 / 18)


@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (-3, 5)])
def test_dis_flow_finds_a_translation(dx, dy):
    world = ndimage.gaussian_filter(RNG.random((200, 240, 3)), (2, 2, 0))
    world = (255 * (world - world.min()) / np.ptp(world)).astype(np.uint8)
    first, second = world[20:170, 20:210], world[20 - dy : 170 - dy, 20 - dx : 210 - dx]
    flow = dis_flow(first, second)
    assert flow.shape == (150, 190, 2) and flow.dtype == np.float32
    inside = flow[15:-15, 15:-15]
    assert np.abs(np.median(inside, axis=(0, 1)) - [dx, dy]).max() < 0.2
    assert (np.abs(inside - [dx, dy]).max(axis=-1) < 0.5).mean() > 0.95
