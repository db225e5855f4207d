"""The frames of a run: folds, bad files, computed modalities, the cache."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.data.frameset import FrameSet
from edgekit.data.modalities import COMPUTED
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.tasks import Task

RGB_BYTES = 6 * 8 * 3


class Counting:
    """``count`` train frames of which every third is labelled, two val frames; counts what is read."""

    sequential = True

    def __init__(self, count: int = 12, splits=("train", "val")):
        self.tasks = {
            "rgb": Task("rgb", "modality", channels=3, range=(0.0, 255.0)),
            "semantic": Task("semantic", "semantic", classes=("a", "b")),
        }
        self._frames = {
            "train": [FrameInfo(f"t{i}", "s", i, "train", i % 3 == 0) for i in range(count)],
            "val": [FrameInfo(f"v{i}", "s", i, "val", True) for i in range(2)],
        }
        self._splits = splits
        self.reads: list[tuple[str, tuple[str, ...]]] = []

    def splits(self):
        return self._splits

    def frames(self, split):
        return list(self._frames[split])

    def read(self, frame, names):
        self.reads.append((frame.name, tuple(sorted(names))))
        rng = np.random.default_rng(frame.index)
        maps = {"rgb": rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)}
        if frame.labelled:
            maps["semantic"] = rng.integers(0, 2, (6, 8)).astype(np.uint8)
        return {n: maps[n] for n in names if n in maps}

    def flow(self, frame):
        return np.full((6, 8, 2), frame.index, np.float32)


def test_computed_modalities_come_from_rgb_and_only_what_was_asked_for_comes_back():
    frames = FrameSet(Counting())
    frame = frames.frames("train")[0]
    rgb = frames.read(frame, ["rgb"])["rgb"]
    found = frames.read(frame, ["edges", "hsv"])
    assert list(found) == ["edges", "hsv"]
    for name, array in found.items():
        np.testing.assert_array_equal(array, COMPUTED[name].compute(rgb))
        assert frames.tasks[name] == COMPUTED[name].task


def test_a_stored_task_goes_before_a_computed_one_of_the_same_name():
    source = Counting()
    source.tasks["edges"] = Task("edges", "modality", channels=7)
    assert FrameSet(source).tasks["edges"].channels == 7


def test_an_absent_task_stays_absent():
    frames = FrameSet(Counting(), cache_bytes=1 << 20)
    labelled, unlabelled = frames.frames("train")[:2]
    for _ in range(2):
        assert set(frames.read(labelled, ["rgb", "semantic"])) == {"rgb", "semantic"}
        assert set(frames.read(unlabelled, ["rgb", "semantic"])) == {"rgb"}


def test_what_was_read_stays_in_memory():
    source = Counting()
    frames = FrameSet(source, cache_bytes=1 << 20)
    frame = frames.frames("train")[0]
    first = frames.read(frame, ["rgb"])["rgb"]
    assert frames.read(frame, ["rgb"])["rgb"] is first
    frames.read(frame, ["rgb", "semantic"])
    assert source.reads == [("t0", ("rgb",)), ("t0", ("semantic",))]


@pytest.mark.parametrize("room", [0, 2, 5])
def test_the_cache_holds_no_more_than_it_may(room):
    source = Counting()
    frames = FrameSet(source, cache_bytes=room * RGB_BYTES + 1)
    for _ in range(2):
        for frame in frames.frames("train"):
            frames.read(frame, ["rgb"])
    assert len(source.reads) == 2 * 12 - room


def test_bad_frames_are_left_out_and_a_split_without_frames_is_an_error():
    frames = FrameSet(Counting(), excluded={"t1", "v0", "v1"})
    assert "t1" not in [f.name for f in frames.frames("train")] and len(frames.frames("train")) == 11
    with pytest.raises(EdgekitError, match="'val' has no usable frame"):
        frames.frames("val")
    with pytest.raises(EdgekitError, match="no split 'tset'") as caught:
        frames.frames("tset")
    assert "train, val" in caught.value.fix


@pytest.mark.parametrize("count", [2, 3, 4])
def test_folds_are_disjoint_cover_the_labelled_frames_and_hold_out_unlabelled_ones_from_train(count):
    source = Counting(24)
    labelled = {f.name for f in source.frames("train") if f.labelled}
    held = []
    for index in range(count):
        frames = FrameSet(source, fold=(index, count))
        val, train = frames.frames("val"), frames.frames("train")
        assert all(f.labelled and f.split == "train" for f in val)
        assert not {f.name for f in val} & {f.name for f in train}
        assert [f.index for f in train] == sorted(f.index for f in train)
        held.append({f.name for f in val})
        unlabelled = [f for f in train if not f.labelled]
        assert len(unlabelled) == pytest.approx(16 * (1 - 1 / count), abs=1)
        assert len(train) - len(unlabelled) == 8 - len(val)
    assert set().union(*held) == labelled and sum(map(len, held)) == len(labelled)


def test_a_fold_needs_no_val_split_and_leaves_other_splits_alone():
    frames = FrameSet(Counting(splits=("train",)), fold=(0, 4))
    assert frames.splits() == ("train", "val") and frames.frames("val")
    assert FrameSet(Counting(), fold=(0, 4)).splits() == ("train", "val")
    assert FrameSet(Counting(splits=("train",))).splits() == ("train",)


def test_flow_and_order_are_the_source_s():
    frames = FrameSet(Counting())
    assert frames.sequential
    np.testing.assert_array_equal(frames.flow(frames.frames("train")[3]), np.full((6, 8, 2), 3))
