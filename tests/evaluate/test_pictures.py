"""The picture grid of a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.evaluate.pictures import picture_grid
from edgekit.evaluate.score import native_maps
from edgekit.tasks import Task, kind_of
from edgekit.tasks.colours import RIGHT, WRONG
from edgekit.teachers.ensemble import Prediction

SEMANTIC = Task("semantic", "semantic", classes=("a", "b"), colours=((10, 20, 30), (200, 100, 0)))
SIZE = (16, 24)
INFOS = [FrameInfo("first", "s", 0, "val", True), FrameInfo("second", "s", 1, "val", False)]


class Two:
    """A labelled frame of class 0 and an unlabelled one."""

    sequential = False
    tasks = {"rgb": Task("rgb", "modality", channels=3, range=(0.0, 255.0)), "semantic": SEMANTIC}  # noqa: RUF012

    def splits(self):
        return ("val",)

    def frames(self, split):
        return INFOS

    def read(self, frame, names):
        maps = {"rgb": np.full((*SIZE, 3), 77, np.uint8)}
        if frame.labelled:
            maps["semantic"] = np.zeros(SIZE, np.uint8)
        return {n: maps[n] for n in names if n in maps}


def say(index: int) -> np.ndarray:
    soft = np.zeros((2, *SIZE), np.float32)
    soft[index] = 1
    return soft


def shown(grid: np.ndarray, colour) -> int:
    return int((grid == np.array(colour, np.uint8)).all(-1).sum())


def test_a_row_shows_input_label_ensemble_disagreement_student_and_error():
    ensemble = [{"semantic": Prediction(torch.from_numpy(say(1))[None], torch.zeros(1, *SIZE))} for _ in INFOS]
    student = [{"semantic": say(0).argmax(0)} for _ in INFOS]
    pixels = SIZE[0] * SIZE[1]
    one = picture_grid(SEMANTIC, FrameSet(Two()), INFOS[:1], ensemble[:1], student[:1])
    assert one.dtype == np.uint8 and one.shape[1] > 6 * SIZE[1] and one.shape[0] > SIZE[0]
    assert shown(one, (77, 77, 77)) == pixels  # input
    assert shown(one, (10, 20, 30)) == 2 * pixels  # label and student
    assert shown(one, (200, 100, 0)) == pixels  # ensemble
    assert shown(one, RIGHT) == 2 * pixels  # no disagreement, no error
    both = picture_grid(SEMANTIC, FrameSet(Two()), INFOS, ensemble, [{"semantic": say(1).argmax(0)}] * 2)
    assert shown(both, WRONG) == pixels  # the unlabelled frame can have no error
    assert shown(both, (77, 77, 77)) == 2 * pixels


def test_large_frames_are_shown_smaller():
    class Large(Two):
        def read(self, frame, names):
            return {n: np.repeat(np.repeat(a, 40, 0), 40, 1) for n, a in super().read(frame, names).items()}

    soft = np.repeat(np.repeat(say(0), 40, 1), 40, 2)
    ensemble = [{"semantic": Prediction(torch.from_numpy(soft)[None], torch.zeros(1, 640, 960))}]
    grid = picture_grid(SEMANTIC, FrameSet(Large()), INFOS[:1], ensemble, [{"semantic": soft.argmax(0)}])
    assert grid.shape[1] < 6 * 300 and grid.shape[0] < 300


def test_soft_tensors_become_native_maps():
    soft = torch.zeros(1, 2, 3, 4, dtype=torch.bfloat16)
    soft[0, 1, :, 2:] = 1
    found = native_maps([SEMANTIC], {"semantic": soft})
    assert list(found) == ["semantic"] and found["semantic"].tolist() == [[0, 0, 1, 1]] * 3


@pytest.mark.parametrize("kind", ["depth", "normals", "binary"])
def test_other_kinds_have_grids_too(kind):
    task = Task(kind, kind, range=(1.0, 100.0), unit="m" if kind == "depth" else "")
    channels = kind_of(task).channels(task)
    soft = np.full((channels, *SIZE), 0.5, np.float32)

    class Made(Two):
        tasks = {**Two.tasks, kind: task}  # noqa: RUF012

        def read(self, frame, names):
            maps = {**super().read(frame, names), kind: kind_of(task).decode(task, soft)}
            return {n: maps[n] for n in names if n in maps}

    ensemble = [{kind: Prediction(torch.from_numpy(soft)[None], torch.rand(1, *SIZE))}]
    grid = picture_grid(task, FrameSet(Made()), INFOS[:1], ensemble, [{kind: kind_of(task).decode(task, soft)}])
    assert grid.shape[1] > 6 * SIZE[1]
