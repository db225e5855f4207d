"""Recipes for public data sets: each opens a small copy of its documented layout, and says whose data it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.cli.main import main
from edgekit.data.check import check_source
from edgekit.data.registry import SOURCES
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.recipe.shipped import copy, folder

UAVID = [(0, 0, 0), (128, 0, 0), (128, 64, 128), (192, 0, 192), (0, 128, 0), (128, 128, 0), (64, 64, 0), (64, 0, 128)]
# name -> number of classes, and for each split the image and label of a frame ({} is its number)
LAYOUTS = {
    "uavid": (
        8,
        {
            "train": ("train/seq{}/Images/000000.png", "train/seq{}/Labels/000000.png"),
            "val": ("valid/seq{}/Images/000000.png", "valid/seq{}/Labels/000000.png"),
        },
    ),
    "vdd": (7, {s: (f"{s}/src/DJI_{{}}.JPG", f"{s}/gt/DJI_{{}}.png") for s in ("train", "val", "test")}),
    "udd": (6, {s: (f"{s}/src/DJI_{{}}.JPG", f"{s}/gt/DJI_{{}}.png") for s in ("train", "val")}),
    "floodnet": (
        10,
        {s: (f"{s}/{s}-org-img/1016{{}}.jpg", f"{s}/{s}-label-img/1016{{}}_lab.png") for s in ("train", "val", "test")},
    ),
    "aeroscapes": (
        12,
        {
            "train": ("JPEGImages/00000{}_001.jpg", "SegmentationClass/00000{}_001.png"),
            "val": ("JPEGImages/00001{}_001.jpg", "SegmentationClass/00001{}_001.png"),
        },
    ),
}


@pytest.fixture(params=sorted(LAYOUTS))
def preset(request, tmp_path: Path) -> tuple[Path, Path, int, dict]:
    """The copied recipe, and a root with two frames a split whose labels hold every class."""
    classes, layout = LAYOUTS[request.param]
    root = tmp_path / "data"
    label = (np.arange(12 * 16) % classes).astype(np.uint8).reshape(12, 16)
    for image, drawn in layout.values():
        for i in (1, 2):
            for path in (image, drawn):
                (root / path.format(i)).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 12), (9, 9, 9)).save(root / image.format(i))
            stored = np.array(UAVID, np.uint8)[label] if request.param == "uavid" else label
            Image.fromarray(stored).save(root / drawn.format(i))
    if request.param == "aeroscapes":
        (root / "ImageSets").mkdir()
        (root / "ImageSets" / "trn.txt").write_text("000001_001\n000002_001\n")
        (root / "ImageSets" / "val.txt").write_text("000011_001\n000012_001\n")
    return copy(request.param, tmp_path / "mine")[0], root, classes, layout


def test_a_preset_reads_its_layout(preset):
    recipe, root, classes, layout = preset
    model = load_recipe(Recipe, recipe, [f"data.root={root}", "data.size=[12, 16]"])
    source = SOURCES["image_folder"].build(model.data, recipe.parent, None)
    assert set(source.splits()) == set(layout) and model.evaluate.split in source.splits()
    assert len(source.tasks["semantic"].classes) == len(source.tasks["semantic"].colours) == classes
    for split in source.splits():
        frames = source.frames(split)
        assert len(frames) == 2 and all(f.labelled for f in frames)
        for frame in frames:
            read = source.read(frame, ["rgb", "semantic"])["semantic"]
            assert (read == np.arange(12 * 16).reshape(12, 16) % classes).all()
    assert check_source(source).bad == []
    films = recipe.stem in ("uavid", "aeroscapes")
    assert len({f.scene for f in source.frames("train")}) == (2 if films else 1)


def test_a_preset_says_whose_the_data_is_and_what_was_not_tried(preset):
    recipe = preset[0]
    model = load_recipe(Recipe, recipe)
    assert len(model.data.licence) > 10 and "http" in model.data.attribution
    head = recipe.read_text().partition("name:")[0]
    assert "not tuned" in head and "not yet tried on the true files" in " ".join(head.replace("#", "").split())
    assert set(model.model_dump(exclude_unset=True)) == {"name", "data", "tasks"}


@pytest.mark.parametrize("preset", ["aeroscapes"], indirect=True)
def test_recipe_check_shows_the_classes_and_the_licence(preset, capsys):
    recipe, root, *_ = preset
    assert main(["recipe", "check", str(recipe), "--set", f"data.root={root}"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Licence of the data: CC BY-SA" in out and "Attribution: AeroScapes" in out and "construction" in out


@pytest.mark.parametrize("name", [*sorted(LAYOUTS), "semantic_drone", "camvid", "uav", "dronescapes"])
def test_the_page_of_data_sets_has_every_recipe_of_public_data(name):
    page = (folder().parent / "docs" / "datasets.md").read_text(encoding="utf-8")
    model = load_recipe(Recipe, folder() / f"{name}.yaml")
    rows = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
    assert rows and (name == "uav" or any("http" in row for row in rows))
    assert model.data.licence
