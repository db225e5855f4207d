"""Depth: the log encoding and its inverse, refusal of impossible values, error measures by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of

METRIC = Task("depth", "depth", range=(2.0, 200.0), unit="m")
RELATIVE = Task("depth", "depth")
KIND = kind_of(METRIC)


@given(arrays(np.float32, (3, 4), elements=st.floats(2, 200, width=32) | st.just(math.nan)))
def test_decoding_encoded_metres_gives_them_back(array):
    encoded = KIND.encode(METRIC, array)
    assert encoded.shape == (3, 4, 1) and encoded.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(encoded[..., 0]), np.isnan(array))
    decoded = KIND.decode(METRIC, encoded.transpose(2, 0, 1))
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, array, rtol=1e-5)


def test_metres_are_log_encoded_and_clipped():
    array = np.float32([[2, 20, 200, 1, 1000]])
    assert KIND.encode(METRIC, array).ravel().tolist() == pytest.approx([0, 0.5, 1, 0, 1], abs=1e-6)


def test_relative_depth_is_encoded_linearly():
    task = Task("depth", "depth", range=(0.2, 0.7))
    array = np.float32([[0.2, 0.45, 0.7, 0.1, 0.9]])
    encoded = KIND.encode(task, array)
    assert encoded.ravel().tolist() == pytest.approx([0, 0.5, 1, 0, 1], abs=1e-6)
    assert KIND.decode(task, encoded.transpose(2, 0, 1)).ravel().tolist() == pytest.approx([0.2, 0.45, 0.7, 0.2, 0.7])


def test_a_range_without_a_logarithm_is_refused():
    with pytest.raises(EdgekitError, match="range"):
        KIND.encode(Task("depth", "depth", unit="m"), np.ones((2, 2), np.float32))


def test_activation_clips_to_the_range_of_the_encoding():
    assert KIND.activation(METRIC, np.float32([[[-1, 0.3, 2]]])).ravel().tolist() == pytest.approx([0, 0.3, 1])


@pytest.mark.parametrize(
    ("task", "bad"), [(METRIC, 0.0), (METRIC, -3.0), (METRIC, math.inf), (RELATIVE, 1.5), (RELATIVE, -0.25)]
)
def test_impossible_depths_are_refused_with_the_file(task, bad):
    array = np.float32([[0.5, math.nan, bad]])
    with pytest.raises(EdgekitError, match=f"value {bad:g} in 1 pixels") as caught:
        KIND.validate(task, array, "d.npz")
    assert caught.value.where == "d.npz"
    KIND.validate(task, array[:, :2], "d.npz")


def test_a_wrong_layout_is_refused():
    with pytest.raises(EdgekitError, match="2x2x1, expected HxW"):
        KIND.validate(METRIC, np.ones((2, 2, 1), np.float32), "d.npz")
    with pytest.raises(EdgekitError, match="float64, expected float32"):
        KIND.validate(METRIC, np.ones((2, 2)), "d.npz")


positive = arrays(np.float32, (3, 4), elements=st.floats(0.5, 100, width=32) | st.just(math.nan))


@given(st.lists(st.tuples(positive, positive), max_size=3))
def test_scores_equal_the_formulas(frames):
    meter = KIND.meter(METRIC)
    for prediction, target in frames:
        meter.update(prediction, target, "a")
    result = json.loads(json.dumps(meter.result(), allow_nan=False))
    pairs = [
        (float(p), float(t))
        for prediction, target in frames
        for p, t in zip(prediction.ravel(), target.ravel(), strict=True)
        if not math.isnan(p) and not math.isnan(t)
    ]
    if not pairs:
        assert result == {"absrel": None, "rmse": None, "delta125": None}
        return
    count = len(pairs)
    assert result["absrel"] == pytest.approx(sum(abs(p - t) / t for p, t in pairs) / count)
    assert result["rmse"] == pytest.approx(math.sqrt(sum((p - t) ** 2 for p, t in pairs) / count))
    assert result["delta125"] == pytest.approx(sum(max(p / t, t / p) < 1.25 for p, t in pairs) / count)


def test_a_target_of_zero_counts_for_rmse_only():
    meter = KIND.meter(RELATIVE)
    meter.update(np.float32([[0.3, 0.5, 0.0]]), np.float32([[0.0, 0.5, 0.5]]), "a")
    result = meter.result()
    assert result["rmse"] == pytest.approx(math.sqrt((0.09 + 0 + 0.25) / 3))
    assert result["absrel"] == pytest.approx(0.5)  # (0 + 1) / 2
    assert result["delta125"] == pytest.approx(0.5)


def test_pictures_near_is_red_far_is_blue():
    near, far, invalid = KIND.picture(METRIC, np.float32([[3, 150, math.nan]]))[0].astype(int)
    assert near[0] > near[2] and far[2] > far[0]
    assert invalid.tolist() == [64, 64, 64]
    target = np.float32([[10, 10, 10, math.nan]])
    right, wrong, missing, ignored = KIND.error_picture(METRIC, np.float32([[10, 40, math.nan, 10]]), target)[
        0
    ].tolist()
    assert right[0] == right[1] == right[2] and wrong[0] > 2 * wrong[1]
    assert missing == wrong and ignored == [0, 0, 0]


def test_mirror_reverses_columns(mirror):
    assert mirror(METRIC, np.float32([[1, 2, 3]])).tolist() == [[3, 2, 1]]
