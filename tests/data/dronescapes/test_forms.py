"""What lies on disk and what it is in a frame, against the facts of the published layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekit.data.dronescapes.classes import CLASSES
from edgekit.data.dronescapes.published import published_task
from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of

SEMANTIC = published_task("semantic_segprop8")
METRES = published_task("depth_sfm_manual202204")
NORMALS = published_task("normals_sfm_manual202204")


def to_native(task: Task, stored: np.ndarray, where: str) -> np.ndarray:
    return kind_of(task).from_disk(task, stored, where)


def to_disk(task: Task, native: np.ndarray, where: str) -> np.ndarray:
    return kind_of(task).to_disk(task, native, where)


def native(name: str, stored: np.ndarray) -> np.ndarray:
    task = published_task(name)
    array = to_native(task, stored, "a file")
    kind_of(task).validate(task, array, "a file")
    return array


def test_published_tasks_are_what_they_are():
    assert SEMANTIC.classes == CLASSES and CLASSES[4] == "little-objects"
    assert SEMANTIC.colours[7] == (127, 127, 63) and SEMANTIC.colours[1] == (0, 127, 0)
    assert SEMANTIC.weights[0] == 0.28172092 and sum(SEMANTIC.weights) == pytest.approx(1, abs=1e-6)
    assert METRES.unit == "m" and METRES.range[1] == 300
    assert published_task("depth_dpt").unit == ""
    assert published_task("normals_svd(depth_marigold)").kind == "normals"
    assert published_task("buildings(nearby)").kind == "binary"
    assert published_task("opticalflow_rife").channels == 2 and published_task("softseg_gb").channels == 3
    assert published_task("semantic_mask2former_coco_47429163_0") is None, "133 classes, and no names to go by"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_class_indices(dtype):
    stored = np.arange(8, dtype=dtype).reshape(2, 4)
    found = native("semantic_segprop8", stored)
    assert found.dtype == np.uint8 and np.array_equal(found, stored)
    assert np.array_equal(native("semantic_segprop8", stored[..., None]), stored)


def test_the_largest_index_is_no_label_in_16_bits_too():
    stored = np.array([[1, 65535, 255]], np.uint16)
    assert native("semantic_segprop8", stored).tolist() == [[1, 255, 255]]


@pytest.mark.parametrize("value", [8, 254, 300, 511])
def test_a_class_there_is_not_is_told_and_never_wraps_around(value):
    stored = np.array([[0, value]], np.uint16)  # 511 as uint8 would be 255, 300 would be 44
    with pytest.raises(EdgekitError, match=f"class {value}.*8 classes"):
        to_native(SEMANTIC, stored, "a file")


def test_scores_of_classes():
    scores = np.zeros((1, 3, 8), np.float16)
    scores[0, 0, 3] = 0.5
    scores[0, 1] = np.nan
    assert native("semantic_segprop8", scores).tolist() == [[3, 255, 255]]


def test_depth_is_read_as_float32_and_clipped():
    stored = np.array([[0.5, 299, 400, np.nan, 0, -3, np.inf]], np.float16)
    found = native("depth_sfm_manual202204", stored[..., None])
    assert found.dtype == np.float32 and found.shape == (1, 7)
    np.testing.assert_array_equal(found, np.array([[0.5, 299, 300, np.nan, np.nan, np.nan, 300]], np.float32))
    np.testing.assert_array_equal(native("depth_sfm_manual202204", stored), found)
    relative = native("depth_marigold", np.array([[-0.1, 0.25, 1.5, np.nan]], np.float16))
    np.testing.assert_array_equal(relative, np.array([[0, 0.25, 1, np.nan]], np.float32))


def test_normals_are_twice_the_stored_less_one():
    stored = np.array([[[1, 0.5, 0.5], [0.5, 0.5, 0], [0, 0, 0], [0.5, 0.5, 0.5], [np.nan] * 3]], np.float16)
    found = native("normals_sfm_manual202204", stored)
    np.testing.assert_allclose(found[0, :2], [[1, 0, 0], [0, 0, -1]], atol=1e-6)
    assert np.isnan(found[0, 2:]).all(), "no direction is no normal"


def test_normals_that_were_not_moved_to_0_1_are_refused():
    with pytest.raises(EdgekitError, match=r"-1.*0-1") as caught:
        to_native(NORMALS, np.array([[[0, 0, -1.0]]], np.float16), "a file")
    assert caught.value.where == "a file" and "(n + 1) / 2" in caught.value.fix


def test_binary_maps_are_bools():
    assert native("buildings", np.array([[True, False]])).tolist() == [[1, 0]]
    assert native("buildings", np.array([[[1], [0]]], np.uint8)).tolist() == [[1, 0]]
    with pytest.raises(EdgekitError, match="bool"):
        to_native(published_task("buildings"), np.array([[7]], np.uint8), "a file")


WRONG = {
    "floats without classes": ("semantic_segprop8", np.zeros((2, 2), np.float16)),
    "another number of classes": ("semantic_segprop8", np.zeros((2, 2, 5), np.float16)),
    "integers as depth": ("depth_marigold", np.zeros((2, 2), np.uint16)),
    "two channels of depth": ("depth_marigold", np.zeros((2, 2, 2), np.float16)),
    "normals of one channel": ("normals_sfm_manual202204", np.zeros((2, 2, 1), np.float16)),
    "rgb in floats": ("rgb", np.zeros((2, 2, 3), np.float32)),
    "rgb with alpha": ("rgb", np.zeros((2, 2, 4), np.uint8)),
    "flow of three channels": ("opticalflow_rife", np.zeros((2, 2, 3), np.float16)),
    "a number": ("edges_gb", np.float32(3)),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_misfit_names_file_task_and_what_was_expected(case):
    name, stored = WRONG[case]
    with pytest.raises(EdgekitError, match="expected") as caught:
        to_native(published_task(name), np.asarray(stored), "rgb/0.npz")
    assert name in caught.value.what and caught.value.where == "rgb/0.npz"


@given(arrays(np.uint8, (3, 4), elements=st.sampled_from([0, 1, 5, 7, 255])))
def test_labels_come_back_also_where_pixels_have_none(label):
    stored = to_disk(SEMANTIC, label, "x")
    assert np.array_equal(to_native(SEMANTIC, stored, "x"), label)
    if (label == 255).any():
        # an index that is no class breaks a reader that looks it up in a table of 8
        assert stored.dtype == np.float16 and stored.shape == (3, 4, 8)
        assert np.isnan(stored[label == 255]).all() and (stored[label != 255].sum(-1) == 1).all()
    else:
        assert np.array_equal(stored, label) and stored.dtype == np.uint8


def test_floats_are_written_in_half_precision_with_their_channel():
    depth = np.array([[1.5, np.nan]], np.float32)
    stored = to_disk(METRES, depth, "x")
    assert stored.dtype == np.float16 and stored.shape == (1, 2, 1)
    np.testing.assert_array_equal(to_native(METRES, stored, "x"), depth)
    normal = np.array([[[0, 0, -1.0]]], np.float32)
    assert to_disk(NORMALS, normal, "x").tolist() == [[[0.5, 0.5, 0]]]
    edges = Task("edges", "modality", channels=1)
    assert to_disk(edges, np.zeros((2, 3), np.float32), "x").shape == (2, 3, 1)


def test_a_bool_cannot_say_unknown():
    buildings = published_task("buildings")
    assert to_disk(buildings, np.array([[0, 1]], np.uint8), "x").dtype == bool
    with pytest.raises(EdgekitError, match="without a value"):
        to_disk(buildings, np.array([[0, 255]], np.uint8), "x")
