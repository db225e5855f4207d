"""Paired differences of models on the same frames, against the jackknife written out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from edgekit.data.source import FrameInfo
from edgekit.evaluate.paired import GROUPS, Paired, paired
from edgekit.tasks import Task

SEMANTIC = Task("classes", "semantic", classes=("a", "b", "c"))
DEPTH = Task("depth", "depth", range=(1.0, 100.0), unit="m")
SIZE = (6, 8)


class Frames:
    """What ``paired`` reads: rgb and the labels of a task."""

    def __init__(self, labels: dict[str, np.ndarray], task: str):
        self.labels, self.task = labels, task

    def read(self, frame, names):
        return {"rgb": np.zeros((*SIZE, 3), np.uint8), self.task: self.labels[frame.name]}


def infos(count: int) -> list[FrameInfo]:
    return [FrameInfo(f"f{i}", "s", i, "train", True) for i in range(count)]


def miou(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """By its definition: per class intersection over union over all pixels, mean over the classes that labels hold."""
    said, true = (np.concatenate([p[i].ravel() for p in pairs]) for i in (0, 1))
    return float(np.mean([((said == c) & (true == c)).sum() / ((said == c) | (true == c)).sum() for c in set(true)]))


@pytest.mark.parametrize("count", [2, 7, GROUPS, 23])
def test_scores_and_standard_error_are_those_of_the_jackknife_by_hand(count):
    rng = np.random.default_rng(count)
    labels = {f"f{i}": rng.integers(0, 3, SIZE).astype(np.uint8) for i in range(count)}
    said = {}
    for model, wrong in (("good", 0.2), ("bad", 0.5)):
        for name, label in labels.items():
            noise = rng.random(SIZE) < wrong
            said[model, name] = np.where(noise, rng.integers(0, 3, SIZE), label).astype(np.uint8)
    models = {m: (lambda f, s, m=m: {"classes": said[m, f.name]}) for m in ("good", "bad")}
    found = paired(models, Frames(labels, "classes"), infos(count), SEMANTIC)

    def score(model: str, names: list[str]) -> float:
        return miou([(said[model, n], labels[n]) for n in names])

    everything, groups = list(labels), min(GROUPS, count)
    whole = score("good", everything) - score("bad", everything)
    parts = []
    for g in range(groups):
        left = [n for i, n in enumerate(everything) if i * groups // count != g]
        parts.append(score("good", left) - score("bad", left))
    error = math.sqrt((groups - 1) / groups * sum((p - sum(parts) / groups) ** 2 for p in parts))
    difference = found.difference("good", "bad")
    assert difference == pytest.approx((whole, error)) and whole > 0 and error > 0
    assert found.difference("bad", "good") == pytest.approx((-whole, error))
    assert found.difference("good", "good") == (0.0, 0.0)


def test_frames_in_a_row_that_say_the_same_are_left_out_together():
    """Ten runs of six equal frames: the error is that of ten frames, not the smaller one of sixty."""
    rng = np.random.default_rng(0)
    ten = rng.normal(12, 1, 10).round(3)
    every = np.repeat(ten, 6)

    def found(values: np.ndarray) -> tuple[float, float]:
        labels = {f"f{i}": np.full(SIZE, 10.0, np.float32) for i in range(len(values))}
        models = {
            "right": lambda f, s: {"depth": labels[f.name]},
            "off": lambda f, s: {"depth": np.full(SIZE, values[f.index], np.float32)},
        }
        return paired(models, Frames(labels, "depth"), infos(len(values)), DEPTH).difference("right", "off")

    assert found(every) == pytest.approx(found(ten))
    assert found(ten)[1] == pytest.approx(np.std(np.abs(ten - 10) / 10, ddof=1) / math.sqrt(10), rel=1e-4)


def test_a_smaller_error_is_better_where_the_metric_is_an_error():
    depth = {f"f{i}": np.full(SIZE, 10.0 + i, np.float32) for i in range(4)}

    def predict(factor: float):
        def answer(frame, size):
            return {"depth": np.float32(factor) * depth[frame.name]}

        return answer

    found = paired({"near": predict(1.1), "far": predict(1.5)}, Frames(depth, "depth"), infos(4), DEPTH)
    better, _ = found.difference("near", "far")
    assert better == pytest.approx(found.scores["far"] - found.scores["near"]) and better > 0


def test_what_no_pixel_defines_cannot_be_compared():
    found = Paired(SEMANTIC, {"a": 0.5, "b": 0.4}, {"a": [0.5, None], "b": [0.4, 0.4]})
    assert found.difference("a", "b") is None


def test_every_model_is_asked_about_every_frame_once_and_progress_says_so():
    asked, told = SimpleNamespace(frames=[]), []
    labels = {f"f{i}": np.zeros(SIZE, np.uint8) for i in range(3)}

    def predict(frame, size):
        asked.frames.append((frame.name, size))
        return {"classes": np.zeros(SIZE, np.uint8)}

    paired({"x": predict, "y": predict}, Frames(labels, "classes"), infos(3), SEMANTIC, progress=told.append)
    assert sorted(asked.frames) == sorted([(f"f{i}", SIZE) for i in range(3)] * 2) and told == [1, 2, 3, 4, 5, 6]
