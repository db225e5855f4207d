"""Computed modalities against colorsys, the CIE formulas and scipy, and their behaviour in a mirror."""

from __future__ import annotations

import colorsys
import time

import numpy as np
import pytest
from scipy import ndimage

from edgekit.data.modalities import COMPUTED, edges, hsv, lab, texture, wide_blur
from edgekit.tasks import kind_of

RNG = np.random.default_rng(0)


def photograph(height=120, width=160):
    """Something like a photograph: coloured patches with soft and hard borders, shading and noise."""
    patches = ndimage.zoom(RNG.integers(0, 256, (6, 8, 3)), (height / 6, width / 8, 1), order=0).astype(float)
    patches[: height // 2] = ndimage.gaussian_filter(patches[: height // 2], (4, 4, 0))
    patches += np.linspace(-30, 30, width)[None, :, None] + RNG.normal(0, 6, patches.shape)
    return np.clip(np.rint(patches), 0, 255).astype(np.uint8)


PHOTO = photograph()
GREY = PHOTO @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("size", [(120, 160), (33, 47), (3, 2)])
def test_a_modality_is_what_its_task_says(name, size):
    computed = COMPUTED[name]
    array = computed.compute(np.ascontiguousarray(PHOTO[: size[0], : size[1]]))
    assert computed.task.name == name
    assert array.shape[:2] == size
    kind_of(computed.task).validate(computed.task, array, name)
    least, most = computed.task.range
    assert least <= array.min() and array.max() <= most


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("width", [160, 159])
def test_a_modality_commutes_with_the_mirror(mirror, name, width):
    computed = COMPUTED[name]
    rgb = PHOTO[:, :width]
    mirrored = computed.compute(np.ascontiguousarray(rgb[:, ::-1]))
    expected = mirror(computed.task, computed.compute(np.ascontiguousarray(rgb)))
    tolerance = 1 if expected.dtype == np.uint8 else 2e-5  # rounding
    assert np.abs(mirrored.astype(float) - expected.astype(float)).max() <= tolerance


@pytest.mark.parametrize("name", COMPUTED)
def test_the_input_is_left_alone_and_a_view_will_do(name):
    rgb = PHOTO.copy()
    view = rgb[10:60:2, ::-1]
    array = COMPUTED[name].compute(view)
    np.testing.assert_array_equal(rgb, PHOTO)
    np.testing.assert_allclose(array, COMPUTED[name].compute(np.ascontiguousarray(view)), rtol=1e-5)


@pytest.mark.parametrize("name", COMPUTED)
def test_a_modality_is_fast_enough_for_a_loader(name):
    rgb = photograph(200, 300)
    times = []
    for _ in range(20):
        start = time.thread_time()  # processor time: other programs on the machine do not count
        COMPUTED[name].compute(rgb)
        times.append(time.thread_time() - start)
    assert min(times) < 0.01  # about a millisecond; the rest is room for slow processors


def test_hsv_equals_colorsys():
    rgb = PHOTO[::7, ::7]
    expected = np.array([[colorsys.rgb_to_hsv(*(p / 255)) for p in row] for row in rgb])
    difference = np.abs(hsv(rgb) - expected)
    difference[..., 0] = np.minimum(difference[..., 0], 1 - difference[..., 0])  # hue is a circle
    assert difference.max() < 1e-4
    assert hsv(np.full((2, 2, 3), 77, np.uint8))[0, 0].tolist() == pytest.approx([0, 0, 77 / 255])


def test_lab_equals_the_cie_formulas():
    linear = PHOTO / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    expected = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    found = lab(PHOTO) * [100, 255, 255] - [0, 128, 128]
    assert np.abs(found - expected).max() < 0.5


def test_edges_are_the_scaled_scharr_gradient():
    smooth, derive = np.array([3, 10, 3]) / 16, np.array([-1, 0, 1]) / 2
    across = ndimage.correlate1d(
        ndimage.correlate1d(GREY, derive, axis=1, mode="mirror"), smooth, axis=0, mode="mirror"
    )
    down = ndimage.correlate1d(ndimage.correlate1d(GREY, derive, axis=0, mode="mirror"), smooth, axis=1, mode="mirror")
    magnitude = np.hypot(across, down)
    np.testing.assert_allclose(edges(PHOTO), np.minimum(magnitude / np.percentile(magnitude, 99), 1), atol=1e-3)


def test_a_step_is_an_edge_and_faint_noise_is_none():
    step = np.zeros((40, 200, 3), np.uint8)
    step[:, 100:] = 200
    found = edges(step)
    assert (found[:, 99:101] == 1).all() and found[:, :98].max() == 0 == found[:, 102:].max()
    flat = (128 + RNG.integers(0, 2, (40, 60, 1)) * np.ones(3)).astype(np.uint8)
    assert edges(flat).max() < 0.3
    assert edges(np.full((40, 60, 3), 9, np.uint8)).max() == 0


def test_edges_do_not_depend_on_the_exposure():
    dark = (PHOTO // 2).astype(np.uint8)
    assert np.abs(edges(dark) - edges(dark * 2)).max() < 1e-4


def test_texture_equals_local_mean_and_deviation():
    found = texture(PHOTO)
    assert found.shape == (120, 160, 6)
    for i, window in enumerate((5, 13, 29)):
        mean = ndimage.uniform_filter(GREY, window, mode="mirror")
        deviation = np.sqrt(ndimage.uniform_filter(GREY**2, window, mode="mirror") - mean**2)
        assert np.abs(255 * found[..., 2 * i] - mean).max() < 0.5
        assert np.abs(255 / 2 * found[..., 2 * i + 1] - deviation).max() < 0.5


def test_a_flat_frame_has_no_texture():
    found = texture(np.full((40, 50, 3), 201, np.uint8))
    assert found[..., 1::2].max() < 1e-3
    np.testing.assert_allclose(found[..., ::2], 201 / 255, atol=1e-6)


def test_blur_is_three_box_blurs_and_nearly_a_gaussian():
    boxes = PHOTO.astype(float)
    for _ in range(3):
        boxes = ndimage.uniform_filter(boxes, (31, 31, 1), mode="mirror")
    assert np.abs(wide_blur(PHOTO) - boxes).max() < 0.51
    gaussian = ndimage.gaussian_filter(PHOTO.astype(float), (15.5, 15.5, 0), mode="mirror")
    assert np.abs(wide_blur(PHOTO) - gaussian).mean() < 2


def test_blur_keeps_a_flat_colour():
    flat = np.full((50, 40, 3), (10, 130, 251), np.uint8)
    np.testing.assert_array_equal(wide_blur(flat), flat)
