"""Binary maps: encoding, refusal of other values, scores against a count by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of

TASK = Task("water", "binary")
KIND = kind_of(TASK)
maps = arrays(np.uint8, (3, 4), elements=st.sampled_from([0, 1, 255]))


@given(maps)
def test_decoding_an_encoded_map_gives_it_back(array):
    encoded = KIND.encode(TASK, array)
    assert encoded.shape == (3, 4, 1) and encoded.dtype == np.float32
    valid = array != 255
    assert np.isnan(encoded[~valid]).all()
    decoded = KIND.decode(TASK, encoded.transpose(2, 0, 1))
    np.testing.assert_array_equal(decoded[valid], array[valid])


def test_activation_is_the_sigmoid_and_survives_large_logits():
    raw = np.linspace(-20, 20, 41, dtype=np.float32).reshape(1, 1, 41)
    np.testing.assert_allclose(KIND.activation(TASK, raw), expit(raw), atol=1e-6)
    assert KIND.activation(TASK, np.float32([[[-1e5, 1e5]]])).ravel().tolist() == [0, 1]


def test_another_value_is_refused():
    with pytest.raises(EdgekitError, match="value 2, 9 in 3 pixels") as caught:
        KIND.validate(TASK, np.array([[0, 1, 2, 9, 2, 255]], np.uint8), "w.png")
    assert caught.value.where == "w.png"
    KIND.validate(TASK, np.array([[0, 1, 255]], np.uint8), "w.png")
    with pytest.raises(EdgekitError, match="expected uint8"):
        KIND.validate(TASK, np.zeros((2, 2), bool), "w.png")


@given(st.lists(st.tuples(maps, maps), max_size=3))
def test_scores_equal_a_count_by_hand(frames):
    meter = KIND.meter(TASK)
    hit = miss = alarm = right = total = 0
    for prediction, target in frames:
        meter.update(prediction, target, "a")
        for p, t in zip(prediction.ravel().tolist(), target.ravel().tolist(), strict=True):
            if t == 255:
                continue
            total += 1
            right += p == t
            hit += p == 1 and t == 1
            miss += p != 1 and t == 1
            alarm += p == 1 and t == 0
    result = json.loads(json.dumps(meter.result(), allow_nan=False))
    known = hit + miss + alarm
    assert result["iou"] == (pytest.approx(hit / known) if known else None)
    assert result["f1"] == (pytest.approx(2 * hit / (2 * hit + miss + alarm)) if known else None)
    assert result["accuracy"] == (pytest.approx(right / total) if total else None)


def test_pictures_are_black_white_and_grey_for_unknown():
    target = np.array([[0, 1, 255]], np.uint8)
    black, white, unknown = KIND.picture(TASK, target)[0].tolist()
    assert black == [0, 0, 0] and white == [255, 255, 255] and unknown not in (black, white)
    errors = KIND.error_picture(TASK, np.array([[0, 0, 0]], np.uint8), target)[0].tolist()
    assert errors[0][0] == errors[0][1] and errors[1][0] > 2 * errors[1][1] and errors[2] == [0, 0, 0]


def test_mirror_reverses_columns(mirror):
    array = np.array([[0, 1, 255]], np.uint8)
    assert mirror(TASK, array).tolist() == [[255, 1, 0]]
