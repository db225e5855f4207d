"""Scores of a predictor: what is counted, in which order, and the temporal consistency of a film."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.evaluate.score import is_better, native_maps, primary_metric, score
from edgekit.tasks import Task, kind_of

SEMANTIC = Task("semantic", "semantic", classes=("a", "b", "c"))
DEPTH = Task("depth", "depth", range=(1.0, 100.0), unit="m")
NORMALS = Task("normals", "normals", range=(-1.0, 1.0))
SIZE = (8, 12)


class Film:
    """A class map that moves ``speed`` pixels to the right per frame; two scenes of four frames."""

    sequential = True

    def __init__(self, speed: int = 2, exact: bool = True, unlabelled: tuple[int, ...] = ()):
        self.tasks = {
            "rgb": Task("rgb", "modality", channels=3),
            "semantic": SEMANTIC,
            "depth": DEPTH,
            "normals": NORMALS,
        }
        self._speed, self._exact = speed, exact
        self.all = [
            FrameInfo(f"{s}{i}", s, i, "val", not (s == "x" and i in unlabelled)) for s in ("x", "y") for i in range(4)
        ]
        rng = np.random.default_rng(0)
        self._world = {s: rng.integers(0, 3, (SIZE[0], 40)).astype(np.uint8) for s in ("x", "y")}

    def splits(self):
        return ("val",)

    def frames(self, split):
        return self.all

    def read(self, frame, names):
        rng = np.random.default_rng(frame.index)
        start = 20 - self._speed * frame.index  # the camera pans left, the picture moves right
        label = self._world[frame.scene][:, start : start + SIZE[1]].copy()
        depth = rng.uniform(1, 100, SIZE).astype(np.float32)
        depth[0, 0] = np.nan
        normals = rng.normal(size=(*SIZE, 3)).astype(np.float32)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        maps = {"rgb": np.stack([label * 80] * 3, -1), "semantic": label, "depth": depth, "normals": normals}
        return {n: maps[n] for n in names}

    def flow(self, frame):
        return np.broadcast_to(np.float32([self._speed, 0]), (*SIZE, 2)) if self._exact else None


def perfect(source: Film):
    def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        assert size == SIZE
        maps = source.read(frame, ["semantic", "depth", "normals"])
        soft = {n: kind_of(t).encode(t, maps[n]).transpose(2, 0, 1) for n, t in source.tasks.items() if n in maps}
        return native_maps(
            list(source.tasks.values()), {n: torch.tensor(s).nan_to_num()[None] for n, s in soft.items()}
        )

    return predict


def test_a_perfect_predictor_scores_perfectly():
    source = Film()
    frames = FrameSet(source)
    found = score(perfect(source), frames, frames.frames("val"), [SEMANTIC, DEPTH, NORMALS], sequential=True)
    assert found["semantic"]["miou"] == found["semantic"]["temporal_consistency"] == 1.0
    assert found["depth"]["absrel"] == pytest.approx(0, abs=1e-5) and found["depth"]["delta125"] == 1.0
    assert found["normals"]["mean_angle"] == pytest.approx(0, abs=0.05) and found["normals"]["within_11_25"] == 1.0


def test_consistency_is_the_share_that_stays_the_same_under_the_flow():
    """The predictor says one class per frame; only frames 1 and 2 of each scene agree."""
    source = Film()
    frames = FrameSet(source)

    def predict(frame, size):
        return {"semantic": np.full(size, [0, 1, 1, 2][frame.index], np.uint8)}

    found = score(predict, frames, frames.frames("val"), [SEMANTIC], sequential=True)
    assert found["semantic"]["temporal_consistency"] == pytest.approx(1 / 3)


def test_neighbours_are_frames_that_follow_each_other_in_one_scene():
    source = Film()
    frames = FrameSet(source)
    asked = []
    source.flow = lambda frame: asked.append(frame.name) or np.zeros((*SIZE, 2), np.float32)
    infos = [f for f in frames.frames("val") if f.name not in ("x1", "y3")]
    score(perfect(source), frames, infos, [SEMANTIC], sequential=True)
    assert asked == ["x2", "y0", "y1"]


def test_without_exact_flow_it_is_estimated(monkeypatch):
    source = Film(exact=False)
    frames = FrameSet(source)
    pairs = []

    def estimate(now, later):
        pairs.append((now, later))
        return np.broadcast_to(np.float32([2, 0]), (*SIZE, 2))

    monkeypatch.setattr("edgekit.evaluate.score.dis_flow", estimate)
    infos = frames.frames("val")
    found = score(perfect(source), frames, infos, [SEMANTIC], sequential=True)
    assert found["semantic"]["temporal_consistency"] == 1.0 and len(pairs) == 6
    np.testing.assert_array_equal(pairs[0][0], source.read(infos[0], ["rgb"])["rgb"])
    np.testing.assert_array_equal(pairs[0][1], source.read(infos[1], ["rgb"])["rgb"])


def test_photographs_in_no_order_have_no_consistency():
    source = Film()
    frames = FrameSet(source)
    found = score(perfect(source), frames, frames.frames("val"), [SEMANTIC, DEPTH], sequential=False)
    assert "temporal_consistency" not in found["semantic"]


def test_frames_whose_labels_do_not_count_are_not_scored():
    source = Film(unlabelled=(0, 1, 2, 3))
    frames = FrameSet(source)

    def wrong_in_x(frame, size):
        right = perfect(source)(frame, size)
        return right if frame.scene == "y" else {"semantic": (right["semantic"] + 1) % 3}

    found = score(wrong_in_x, frames, frames.frames("val"), [SEMANTIC], sequential=False)
    assert found["semantic"]["miou"] == 1.0
    nothing = score(wrong_in_x, frames, frames.frames("val")[:4], [SEMANTIC], sequential=False)
    assert primary_metric(SEMANTIC, nothing) is None


def test_progress_is_told_of_every_frame():
    source = Film()
    frames = FrameSet(source)
    told = []
    score(perfect(source), frames, frames.frames("val"), [DEPTH], sequential=True, progress=told.append)
    assert told == list(range(1, 9))


def test_which_primary_metric_is_better():
    assert is_better(SEMANTIC, 0.6, 0.5) and not is_better(SEMANTIC, 0.5, 0.5)
    assert is_better(DEPTH, 0.1, 0.2) and not is_better(DEPTH, 0.2, 0.1)
    for a, b in ((None, 0.1), (0.1, None), (None, None)):
        assert not is_better(NORMALS, a, b)
    assert primary_metric(DEPTH, {"depth": {"absrel": 0.25, "rmse": 3.0}}) == 0.25
