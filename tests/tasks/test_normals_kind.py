"""Normals: unit length, the sign that flips in a mirror, angles against the arc cosine."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of

TASK = Task("normals", "normals")
KIND = kind_of(TASK)


def random_normals(seed, height=4, width=5):
    vectors = np.random.default_rng(seed).normal(size=(height, width, 3))
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def turned(degrees):
    """Normals facing the camera, each turned about the y axis by the given angle: (1, n, 3)."""
    radians = np.radians(np.asarray(degrees, dtype=np.float64))
    return np.stack([np.sin(radians), 0 * radians, -np.cos(radians)], axis=-1)[None].astype(np.float32)


@given(st.integers(0, 1000))
def test_decoding_an_encoded_map_gives_it_back(seed):
    array = random_normals(seed)
    encoded = KIND.encode(TASK, array)
    np.testing.assert_array_equal(encoded, array)
    np.testing.assert_allclose(KIND.decode(TASK, encoded.transpose(2, 0, 1)), array, atol=1e-6)


def test_a_partly_invalid_vector_is_invalid_in_all_channels():
    array = random_normals(0)
    array[1, 2, 0] = math.nan
    encoded = KIND.encode(TASK, array)
    assert np.isnan(encoded[1, 2]).all() and np.isnan(encoded).sum() == 3
    assert np.isnan(array).sum() == 1  # the input is left alone


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_activation_gives_unit_vectors_of_the_same_direction(seed, factor):
    raw = random_normals(seed).transpose(2, 0, 1)
    np.testing.assert_allclose(KIND.activation(TASK, raw * np.float32(factor)), raw, atol=1e-5)


def test_no_direction_at_all_faces_the_camera():
    assert KIND.decode(TASK, np.zeros((3, 1, 1), np.float32)).tolist() == [[[0, 0, -1]]]


@given(st.integers(0, 1000))
def test_the_mirror_flips_x_and_is_its_own_inverse(mirror, seed):
    array = random_normals(seed)
    mirrored = mirror(TASK, array)
    np.testing.assert_allclose(mirrored[:, 0, 0], -array[:, -1, 0], atol=1e-6)
    np.testing.assert_allclose(mirrored[:, 0, 1:], array[:, -1, 1:], atol=1e-6)
    np.testing.assert_allclose(mirror(TASK, mirrored), array, atol=1e-6)


def test_the_mirror_agrees_with_the_geometry(mirror):
    """A wall that turns right in the frame turns left in the mirrored frame."""
    bowl = turned([-40, 0, 40])
    np.testing.assert_allclose(mirror(TASK, bowl), bowl, atol=1e-7)


@pytest.mark.parametrize("bad", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (math.nan, 0.0, -1.0), (math.inf, 0.0, 0.0)])
def test_vectors_that_are_not_unit_are_refused(bad):
    array = random_normals(0)
    array[2, 3] = bad
    with pytest.raises(EdgekitError, match=r"1 vectors .* row 2, column 3") as caught:
        KIND.validate(TASK, array, "n.npz")
    assert caught.value.where == "n.npz"


def test_half_precision_storage_and_invalid_pixels_are_accepted():
    array = random_normals(0).astype(np.float16).astype(np.float32)
    array[0, 0] = math.nan
    KIND.validate(TASK, array, "n.npz")
    with pytest.raises(EdgekitError, match="expected HxWx3"):
        KIND.validate(TASK, array[..., :2], "n.npz")


def test_scores_equal_the_arc_cosine_over_all_frames():
    meter = KIND.meter(TASK)
    angles = []
    for seed in range(4):
        prediction, target = random_normals(seed, 7, 9), random_normals(seed + 50, 7, 9)
        prediction = prediction + 2 * target  # mostly close, of any length
        target[0, 0], prediction[1, 1] = math.nan, math.nan
        meter.update(prediction, target, "a")
        p, t = prediction.astype(np.float64), target.astype(np.float64)
        cosine = (p * t).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(t, axis=-1)
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1)))[~np.isnan(cosine)])
    angles = np.concatenate(angles)
    assert angles.size == 4 * (63 - 2)
    result = json.loads(json.dumps(meter.result(), allow_nan=False))
    assert result["mean_angle"] == pytest.approx(angles.mean(), abs=1e-5)
    assert result["median_angle"] == pytest.approx(np.median(angles), abs=0.0051)
    for key, limit in (("within_11_25", 11.25), ("within_22_5", 22.5), ("within_30", 30)):
        assert result[key] == pytest.approx((angles < limit).mean())


def test_known_angles():
    meter = KIND.meter(TASK)
    degrees = [0.0, 10.0, 20.0, 25.0, 40.0, 180.0]
    meter.update(turned(degrees), turned([0] * 6), "a")
    result = meter.result()
    assert result["mean_angle"] == pytest.approx(sum(degrees) / 6, abs=1e-4)
    assert result["median_angle"] == pytest.approx(22.5, abs=0.0051)
    assert result["within_11_25"] == pytest.approx(2 / 6)
    assert result["within_22_5"] == pytest.approx(3 / 6)
    assert result["within_30"] == pytest.approx(4 / 6)


def test_no_valid_pixel_gives_none():
    meter = KIND.meter(TASK)
    meter.update(random_normals(0), np.full((4, 5, 3), math.nan, np.float32), "a")
    assert set(meter.result().values()) == {None}


def test_pictures():
    array = np.float32([[[0, 0, -1], [1, 0, 0], [math.nan] * 3]])
    assert KIND.picture(TASK, array).tolist() == [[[128, 128, 0], [255, 128, 128], [64, 64, 64]]]
    target = np.concatenate([turned([0, 0]), np.full((1, 1, 3), math.nan, np.float32)], axis=1)
    right, wrong, ignored = KIND.error_picture(TASK, turned([0, 90, 0]), target)[0].tolist()
    assert right[0] == right[1] == right[2] and wrong[0] > 2 * wrong[1] and ignored == [0, 0, 0]
