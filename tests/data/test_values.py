"""What values maps hold, and labels that teach nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekit.data.check import DataReport
from edgekit.data.values import ValueSummary, judge_values
from edgekit.errors import EdgekitError
from edgekit.tasks import Task

SEMANTIC = Task("semantic", "semantic", classes=("background", "roof"))
BINARY = Task("semantic", "binary")
METRES = Task("depth", "depth", range=(1.0, 300.0), unit="m")
RELATIVE = Task("depth", "depth")
NORMALS = Task("normals", "normals", range=(-1.0, 1.0))


def report_of(task: Task, *maps: np.ndarray, split: str = "train") -> DataReport:
    values = ValueSummary()
    for array in maps:
        values.add(ValueSummary.of(task, array))
    return DataReport(values={task.name: {split: values}})


def refusal(task: Task, *maps: np.ndarray, split: str = "train") -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        judge_values(report_of(task, *maps, split=split), {task.name: task}, [task.name], "val")
    return caught.value


def notes(task: Task, *maps: np.ndarray, predicted: bool = True, split: str = "train") -> list[str]:
    report = report_of(task, *maps, split=split)
    judge_values(report, {task.name: task}, [task.name] if predicted else [], "val")
    return report.notes


@given(st.lists(arrays(np.float32, (2, 3), elements=st.floats(-50, 400, width=32) | st.just(np.nan)), max_size=4))
def test_values_of_frames_are_those_of_all_their_pixels(maps):
    values = ValueSummary()
    for array in maps:
        values.add(ValueSummary.of(METRES, array))
    everything = [v for array in maps for v in array.ravel().tolist()]
    valid = [v for v in everything if v == v]
    assert (values.total, values.valid) == (len(everything), len(valid))
    assert (values.least, values.most) == ((min(valid), max(valid)) if valid else (None, None))
    assert values.low == sum(v <= 1 for v in valid) and values.high == sum(v >= 300 for v in valid)


def test_masks_of_0_and_255_are_told_and_not_taken_for_background_alone():
    mask = np.array([[0, 255], [255, 255]], np.uint8)
    for task, only in ((SEMANTIC, "'background'"), (BINARY, "0")):
        error = refusal(task, mask, mask)
        assert f"are {only} or ignored: 75.0 % of the pixels are 255" in error.what
        assert "class_dict" in error.fix and "255, 255, 255" in error.fix
    roofs = np.array([[0, 1], [255, 255]], np.uint8)
    assert notes(SEMANTIC, mask, roofs) == []


@pytest.mark.parametrize("task", [SEMANTIC, BINARY])
@pytest.mark.parametrize("value", [0, 1])
def test_labels_of_one_value_teach_nothing(task, value):
    only = f"'{task.classes[value]}'" if task.classes else value
    assert f"are {only} everywhere" in refusal(task, np.full((2, 2), value, np.uint8)).what


@pytest.mark.parametrize(
    ("task", "empty"),
    [
        (SEMANTIC, np.full((2, 2), 255, np.uint8)),
        (BINARY, np.full((2, 2), 255, np.uint8)),
        (METRES, np.full((2, 2), np.nan, np.float32)),
        (NORMALS, np.full((2, 2, 3), np.nan, np.float32)),
    ],
)
def test_labels_without_a_value_are_refused_where_they_teach_or_are_scored(task, empty):
    for split in ("train", "val"):
        error = refusal(task, empty, split=split)
        assert f"the labels of '{task.name}' in {split} hold no valid value" in error.what
    assert len(notes(task, empty, split="test")) == 1
    assert len(notes(task, empty, predicted=False)) == 1


@pytest.mark.parametrize(
    ("task", "depth", "end"),
    [
        (METRES, 300.0, "the upper end of their range, 300 m"),  # millimetres, clipped as they are read
        (METRES, 0.02, "the lower end of their range, 1 m"),  # kilometres
        (RELATIVE, 1.0, "the upper end of their range, 1"),  # metres
    ],
)
def test_depth_in_another_unit_is_refused(task, depth, end):
    array = np.full((10, 10), depth, np.float32)
    error = refusal(task, array)
    assert end in error.what and "100.0 % of the pixels" in error.what and "millimetres" in error.fix
    assert any("at or beyond" in note for note in notes(task, array, predicted=False))
    array[:2] = 0.9 if task is RELATIVE else 40.0  # a fifth lies inside: a far horizon, and no other unit
    assert notes(task, array) == []


@pytest.mark.parametrize(("least", "most", "told"), [(0, 15, True), (200, 255, True), (0, 255, False), (30, 90, False)])
def test_photographs_that_use_few_of_their_bits_are_noted(least, most, told):
    rgb = Task("rgb", "modality", channels=3, range=(0.0, 255.0))
    found = notes(rgb, np.full((2, 2, 3), least, np.uint8), np.full((2, 2, 3), most, np.uint8), predicted=False)
    assert len(found) == told and all(f"between {least} and {most} of 255" in note for note in found)


def test_classes_without_a_label_are_noted():
    report = DataReport(shares={"semantic": {"train": {"a": 0.4, "b": 0.0, "c": 0.6, "d": 0.0}, "val": {"a": None}}})
    judge_values(report, {}, [], "val")
    assert report.notes == ["no train label of 'semantic' holds b, d"]
