from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, gaussian_filter

from edgekit.data.scenes.curves import cheapest_curve, draw_lines
from edgekit.data.scenes.grid import CELL, WORLD, nearest, window
from edgekit.data.scenes.noise import blur, distance, enlarge, spectral


@given(st.integers(0, 2**32), st.sampled_from([16, 32, 64]))
def test_spectral_field_is_normalised_and_band_limited(seed, n):
    field = spectral(np.random.default_rng(seed), n, 2, 5)
    assert abs(field.mean()) < 1e-4 and abs(field.std() - 1) < 1e-3
    power = np.abs(np.fft.fft2(field))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(n) * n, np.fft.fftfreq(n) * n))
    assert power[(frequency > 5.01) | (frequency < 1.99)].max() < 1e-3 * power.max()


def test_enlarge_has_no_seam():
    small = spectral(np.random.default_rng(1), 32, 1, 4)
    large = enlarge(small, 128)
    inside = np.abs(np.diff(large, axis=0)).max()
    assert large.shape == (128, 128)
    assert np.abs(large[0] - large[-1]).max() <= inside
    rolled = enlarge(np.roll(small, (5, 11), (0, 1)), 128)
    np.testing.assert_allclose(rolled, np.roll(large, (20, 44), (0, 1)), atol=1e-5)


def test_blur_wraps_round():
    field = np.random.default_rng(2).random((64, 64)).astype(np.float32)
    np.testing.assert_allclose(blur(field, 2.0), gaussian_filter(field, 2.0, mode="wrap"), atol=2e-3)


def test_distance_wraps_round():
    mask = np.random.default_rng(3).random((48, 48)) < 0.01
    exact = distance_transform_edt(~np.tile(mask, (3, 3)))[48:96, 48:96]
    np.testing.assert_allclose(distance(mask), exact, rtol=0.03, atol=0.01)


def test_curve_follows_a_valley_and_closes():
    y = np.arange(64)
    valley = 20 + 6 * np.sin(2 * np.pi * np.arange(64) / 64)
    cost = np.abs(y[:, None] - valley[None])
    curve = cheapest_curve(cost, bend=0.1, smooth=1.0)
    np.testing.assert_allclose(curve[-1] - curve[0], [WORLD, 0], atol=1e-6)
    at = np.interp(curve[:, 0], np.arange(65) * WORLD / 64, np.append(valley, valley[0]) * WORLD / 64)
    assert np.abs(curve[:, 1] - at).max() < 1.2 * WORLD / 64


def test_lines_are_drawn_as_wide_as_told_across_the_edge():
    x = np.linspace(0, WORLD, 100)
    lines = draw_lines(512, [np.stack([x, np.zeros_like(x)], axis=1)], width=16.0)
    rows = np.flatnonzero(lines[:, 100] > 127)
    assert abs(len(rows) * WORLD / 512 - 16.0) <= 2 * WORLD / 512
    assert 0 in rows and 511 in rows


@given(st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_window_and_nearest_agree_on_where_a_cell_is(x, y):
    cells, dx, dy = window(x, y, 2.0)
    index = np.arange(2048 * 2048, dtype=np.int32).reshape(2048, 2048)
    points = np.stack(np.broadcast_arrays(x + dx, y + dy), axis=-1)
    np.testing.assert_array_equal(index[cells], nearest(index, points))
    assert np.abs(dx).max() <= 2.0 + 1.5 * CELL
