"""Depth in 16-bit PNGs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from edgekit.data.check import check_source
from edgekit.data.registry import SOURCES
from edgekit.errors import EdgekitError
from edgekit.tasks import kind_of

KITTI = {"scale": 256, "range": [1, 80]}


@pytest.fixture
def write(root, photograph):
    def write(name: str, stored: np.ndarray) -> None:
        split, stem = name.split("/")
        photograph(root / split / "images" / f"{stem}.png", 0, 1, stored.shape[:2])
        (root / split / "depth").mkdir(exist_ok=True)
        Image.fromarray(stored).save(root / split / "depth" / f"{stem}.png")

    for name in ("train/a", "train/b", "val/c"):
        write(name, np.full((4, 6), 2560, np.uint16))
    return write


def depth_of(source, name: str) -> np.ndarray:
    frame = next(f for split in source.splits() for f in source.frames(split) if f.name == name)
    return source.read(frame, ["rgb", "depth"])["depth"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(st.integers(0, 65535), min_size=24, max_size=24), st.sampled_from([256, 1000, 5000]))
def test_metres_are_what_is_stored_by_the_scale_and_zero_is_a_hole(write, open_source, stored, scale):
    write("train/a", np.array(stored, np.uint16).reshape(4, 6))
    source = open_source("depth_folder", scale=scale, range=[0.5, 80])
    depth = depth_of(source, "a")
    assert depth.dtype == np.float32 and depth.shape == (4, 6)
    for value, metres in zip(stored, depth.ravel(), strict=True):
        assert np.isnan(metres) if value == 0 else metres == pytest.approx(value / scale, rel=1e-6)
    kind_of(source.tasks["depth"]).validate(source.tasks["depth"], depth, "a")


def test_frames_splits_and_the_labelled_share(write, root, open_source):
    source = open_source("depth_folder", **KITTI, labelled=0.5)
    assert [(f.name, f.labelled) for f in source.frames("train")] == [("a", True), ("b", False)]
    assert set(source.read(source.frames("train")[1], ["rgb", "depth"])) == {"rgb"}
    assert (source.tasks["depth"].unit, source.tasks["depth"].range) == ("m", (1, 80))
    other = open_source("depth_folder", scale=1000, range=[1, 80], labelled=0.5)
    assert source.fingerprint() != other.fingerprint()
    report = check_source(source)
    assert report.splits["train"].labelled == 1 and report.values["depth"]["val"].most == 10


def test_kittis_folders_by_a_pattern(root, photograph, open_source):
    for drive in ("2011_09_26_drive_0001_sync", "2011_09_26_drive_0005_sync"):
        photograph(root / "raw" / "2011_09_26" / drive / "image_02" / "data" / "0000000005.png")
        folder = root / "depth" / "train" / drive / "proj_depth" / "groundtruth" / "image_02"
        folder.mkdir(parents=True)
        Image.fromarray(np.full((9, 12), 512, np.uint16)).save(folder / "0000000005.png")
    images = "raw/**/*_sync/image_02/data/*.png"
    labels = "depth/train/*_sync/proj_depth/groundtruth/image_02/*.png"
    source = open_source("depth_folder", **KITTI, splits={"train": {"images": images, "labels": labels}})
    assert [f.name for f in source.frames("train")] == [f"2011_09_26_drive_{n}/0000000005" for n in ("0001", "0005")]
    assert (depth_of(source, "2011_09_26_drive_0005/0000000005") == 2).all()


def test_resizing_picks_values_and_never_mixes_them(write, open_source):
    stored = np.random.default_rng(0).choice(np.array([0, 300, 9000], np.uint16), (4, 6))
    write("train/a", stored)
    depth = depth_of(open_source("depth_folder", **KITTI, size=[2, 3]), "a")
    assert depth.shape == (2, 3)
    assert set(np.nan_to_num(depth).ravel() * 256) <= {0, 300, 9000}


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        (np.full((4, 6), 9, np.uint8), "8 bits a pixel"),
        (np.full((4, 6, 3), 9, np.uint8), "holds RGB"),
        (np.full((4, 5), 9, np.uint16), "differ in size"),
    ],
)
def test_a_png_that_is_no_depth_is_named(write, root, open_source, photograph, stored, what):
    write("train/b", stored)
    photograph(root / "train" / "images" / "b.png", 0, 1, (4, 6))
    source = open_source("depth_folder", **KITTI)
    with pytest.raises(EdgekitError, match=what) as caught:
        depth_of(source, "b")
    assert caught.value.where == str(root / "train" / "depth" / "b.png")
    assert [bad.name for bad in check_source(source, "skip").bad] == ["b"]


@pytest.mark.parametrize("keys", [{"scale": 0}, {"scale": -1}, {"range": [0, 80]}, {"range": [9, 9]}, {"classes": {}}])
def test_a_recipe_that_makes_no_sense_is_refused(keys):
    with pytest.raises(ValidationError):
        SOURCES["depth_folder"].config.model_validate({"root": "x"} | KITTI | keys)
