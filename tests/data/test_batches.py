"""Batches: what is in them, and that batch k is a function of k alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from edgekit.data.batches import Batch, Batches, BatchPlan, EndlessShuffle, SoftMap
from edgekit.data.config import AugmentConfig
from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.tasks import Task
from edgekit.tasks.task import IGNORE

CLASSES = 8
SIZE = (64, 96)


class Ids:
    """Frame i is all of colour (i, i, i), class i, depth i + 1 m; normals face the camera."""

    sequential = False

    def __init__(self, count: int, labelled: int):
        self.tasks = {
            "rgb": Task("rgb", "modality", channels=3, range=(0.0, 255.0)),
            "semantic": Task("semantic", "semantic", classes=tuple("abcdefgh")),
            "depth": Task("depth", "depth", range=(0.5, 100.0), unit="m"),
            "normals": Task("normals", "normals", range=(-1.0, 1.0)),
            "guess": Task("guess", "semantic", classes=("x", "y")),
        }
        self.all = [FrameInfo(str(i), "s", i, "train", i < labelled) for i in range(count)]

    def splits(self):
        return ("train",)

    def frames(self, split):
        return self.all

    def read(self, frame, names):
        names, i = set(names), frame.index
        assert frame.labelled or not names & {"semantic", "depth", "normals"}, "labels of an unlabelled frame were read"
        maps = {
            "rgb": np.full((*SIZE, 3), i, np.uint8),
            "semantic": np.full(SIZE, i, np.uint8),
            "depth": np.full(SIZE, i + 1, np.float32),
            "normals": np.broadcast_to(np.float32([0, 0, -1]), (*SIZE, 3)),
        }
        if i % 2:
            maps["guess"] = np.zeros(SIZE, np.uint8)
        return {n: maps[n] for n in names if n in maps}

    def flow(self, frame):
        return None


def target_of(frame: FrameInfo) -> dict[str, SoftMap]:
    """One-hot of the frame's class at a quarter of its size; agreement (i + 1) / 10."""
    small = (SIZE[0] // 4, SIZE[1] // 4)
    soft = np.zeros((*small, CLASSES), np.float32)
    soft[..., frame.index] = 1
    return {"semantic": SoftMap(soft, np.full(small, (frame.index + 1) / 10, np.float32))}


def batches_of(count: int = 7, labelled: int = 3, **changes) -> Batches:
    source = Ids(count, labelled)
    plan = {
        "labelled": source.all[:labelled],
        "others": source.all[labelled:],
        "size": 4,
        "supervised": 2,
        "crop": (32, 48),
        "inputs": ["rgb", "guess", "edges"],
        "tasks": ["semantic", "depth", "normals"],
        "augment": AugmentConfig(scale=(1.0, 1.0), colour=0.0),
        "seed": 5,
    }
    return Batches(FrameSet(source, cache_bytes=1 << 20), BatchPlan(**{**plan, **changes}))


HARD = AugmentConfig(vertical_flip=True, rotate=30, scale=(0.7, 1.4), colour=0.3, cutmix=0.7)


def equal(a: Batch, b: Batch) -> None:
    assert a.step == b.step
    for part in ("inputs", "labels", "soft", "agreement"):
        mine, other = getattr(a, part), getattr(b, part)
        assert list(mine) == list(other)
        for name in mine:
            np.testing.assert_array_equal(mine[name].numpy(), other[name].numpy(), err_msg=f"{part} {name}")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_frame_is_drawn_once_per_epoch_in_a_new_order(count):
    frames = [FrameInfo(str(i), "s", i, "train", True) for i in range(count)]
    draw = EndlessShuffle(frames, [3, 0])
    epochs = [[draw[n].index for n in range(e * count, (e + 1) * count)] for e in range(5)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert count < 7 or len({tuple(e) for e in epochs}) > 1


def test_random_access_to_a_draw_equals_sequential_access():
    frames = [FrameInfo(str(i), "s", i, "train", True) for i in range(6)]
    in_order, at_random = EndlessShuffle(frames, [3, 0]), EndlessShuffle(frames, [3, 0])
    sequence = [in_order[n] for n in range(40)]
    for n in np.random.default_rng(0).permutation(40):
        assert at_random[int(n)] == sequence[n]
    assert [EndlessShuffle(frames, [4, 0])[n] for n in range(40)] != sequence


def test_shapes_and_types():
    batch = batches_of(targets=target_of, target_stride=4)[0]
    assert {n: (tuple(t.shape), t.dtype) for n, t in batch.inputs.items()} == {
        "rgb": ((4, 3, 32, 48), torch.float32),
        "guess": ((4, 2, 32, 48), torch.float32),
        "edges": ((4, 1, 32, 48), torch.float32),
    }
    assert (tuple(batch.labels["semantic"].shape), batch.labels["semantic"].dtype) == ((4, 32, 48), torch.int64)
    assert (tuple(batch.labels["depth"].shape), batch.labels["depth"].dtype) == ((4, 1, 32, 48), torch.float32)
    assert tuple(batch.labels["normals"].shape) == (4, 3, 32, 48)
    assert tuple(batch.soft["semantic"].shape) == (4, CLASSES, 8, 12)
    assert tuple(batch.agreement["semantic"].shape) == (4, 8, 12)
    assert batch.inputs["rgb"].is_contiguous(memory_format=torch.channels_last)


def test_a_batch_holds_its_share_of_labelled_frames_and_unlabelled_ones_bring_no_label():
    batches = batches_of(targets=target_of, target_stride=4)
    seen = [set(), set()]
    for step in range(12):
        batch = batches[step]
        ids = batch.inputs["rgb"][:, 0].amax(dim=(1, 2)).long()
        for slot, i in enumerate(ids.tolist()):
            labelled = slot < 2
            seen[labelled].add(i)
            assert (i < 3) == labelled
            for name, label in batch.labels.items():
                empty = label[slot] == IGNORE if name == "semantic" else label[slot].isnan()
                assert bool(empty.all()) == (not labelled) and bool(empty.any()) == (not labelled), name
            if labelled:
                assert (batch.labels["semantic"][slot] == i).all()
            assert (batch.soft["semantic"][slot].argmax(0) == i).all()
            assert bool(batch.inputs["guess"][slot].isnan().all()) == (i % 2 == 0)  # missing: NaN, never zero
    assert seen == [{3, 4, 5, 6}, {0, 1, 2}]


def test_zoomed_metres_are_encoded_after_the_zoom():
    batch = batches_of(augment=AugmentConfig(scale=(2.0, 2.0), colour=0.0))[0]
    metres = 0.5 * np.exp(batch.labels["depth"][:2].numpy() * np.log(200.0))
    ids = batch.labels["semantic"][:2, None].numpy()
    np.testing.assert_allclose(metres, (ids + 1) / 2, rtol=1e-4)


def test_without_rgb_among_the_inputs_the_frames_are_read_all_the_same():
    batch = batches_of(inputs=["guess"], augment=HARD)[0]
    assert list(batch.inputs) == ["guess"]
    equal(batch, batches_of(inputs=["guess"], augment=HARD)[0])


def test_batch_k_depends_on_k_alone():
    options = {"augment": HARD, "targets": target_of, "target_stride": 4}
    first, second = batches_of(**options), batches_of(**options)
    in_order = [first[k] for k in range(8)]
    with ThreadPoolExecutor(3) as pool:
        shuffled = dict(
            zip([6, 1, 7, 0, 3, 2, 5, 4], pool.map(second.__getitem__, [6, 1, 7, 0, 3, 2, 5, 4]), strict=True)
        )
    for k, batch in enumerate(in_order):
        equal(batch, shuffled[k])
    assert not torch.equal(in_order[0].inputs["rgb"], in_order[1].inputs["rgb"])
    other = batches_of(**options, seed=6)[0]
    assert not torch.equal(in_order[0].inputs["rgb"], other.inputs["rgb"])


@pytest.mark.parametrize(("stride", "crop"), [(4, (48, 64)), (1, (48, 64)), (5, (40, 60)), (16, (48, 64))])
def test_cutmix_cuts_the_same_rectangle_from_inputs_labels_and_targets(stride, crop):
    batches = batches_of(
        labelled=6,
        size=4,
        supervised=4,
        crop=crop,
        inputs=["rgb"],
        tasks=["semantic", "depth"],
        augment=AugmentConfig(scale=(1.0, 1.0), colour=0.0, cutmix=1.0),
        targets=target_of,
        target_stride=stride,
    )
    mixed = 0
    for step in range(10):
        batch = batches[step]
        ids = batch.inputs["rgb"][:, 0].long()  # (N, H, W)
        assert torch.equal(ids, batch.labels["semantic"])
        metres = 0.5 * np.exp(batch.labels["depth"][:, 0].numpy() * np.log(200.0))
        np.testing.assert_allclose(metres, ids.numpy() + 1, rtol=1e-4)
        height, width = crop[0] // stride, crop[1] // stride
        blocks = ids.reshape(4, height, stride, width, stride)
        assert (blocks == blocks[:, :, :1, :, :1]).all(), "a rectangle ends inside a pixel of the target"
        assert torch.equal(batch.soft["semantic"].argmax(1), blocks[:, :, 0, :, 0])
        np.testing.assert_allclose(batch.agreement["semantic"], (blocks[:, :, 0, :, 0] + 1) / 10, rtol=1e-6)
        mixed += sum(len(one.unique()) == 2 for one in ids)
    assert mixed >= 30  # a rectangle of another frame in nearly every one; some draw the same frame twice


def test_cutmix_takes_its_share_of_the_frames():
    batches = batches_of(
        labelled=7,
        others=[],
        supervised=4,
        inputs=["rgb"],
        tasks=[],
        augment=AugmentConfig(scale=(1.0, 1.0), colour=0.0, cutmix=0.3),
    )
    mixed = [len(one.unique()) > 1 for step in range(60) for one in batches[step].inputs["rgb"]]
    assert np.mean(mixed) == pytest.approx(0.3, abs=0.1)


def test_outside_the_frame_targets_have_no_agreement_and_labels_are_ignored():
    batches = batches_of(
        augment=AugmentConfig(flip=False, scale=(0.5, 0.5), colour=0.0),
        crop=(64, 96),
        targets=target_of,
        target_stride=4,
    )
    batch = batches[0]
    inside = np.zeros((64, 96), bool)
    inside[16:48, 24:72] = True
    assert ((batch.labels["semantic"][0] != IGNORE).numpy() == inside).all()
    assert (np.isfinite(batch.labels["normals"][0, 0].numpy()) == inside).all()
    assert ((batch.agreement["semantic"][0] > 0).numpy() == inside[::4, ::4]).all()
    assert torch.isfinite(batch.soft["semantic"]).all() and torch.isfinite(batch.inputs["rgb"]).all()


def test_moving_a_batch_keeps_everything():
    batch = batches_of(targets=target_of, target_stride=4)[3]
    equal(batch, batch.to(torch.device("cpu")))
