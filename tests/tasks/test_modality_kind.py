"""Modalities: inputs in their own units, 8-bit or float."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of

RGB = Task("rgb", "modality", channels=3, range=(0.0, 255.0))
EDGES = Task("edges", "modality", channels=1)
SIX = Task("texture", "modality", channels=6)
FLOW = Task("flow", "modality", channels=2, range=(-1.0, 1.0), vector=True)
KIND = kind_of(RGB)


def sample(task):
    rng = np.random.default_rng(0)
    shape = (4, 5) if task.channels == 1 else (4, 5, task.channels)
    return rng.integers(0, 256, shape, dtype=np.uint8) if task is RGB else rng.random(shape, dtype=np.float32)


@pytest.mark.parametrize("task", [RGB, EDGES, SIX], ids=lambda t: t.name)
def test_decoding_an_encoded_map_gives_it_back(mirror, task):
    array = sample(task)
    KIND.validate(task, array, "x")
    encoded = KIND.encode(task, array)
    assert encoded.shape == (4, 5, task.channels) and encoded.dtype == np.float32
    assert KIND.channels(task) == task.channels
    soft = KIND.activation(task, encoded.transpose(2, 0, 1))
    decoded = KIND.decode(task, soft)
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, array)
    mirrored = mirror(task, array)
    np.testing.assert_array_equal(mirrored[:, 1], array[:, 3])


def test_a_reconstruction_outside_eight_bits_is_clipped_and_rounded():
    soft = np.float32([-3, 99.6, 300])[:, None, None]
    assert KIND.decode(RGB, soft).tolist() == [[[0, 100, 255]]]


def test_an_invalid_pixel_is_nan_in_every_channel():
    array = sample(SIX)
    array[2, 1, 4] = math.nan
    encoded = KIND.encode(SIX, array)
    assert np.isnan(encoded[2, 1]).all() and np.isnan(encoded).sum() == 6


@pytest.mark.parametrize(
    ("task", "array", "message"),
    [
        (RGB, np.zeros((4, 5), np.uint8), "4x5, expected HxWx3"),
        (EDGES, np.zeros((4, 5, 1), np.float32), "4x5x1, expected HxW$"),
        (RGB, np.zeros((4, 5, 3), np.float32), "float32, expected uint8"),
        (SIX, np.zeros((4, 5, 6), np.uint8), "uint8, expected float32"),
        (EDGES, np.full((4, 5), math.inf, np.float32), "20 infinite values"),
    ],
)
def test_a_wrong_map_is_refused(task, array, message):
    with pytest.raises(EdgekitError) as caught:
        KIND.validate(task, array, "x.npz")
    assert caught.value.where == "x.npz"
    with pytest.raises(EdgekitError, match=message):
        raise EdgekitError(caught.value.what)


def test_pictures_scale_by_the_range():
    np.testing.assert_array_equal(KIND.picture(RGB, sample(RGB)), sample(RGB))
    grey = KIND.picture(EDGES, np.float32([[0, 0.5, 1, math.nan]]))
    assert grey.tolist() == [[[0] * 3, [128] * 3, [255] * 3, [64] * 3]]
    pair = Task("flow", "modality", channels=2, range=(-10.0, 10.0))
    assert KIND.picture(pair, np.float32([[[10, 3]]])).tolist() == [[[255, 255, 255]]]
    first_three = KIND.picture(SIX, np.float32([[[0, 1, 0.2, 0.4, 0.6, 0.8]]]))
    assert first_three.tolist() == [[[0, 255, 51]]]


def test_an_input_has_no_score():
    assert not KIND.predictable and KIND.primary is None
    with pytest.raises(TypeError, match="rgb"):
        KIND.meter(RGB)
    with pytest.raises(TypeError, match="rgb"):
        KIND.error_picture(RGB, sample(RGB), sample(RGB))


def test_the_mirror_image_of_a_displacement_goes_the_other_way(mirror):
    array = sample(FLOW)
    mirrored = mirror(FLOW, array)
    np.testing.assert_array_equal(mirrored, array[:, ::-1] * np.float32([-1, 1]))
    soft = array.transpose(2, 0, 1)
    before = soft.copy()
    np.testing.assert_array_equal(soft, before)
