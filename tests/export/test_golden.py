"""Golden answers: what is measured, what is tolerated, and how much of it there is."""

from __future__ import annotations

import io

import numpy as np
import pytest

from edgekit.bundle.manifest import OutputTensor
from edgekit.export.golden import affordable, measured, packed, standardised, synthetic_frames, tolerated
from edgekit.tasks import Task

TASKS = (Task("semantic", "semantic", classes=("a", "b", "c")), Task("depth", "depth"))
CLASSES = OutputTensor("semantic_classes", "uint8", (1, 2, 2), "semantic", "classes", 1)
DEPTH = OutputTensor("depth_depth", "float32", (1, 2, 2), "depth", "depth", 1)


def test_distance_is_the_share_of_equal_pixels_or_the_mean_difference():
    reference = {"semantic_classes": np.array([[[0, 1], [2, 2]]]), "depth_depth": np.array([[[1.0, 2.0], [3.0, 4.0]]])}
    found = {"semantic_classes": np.array([[[0, 1], [2, 0]]]), "depth_depth": np.array([[[1.0, 2.0], [3.0, 6.0]]])}
    distance = measured(TASKS, [CLASSES, DEPTH], found, reference)
    assert distance == {"semantic_classes": {"agreement": 0.75}, "depth_depth": {"error": 0.5}}
    # three times as far, and a floor: 0.2 % of the pixels, 0.2 % of the mean magnitude of 2.5 m
    allowed = tolerated(distance, reference)
    assert allowed["semantic_classes"]["agreement"] == pytest.approx(1 - (3 * 0.25 + 0.002))
    assert allowed["depth_depth"]["error"] == pytest.approx(3 * 0.5 + 0.002 * 2.5)


def test_a_tolerance_is_never_below_nothing():
    assert tolerated({"x": {"agreement": 0.1}}, {})["x"]["agreement"] == 0.0


def test_large_answers_make_few_frames():
    assert affordable(4, 1 << 20) == 4
    assert affordable(4, 30 << 20) == 2
    assert affordable(4, 500 << 20) == 1


def test_the_file_needs_no_pickle_to_be_read():
    frames = synthetic_frames(2, (32, 48))
    with np.load(io.BytesIO(packed({"frames": frames}, {"a": np.ones(3, np.float32)})), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["frames"], frames)
        assert file["a"].dtype == np.float32


def test_synthetic_frames_are_pictures_and_always_the_same():
    frames = synthetic_frames(3, (48, 64))
    assert frames.shape == (3, 48, 64, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, synthetic_frames(3, (48, 64)))
    assert frames.std(axis=(1, 2, 3)).min() > 10 and not np.array_equal(frames[0], frames[1])


def test_standardising_is_the_formula():
    frames = synthetic_frames(1, (16, 16))
    planes = standardised(frames, (100.0, 110.0, 120.0), (10.0, 20.0, 30.0))
    assert planes.shape == (1, 3, 16, 16) and planes.flags.c_contiguous
    assert planes[0, 1, 2, 3] == pytest.approx((float(frames[0, 2, 3, 1]) - 110) / 20)
