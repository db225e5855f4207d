"""Overlays: the frame's own size, the classes' colours, a legend that names what is there."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.runtime.legend import badge, legend
from edgekit.runtime.overlay import overlay
from edgekit.tasks import Task

SEMANTIC = Task("semantic", "semantic", classes=("ground", "water"), colours=((200, 0, 0), (0, 0, 200)))
DEPTH = Task("depth", "depth", range=(1.0, 100.0), unit="m")
RELATIVE = Task("near", "depth")
NORMALS = Task("normals", "normals")
BINARY = Task("safe", "binary")


def result(task: Task, size: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    if task.kind in ("semantic", "binary"):
        return rng.integers(0, 2, size, dtype=np.uint8)
    if task.kind == "depth":
        return rng.uniform(*task.range, size).astype(np.float32)
    n = rng.normal(size=(*size, 3)).astype(np.float32)
    return n / np.linalg.norm(n, axis=-1, keepdims=True)


@pytest.mark.parametrize("task", [SEMANTIC, DEPTH, RELATIVE, NORMALS, BINARY], ids=lambda t: t.name)
@pytest.mark.parametrize("size", [(1, 1), (60, 90), (200, 190), (270, 480)])
def test_an_overlay_is_as_large_as_its_frame(task, size):
    frame = np.full((*size, 3), 99, np.uint8)
    kept = frame.copy()
    picture = overlay(frame, task, result(task, size), "12.3 fps")
    assert picture.shape == frame.shape and picture.dtype == np.uint8
    assert (frame == kept).all()


def test_class_colours_are_mixed_with_the_frame_and_pure_at_borders():
    frame = np.full((40, 60, 3), 100, np.uint8)
    classes = np.zeros((40, 60), np.uint8)
    classes[:, 30:] = 1
    picture = overlay(frame, SEMANTIC, classes).astype(int)
    assert np.abs(picture[20, 10] - [150, 50, 50]).max() <= 1 and np.abs(picture[20, 50] - [50, 50, 150]).max() <= 1
    assert picture[20, 29].tolist() == [200, 0, 0] and picture[20, 30].tolist() == [0, 0, 200]


def test_a_frame_in_bgr_order_turned_around_may_be_painted_over():
    frame = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for task in (SEMANTIC, DEPTH):
        maps = result(task, (30, 40))
        assert (overlay(frame[..., ::-1], task, maps) == overlay(frame[..., ::-1].copy(), task, maps)).all()


def test_distances_are_painted_over_grey():
    """A red and a blue frame of one brightness look alike: only distance decides the hue."""
    red, blue = np.zeros((2, 30, 40, 3), np.uint8)
    red[..., 0], blue[..., 2] = 95, 249  # 0.299 · 95 = 0.114 · 249
    maps = np.full((30, 40), 10, np.float32)
    assert np.abs(overlay(red, DEPTH, maps).astype(int) - overlay(blue, DEPTH, maps)).max() <= 1


def test_the_legend_lists_what_is_there_by_area(monkeypatch):
    listed = []
    monkeypatch.setattr("edgekit.runtime.legend._rows", lambda rows, letters: listed.extend(rows))
    task = Task("semantic", "semantic", classes=("a", "b", "c"), colours=((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    classes = np.zeros((10, 10), np.uint8)
    classes[:, 2:] = 2
    classes[0, 0] = 255
    legend(task, classes, 12)
    assert listed == [((3, 3, 3), "c", "80%"), ((1, 1, 1), "a", "19%"), ((0, 0, 0), "no answer", "1.0%")]


@pytest.mark.parametrize("task", [SEMANTIC, DEPTH, RELATIVE, NORMALS, BINARY], ids=lambda t: t.name)
def test_legends_grow_with_their_letters(task):
    maps = result(task, (20, 30))
    small, large = legend(task, maps, 10), legend(task, maps, 30)
    assert small.shape[-1] == large.shape[-1] == 4 and small.dtype == np.uint8
    assert large.shape[0] > 2 * small.shape[0] and large.shape[1] > 2 * small.shape[1]


def test_a_map_without_an_answer_has_a_legend():
    assert legend(DEPTH, np.full((4, 4), np.nan, np.float32), 12).shape[-1] == 4
    assert legend(SEMANTIC, np.full((4, 4), 255, np.uint8), 12).shape[-1] == 4
    assert badge("", 12).shape[-1] == 4
