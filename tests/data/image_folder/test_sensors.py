"""Other sensors beside the photographs of an image folder: which file is whose, and what comes of it."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from edgekit.data.check import check_source
from edgekit.data.formats.depth_folder import DepthFolder, DepthFolderConfig
from edgekit.data.image_folder.config import ImageFolderConfig
from edgekit.data.image_folder.source import ImageFolder
from edgekit.errors import EdgekitError

SIZE = 12, 16
THERMAL = {"thermal": {"range": [0, 255]}}


def drawn(seed: int, *shape: int, most: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, most, shape)


@pytest.fixture
def root(tmp_path) -> Path:
    """Two frames of train and one of val, with thermal pictures of half their resolution."""
    for split, names in (("train", "ab"), ("val", "a")):
        for folder in ("images", "labels", "thermal"):
            (tmp_path / split / folder).mkdir(parents=True)
        for name in names:
            seed = ord(name) + len(split)
            Image.fromarray(drawn(seed, *SIZE, 3).astype("u1")).save(tmp_path / split / "images" / f"{name}.png")
            Image.fromarray(drawn(seed, *SIZE, most=2).astype("u1")).save(tmp_path / split / "labels" / f"{name}.png")
            Image.fromarray(drawn(seed, 6, 8).astype("u1")).save(tmp_path / split / "thermal" / f"{name}.png")
    return tmp_path


@pytest.fixture
def opened(root):
    def opened(modalities=THERMAL, **config) -> ImageFolder:
        made = ImageFolderConfig(root=root, class_names=["no", "yes"], modalities=modalities, **config)
        return ImageFolder(made, root)

    return opened


def test_pictures_of_a_lower_resolution_are_brought_to_that_of_the_photographs(opened, root):
    source = opened()
    assert (source.tasks["thermal"].kind, source.tasks["thermal"].channels) == ("modality", 1)
    (frame,) = source.frames("val")
    maps = source.read(frame, ["rgb", "thermal", "semantic"])
    stored = np.asarray(Image.open(root / "val" / "thermal" / "a.png"))
    assert maps["thermal"].dtype == np.uint8 and maps["thermal"].shape == SIZE
    np.testing.assert_array_equal(maps["thermal"], np.repeat(np.repeat(stored, 2, 0), 2, 1))
    np.testing.assert_array_equal(source.read(frame, ["thermal"])["thermal"], maps["thermal"])
    small = opened(size=[6, 8])
    np.testing.assert_array_equal(small.read(small.frames("val")[0], ["thermal"])["thermal"], stored)
    assert check_source(source).bad == []


def test_whole_numbers_of_16_bits_and_arrays_are_values(opened, root):
    for split in ("train", "val"):
        for folder in ("nir", "radar"):
            (root / split / folder).mkdir()
        for image in (root / split / "images").iterdir():
            Image.fromarray(drawn(7, *SIZE, most=4096).astype("u2")).save(root / split / "nir" / image.name)
            values = drawn(8, *SIZE, 2, most=60).astype(np.float32) - 30
            values[0, 0] = np.nan
            np.savez(root / split / "radar" / f"{image.stem}.npz", values)
    source = opened({"nir": {"range": [0, 4095]}, "radar": {"channels": 2, "range": [-30, 30]}})
    maps = source.read(source.frames("train")[1], ["nir", "radar"])
    np.testing.assert_array_equal(maps["nir"], drawn(7, *SIZE, most=4096).astype(np.float32))
    assert maps["radar"].shape == (*SIZE, 2) and np.isnan(maps["radar"][0, 0]).all()
    np.testing.assert_array_equal(maps["radar"][1:], drawn(8, *SIZE, 2, most=60)[1:] - 30.0)


def test_a_photograph_whose_sensor_failed_has_no_such_map(opened, root):
    (root / "train" / "thermal" / "b.png").unlink()
    source = opened()
    assert [set(source.read(f, ["rgb", "thermal"])) for f in source.frames("train")] == [{"rgb", "thermal"}, {"rgb"}]
    assert "train/thermal: 1 of 2 frames have no 'thermal'" in source.notes


def test_files_lie_where_the_recipe_says_and_may_have_an_ending_more(opened, root):
    for split in ("train", "val"):
        (root / split / "thermal").rename(root / split / "ir")
        for file in list((root / split / "ir").iterdir()):
            file.rename(file.with_name(f"{file.stem}_ir.png"))
    source = opened({"thermal": {"range": [0, 255], "files": "{split}/ir"}})
    assert all("thermal" in source.read(f, ["thermal"]) for s in ("train", "val") for f in source.frames(s))
    same = opened({"thermal": {"range": [0, 255], "files": "{split}/ir/*_ir.png"}})
    assert all("thermal" in same.read(f, ["thermal"]) for s in ("train", "val") for f in same.frames(s))
    with pytest.raises(EdgekitError, match="'a' is in two splits") as told:
        opened({"thermal": {"range": [0, 255], "files": "train/ir"}})
    assert "{split}" in told.value.fix


def test_the_fingerprint_knows_the_files_and_what_they_mean(opened, root):
    before = opened().fingerprint()
    assert before != opened({}).fingerprint() and before == opened().fingerprint()
    assert opened({"thermal": {"range": [0, 65535]}}).fingerprint() != before
    os.utime(root / "val" / "thermal" / "a.png", (1, 1))
    assert opened().fingerprint() != before


def test_every_format_has_them(root):
    for split in ("train", "val"):
        (root / split / "depth").mkdir()
        for image in (root / split / "images").iterdir():
            Image.fromarray(np.full(SIZE, 512, np.uint16)).save(root / split / "depth" / image.name)
    config = DepthFolderConfig(root=root, scale=256, range=(1, 80), modalities=THERMAL)
    source = DepthFolder(config, root)
    assert set(source.read(source.frames("val")[0], ["depth", "thermal"])) == {"depth", "thermal"}


def test_what_is_not_there_or_shows_another_view_is_told(opened, root):
    with pytest.raises(EdgekitError, match="no folder train/heat") as told:
        opened({"heat": {"range": [0, 255]}})
    assert told.value.fix == "correct data.modalities.heat.files"
    with pytest.raises(EdgekitError, match="'semantic' is there already"):
        opened({"semantic": {"range": [0, 255]}})
    cv2.imwrite(str(root / "val" / "thermal" / "a.png"), np.zeros((8, 8), np.uint8))
    source = opened()
    with pytest.raises(EdgekitError, match=r"'thermal' is 8x8 and the photograph 16x12 .*: not one view"):
        source.read(source.frames("val")[0], ["thermal"])
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(drawn(1, *SIZE, 3).astype("u1")).save(root / "val" / "images" / "a.png", exif=exif)
    with pytest.raises(EdgekitError, match="nothing says how 'thermal' lies"):
        source.read(source.frames("val")[0], ["thermal"])


@pytest.mark.parametrize(
    "wrong", [{}, {"range": [0, 255], "channels": 0}, {"range": [5, 5]}, {"range": [0, 1], "files": "../up"}]
)
def test_what_is_no_sensor_is_refused(root, wrong):
    with pytest.raises(ValidationError):
        ImageFolderConfig(root=root, class_names=["no", "yes"], modalities={"thermal": wrong})
