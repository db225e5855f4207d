"""Sizes, padding and depth scale of the pre-processing contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError
from edgekit.export.contract import contract, forms_of, network_size
from edgekit.runtime.placement import FramePlacement
from edgekit.tasks import kind_of


@given(st.integers(16, 4000), st.integers(16, 4000), st.floats(0.1, 1.0))
def test_the_network_is_the_least_multiple_of_16_that_holds_the_frame(height, width, scale):
    size = network_size((height, width), scale)
    for side, own in zip(size, (height, width), strict=True):
        assert side % 16 == 0 and side >= own * scale - 1e-6 and side - own * scale < 16


def test_known_sizes():
    assert network_size((540, 960), 1.0) == (544, 960)
    assert network_size((480, 640), 0.1) == (48, 64)
    assert network_size((400, 600), 0.5) == (208, 304)


def test_padding_standardises_to_about_zero(student_of):
    pre = contract(student_of(), (64, 96), "letterbox", (60, 96))
    standardised = (np.array(pre.pad) - pre.mean) / pre.std
    assert np.abs(standardised).max() <= 0.5 / min(pre.std)


@pytest.mark.parametrize(("fit", "size"), [("letterbox", (32, 48)), ("stretch", (32, 48)), ("letterbox", (64, 96))])
def test_depth_is_scaled_as_the_frame_is(student_of, fit, size):
    """A student that sees frames at half size says the same metres through the contract as through ``predict``."""
    frame = (64, 96)
    student = student_of(input_scale=size[0] / frame[0])
    pre = contract(student, size, fit, frame)
    assert FramePlacement.of(pre, frame, size).content == size
    rgb = torch.full((1, 3, *frame), 90.0)  # of one colour, so that how it is resized does not matter
    task = student.tasks[1]
    small = (size[0] // 4, size[1] // 4)
    expected = kind_of(task).decode(task, student.predict(rgb, small)["depth"][0].numpy())
    with torch.no_grad():
        raw = student(torch.full((1, 3, *size), 90.0))["depth"][0].numpy()
    found = kind_of(task).decode(task, kind_of(task).activation(task, raw)) * pre.depth_scale
    # the nearest that can be told is the same either way
    np.testing.assert_allclose(np.maximum(found, task.range[0]), expected, rtol=1e-4)


@pytest.mark.parametrize("frame", [(400, 600), (123, 77), (480, 640), (37, 300)])
def test_frames_come_at_the_scale_of_the_training(student_of, frame):
    """Sizes are rounded up to multiples of 16: frames are not enlarged by that, for `Student.predict` does not."""
    student = student_of(input_scale=0.5)
    size = network_size(frame, 0.5)
    pre = contract(student, size, "letterbox", frame)
    content = FramePlacement.of(pre, frame, size).content
    assert (
        np.abs(np.subtract(content, np.multiply(frame, 0.5))).max() <= 1
    )  # one factor for sides that round differently
    if not frame[0] % 2 and not frame[1] % 2:
        assert content == (frame[0] // 2, frame[1] // 2)
    assert pre.depth_scale == pytest.approx(0.5, abs=1 / min(frame))
    twice = (2 * frame[0], 2 * frame[1])  # another camera, the same view
    assert FramePlacement.of(pre, twice, size).content == content
    assert contract(student, size, "stretch", frame).content is None


def test_another_size_than_the_students_own_is_filled(student_of):
    for student, size in ((student_of(input_scale=0.5), (400, 608)), (student_of(), (208, 304))):
        pre = contract(student, size, "letterbox", (400, 600))
        assert pre.content is None
        assert 0 in np.subtract(size, FramePlacement.of(pre, (800, 1200), size).content)


def test_forms_are_the_native_ones_unless_asked(student_of):
    tasks = student_of().tasks
    assert forms_of(tasks, {}) == {
        "semantic": ("classes",),
        "depth": ("depth",),
        "normals": ("normals",),
        "landing": ("mask",),
    }
    assert forms_of(tasks, {"semantic": ["classes", "confidence"]})["semantic"] == ("classes", "confidence")


@pytest.mark.parametrize(
    ("asked", "what", "where", "fix"),
    [
        ({"sematic": ["classes"]}, "sematic", "export.outputs", "semantic"),
        ({"depth": ["classes"]}, "no classes of 'depth'", "export.outputs.depth", "depth, logits"),
        ({"depth": []}, "no form", "export.outputs.depth", "depth, logits"),
    ],
)
def test_a_form_that_is_not_there_names_those_that_are(student_of, asked, what, where, fix):
    with pytest.raises(EdgekitError, match=what) as caught:
        forms_of(student_of().tasks, asked)
    assert caught.value.where == where and fix in caught.value.fix
