"""Cityscapes in its own folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import EdgekitError

# id -> trainId of cityscapesscripts/helpers/labels.py, written down apart from the source; the others are 255.
TRAIN_IDS = dict(
    zip([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33], range(19), strict=True)
)
NAMES = (
    "road sidewalk building wall fence pole traffic_light traffic_sign vegetation terrain sky person rider car truck"
)
NAMES = tuple(f"{NAMES} bus train motorcycle bicycle".replace("_", "~").split())


@pytest.fixture
def city(tmp_path: Path, photograph):
    """Two cities in train, one in val and test, with the files that lie beside the labels too."""

    def write(split: str, town: str, number: int, label: np.ndarray) -> None:
        stem = f"{town}_{number:06d}_000019"
        photograph(tmp_path / "leftImg8bit" / split / town / f"{stem}_leftImg8bit.png", number, 1, label.shape)
        folder = tmp_path / "gtFine" / split / town
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ("color", "instanceIds", "labelIds"):
            told = label if kind == "labelIds" else np.full_like(label, 99)
            Image.fromarray(told).save(folder / f"{stem}_gtFine_{kind}.png")
        (folder / f"{stem}_gtFine_polygons.json").write_text("{}")

    every = np.arange(36, dtype=np.uint8).reshape(4, 9) % 34
    for split, town, number in [
        ("train", "aachen", 0),
        ("train", "aachen", 1),
        ("train", "bonn", 0),
        ("val", "ulm", 5),
    ]:
        write(split, town, number, np.roll(every, number))
    write("test", "berlin", 0, np.zeros((4, 9), np.uint8))
    return write


@pytest.fixture
def root(tmp_path: Path, city) -> Path:
    return tmp_path


def test_the_nineteen_classes_that_are_evaluated(root, open_source, label_of):
    source = open_source("cityscapes")
    assert source.tasks["semantic"].classes == tuple(name.replace("~", " ") for name in NAMES)
    assert source.tasks["semantic"].colours[0] == (128, 64, 128) and source.tasks["semantic"].colours[18] == (
        119,
        11,
        32,
    )
    for name, shift in (("aachen/aachen_000000_000019", 0), ("ulm/ulm_000005_000019", 5)):
        stored = np.roll(np.arange(36).reshape(4, 9) % 34, shift)
        expected = np.vectorize(lambda value: TRAIN_IDS.get(value, 255))(stored)
        assert (label_of(source, name) == expected).all()


def test_cities_are_scenes_and_nothing_of_test_counts(root, open_source, label_of):
    source = open_source("cityscapes", labelled=0.5)
    assert [(f.scene, f.index, f.labelled) for f in source.frames("train")] == [
        ("train/aachen", 0, True),
        ("train/aachen", 1, False),
        ("train/bonn", 0, True),
    ]
    assert (label_of(source, "berlin/berlin_000000_000019") == 255).all()


def test_classes_may_be_merged_and_left_out(root, open_source, label_of):
    source = open_source("cityscapes", ignore=["car", "sky"])
    assert len(source.tasks["semantic"].classes) == 17 and "car" not in source.tasks["semantic"].classes
    assert (label_of(source, "aachen/aachen_000000_000019").ravel()[[26, 23, 7]] == [255, 255, 0]).all()
    with pytest.raises(EdgekitError, match="neither merged nor ignored: unlabeled"):
        open_source("cityscapes", classes={"street": ["road"]})


def test_a_value_that_is_no_id_is_named(root, city, open_source, label_of):
    city("val", "ulm", 5, np.full((4, 9), 77, np.uint8))
    with pytest.raises(EdgekitError, match=r"77 \(36 pixels\)"):
        label_of(open_source("cityscapes"), "ulm/ulm_000005_000019")


def test_a_root_without_cityscapes_says_what_it_looked_for(root, open_source):
    (root / "leftImg8bit").rename(root / "images")
    with pytest.raises(EdgekitError, match="leftImg8bit/train, leftImg8bit/val"):
        open_source("cityscapes")
