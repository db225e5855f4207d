"""Semantic maps: encoding, refusal of wrong labels, and IoU against a brute-force count."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of

CLASSES = ("land", "water", "sky")
TASK = Task("semantic", "semantic", classes=CLASSES, colours=((0, 255, 0), (0, 0, 255), (0, 255, 255)))
WEIGHTED = Task("semantic", "semantic", classes=CLASSES, weights=(0.5, 0.3, 0.2))
KIND = kind_of(TASK)

labels = arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2, 255]))
answers = arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2]))


def brute_iou(pairs, cls):
    """IoU of one class over (prediction, target) frames, None when it is in neither; pixel by pixel."""
    both = either = 0
    for prediction, target in pairs:
        for p, t in zip(prediction.ravel().tolist(), target.ravel().tolist(), strict=True):
            if t != 255:
                both += p == cls and t == cls
                either += p == cls or t == cls
    return both / either if either else None


@given(labels)
def test_decoding_an_encoded_map_gives_it_back(array):
    encoded = KIND.encode(TASK, array)
    assert encoded.shape == (4, 5, 3) and encoded.dtype == np.float32
    valid = array != 255
    assert np.isnan(encoded[~valid]).all()
    assert (encoded[valid].sum(axis=-1) == 1).all()
    decoded = KIND.decode(TASK, encoded.transpose(2, 0, 1))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded[valid], array[valid])


def test_activation_is_the_softmax_over_channels_and_survives_large_logits():
    raw = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32) * 10
    np.testing.assert_allclose(KIND.activation(TASK, raw), softmax(raw, axis=1), rtol=1e-5)
    huge = np.array([1e4, 0, -1e4], dtype=np.float32)[:, None, None]
    assert KIND.activation(TASK, huge).ravel().tolist() == [1, 0, 0]


@given(labels)
def test_mirroring_twice_changes_nothing_and_commutes_with_encoding(mirror, array):
    mirrored = mirror(TASK, array)
    np.testing.assert_array_equal(mirrored[:, 0], array[:, -1])
    np.testing.assert_array_equal(mirror(TASK, mirrored), array)


def test_a_label_outside_the_classes_is_refused_with_its_value_and_file():
    array = np.array([[0, 1, 11], [2, 255, 7]], dtype=np.uint8)
    with pytest.raises(EdgekitError) as caught:
        KIND.validate(TASK, array, "labels/042.png")
    assert "7, 11" in caught.value.what and "3 classes" in caught.value.what
    assert caught.value.where == "labels/042.png"
    assert "0 to 2" in caught.value.fix


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3), np.int64), np.zeros((0, 3), np.uint8)]
)
def test_a_wrong_layout_is_refused(array):
    with pytest.raises(EdgekitError, match="semantic"):
        KIND.validate(TASK, array, "x.png")


def test_a_good_label_map_is_accepted():
    KIND.validate(TASK, np.array([[0, 1], [2, 255]], dtype=np.uint8), "x.png")


@given(st.lists(st.tuples(answers, labels, st.sampled_from(["a", "b"])), max_size=4))
def test_scores_equal_a_count_by_hand(frames):
    meter = KIND.meter(WEIGHTED)
    for prediction, target, scene in frames:
        meter.update(prediction, target, scene)
    result = json.loads(json.dumps(meter.result(), allow_nan=False))

    pairs = [(p, t) for p, t, _ in frames]
    held = [any((t == c).any() for _, t in pairs) for c in range(3)]
    iou = [brute_iou(pairs, c) if held[c] else None for c in range(3)]
    assert result["classes"] == sum(held)
    assert [result["iou"][name] for name in CLASSES] == pytest.approx(iou)
    known = [v for v in iou if v is not None]
    assert result["miou"] == (pytest.approx(sum(known) / len(known)) if known else None)

    labelled = [(p, t, s) for p, t, s in frames if (t != 255).any()]
    if not labelled:
        assert result["weighted_miou"] is result["samplewise_miou"] is result["pixel_accuracy"] is None
        return
    scenes = {s for _, _, s in labelled}
    by_scene = [
        sum(
            w * (brute_iou([(p, t) for p, t, s in labelled if s == scene], c) or 0)
            for c, w in enumerate((0.5, 0.3, 0.2))
        )
        for scene in scenes
    ]
    assert result["weighted_miou"] == pytest.approx(sum(by_scene) / len(scenes))
    per_frame = [[brute_iou([(p, t)], c) or 0 for c in range(3)] for p, t, _ in labelled]
    assert result["samplewise_miou"] == pytest.approx(float(np.mean(per_frame, axis=0) @ [0.5, 0.3, 0.2]))
    right = sum(int(((p == t) & (t != 255)).sum()) for p, t, _ in labelled)
    assert result["pixel_accuracy"] == pytest.approx(right / sum(int((t != 255).sum()) for _, t, _ in labelled))


def test_the_scene_mean_differs_from_the_pooled_iou():
    meter = KIND.meter(Task("s", "semantic", classes=("a", "b"), weights=(2.0, 2.0)))
    meter.update(np.zeros((1, 4), np.uint8), np.zeros((1, 4), np.uint8), "first")
    meter.update(np.array([[0, 1]], np.uint8), np.array([[1, 1]], np.uint8), "second")
    result = meter.result()
    # first: a 4/4, b absent; second: a 0/1, b 1/2. Weights scaled to (1/2, 1/2).
    assert result["weighted_miou"] == pytest.approx((0.5 * 1 + 0.5 * 0 + 0.5 * 0 + 0.5 * 0.5) / 2)
    assert result["miou"] == pytest.approx((4 / 5 + 1 / 2) / 2)


@pytest.mark.parametrize(("stray", "miou"), [(0, 1.0), (1, (7 / 8 + 1) / 2), (4, (4 / 8 + 1) / 2)])
def test_stray_pixels_of_a_class_without_labels_cost_their_own_class_alone(stray, miou):
    """Averaged over the classes that the model shows, one stray pixel would cost a third of the score."""
    target = np.repeat(np.array([0, 1], np.uint8), 8).reshape(2, 8)
    prediction = target.copy()
    prediction[0, :stray] = 2
    meter = KIND.meter(WEIGHTED)
    meter.update(prediction, target, "a")
    result = meter.result()
    assert result["miou"] == pytest.approx(miou) and result["classes"] == 2
    assert result["iou"]["sky"] is None
    # the variants that the PHG-MAE benchmark prescribes still count every class
    assert result["weighted_miou"] == pytest.approx(0.5 * (8 - stray) / 8 + 0.3)


def test_a_missing_answer_is_wrong():
    meter = KIND.meter(TASK)
    meter.update(np.array([[0, 255]], np.uint8), np.array([[0, 0]], np.uint8), "a")
    result = meter.result()
    assert result["iou"] == {"land": 0.5, "water": None, "sky": None}
    assert result["pixel_accuracy"] == 0.5
    assert result["weighted_miou"] is None  # the task has no weights


def test_maps_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        KIND.meter(TASK).update(np.zeros((2, 3), np.uint8), np.zeros((2, 1), np.uint8), "a")


def test_pictures_show_class_colours_and_errors():
    target = np.array([[0, 1, 255]], dtype=np.uint8)
    assert KIND.picture(TASK, target).tolist() == [[[0, 255, 0], [0, 0, 255], [0, 0, 0]]]
    right, wrong, ignored = KIND.error_picture(TASK, np.array([[0, 2, 2]], np.uint8), target)[0].tolist()
    assert right[0] == right[1] == right[2] > 100
    assert wrong[0] > 150 and max(wrong[1:]) < 80
    assert ignored == [0, 0, 0]


def test_classes_without_colours_get_distinct_ones():
    task = Task("s", "semantic", classes=tuple("abcdefghijkl"))
    colours = KIND.picture(task, np.arange(12, dtype=np.uint8)[None])[0]
    assert len({tuple(c) for c in colours.tolist()}) == 12 and colours.sum(axis=-1).min() > 0
