"""Mean and deviation of modalities, and the weights of classes, against numpy on the whole data at once."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.data import statistics
from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.data.statistics import class_weights, compute_statistics
from edgekit.errors import EdgekitError
from edgekit.tasks import Task


class Made:
    sequential = False

    def __init__(self, maps: list[dict[str, np.ndarray]]):
        self.tasks = {
            "rgb": Task("rgb", "modality", channels=3, range=(0.0, 255.0)),
            "depth": Task("depth", "depth", range=(1.0, 100.0), unit="m"),
            "guess": Task("guess", "semantic", classes=("a", "b", "c")),
            "nowhere": Task("nowhere", "modality", channels=2),
        }
        self._maps = maps
        self.read_frames: list[int] = []

    def splits(self):
        return ("train",)

    def frames(self, split):
        return [FrameInfo(str(i), "s", i, split, True) for i in range(len(self._maps))]

    def read(self, frame, names):
        self.read_frames.append(frame.index)
        return {n: self._maps[frame.index][n] for n in names if n in self._maps[frame.index]}


def made(count: int = 6) -> Made:
    rng = np.random.default_rng(0)
    maps = []
    for i in range(count):
        depth = rng.uniform(0.5, 120, (5, 7)).astype(np.float32)
        depth[rng.random((5, 7)) < 0.3] = np.nan
        guess = rng.choice(np.array([0, 1, 255], np.uint8), (5, 7))
        frame = {"rgb": rng.integers(0, 256, (5, 7, 3)).astype(np.uint8), "depth": depth, "guess": guess}
        frame["rgb"][..., 2] = 90  # never changes
        if i == 2:
            del frame["depth"]
        maps.append(frame)
    return Made(maps)


def test_against_numpy_over_all_valid_pixels():
    source = made()
    frames = FrameSet(source)
    found = compute_statistics(frames, frames.frames("train"), ["rgb", "depth", "guess"])
    rgb = np.concatenate([m["rgb"].reshape(-1, 3) for m in source._maps]).astype(float)
    np.testing.assert_allclose(found["rgb"][0], rgb.mean(0), rtol=1e-9)
    np.testing.assert_allclose(found["rgb"][1][:2], rgb.std(0)[:2], rtol=1e-6)
    assert found["rgb"][1][2] == 1.0  # standardising a constant must not divide by 0
    metres = np.concatenate([m["depth"].ravel() for m in source._maps if "depth" in m]).astype(float)
    encoded = np.log(np.clip(metres[np.isfinite(metres)], 1, 100)) / np.log(100)
    np.testing.assert_allclose(found["depth"], [[encoded.mean()], [encoded.std()]], rtol=1e-5)
    classes = np.concatenate([m["guess"].ravel() for m in source._maps])
    share = np.array([(classes[classes != 255] == c).mean() for c in range(3)])
    np.testing.assert_allclose(found["guess"][0], share, rtol=1e-6)
    np.testing.assert_allclose(found["guess"][1], [*np.sqrt(share * (1 - share))[:2], 1.0], rtol=1e-5)


def test_many_frames_are_sampled_over_the_whole_split(monkeypatch):
    monkeypatch.setattr(statistics, "MOST_FRAMES", 5)
    source = made(41)
    frames = FrameSet(source)
    compute_statistics(frames, frames.frames("train"), ["rgb"])
    assert source.read_frames == [0, 10, 20, 30, 40]


def test_one_frame_is_enough():
    frames = FrameSet(made(1))
    assert len(compute_statistics(frames, frames.frames("train"), ["rgb"])["rgb"][0]) == 3


def test_a_modality_that_no_frame_has_is_refused():
    frames = FrameSet(made())
    with pytest.raises(EdgekitError, match="'nowhere'"):
        compute_statistics(frames, frames.frames("train"), ["rgb", "nowhere"])


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_class_weights_are_a_power_of_the_share_and_average_to_one(balance):
    labels = [np.repeat(np.array([0, 0, 0, 1, 255], np.uint8), 4)[:, None], np.full((4, 1), 2, np.uint8)]
    source = Made([{"guess": label} for label in labels] + [{}])
    frames = FrameSet(source)
    weights = np.array(class_weights(frames, frames.frames("train"), "guess", balance))
    share = np.array([12, 4, 4]) / 20
    assert (weights * share).sum() == pytest.approx(1)
    np.testing.assert_allclose(weights / weights[0], (share / share[0]) ** -balance)
