"""What a recipe may write under `data` for each format, and that it is read back as it was."""

from __future__ import annotations

import json

import pytest

from edgekit.errors import EdgekitError
from edgekit.recipe.load import dump, load_recipe
from edgekit.recipe.schema import Recipe

SPLITS = {"train": {"images": "a", "labels": "b"}, "val": {"images": "a/*.png", "labels": None, "list": "v.txt"}}
FORMATS = {
    "coco": {"splits": SPLITS, "classes": {"a": ["b", "c"]}, "ignore": ["background"], "labelled": 0.5},
    "yolo": {"data": "x/data.yaml", "size": [90, 120], "film": True},
    "labelme": {"class_names": ["a", "b"], "labelled": "present"},
    "cvat": {"splits": SPLITS, "scene_regex": "^[a-z]", "labels_upright": True},
    "cityscapes": {"ignore": ["train"]},
    "depth_folder": {"scale": 256, "range": [1, 80], "splits": SPLITS},
}


def load(tmp_path, source: str, **keys) -> Recipe:
    task = "depth" if source == "depth_folder" else "semantic"
    data = {"source": source, "root": "x", "licence": "CC0"} | keys
    (tmp_path / "r.yaml").write_text(json.dumps({"name": "r", "data": data, "tasks": {task: {}}}))
    return load_recipe(Recipe, tmp_path / "r.yaml")


@pytest.mark.parametrize("source", FORMATS)
def test_a_recipe_is_read_back_as_it_was(tmp_path, source):
    recipe = load(tmp_path, source, **FORMATS[source])
    (tmp_path / "again.yaml").write_text(dump(recipe))
    assert load_recipe(Recipe, tmp_path / "again.yaml") == recipe
    for key, value in FORMATS[source].items():
        if key in ("labelled", "scene_regex", "scale", "film"):
            assert getattr(recipe.data, key) == value


@pytest.mark.parametrize(
    ("source", "keys", "where"),
    [
        ("coco", {}, "data.splits"),
        ("coco", {"splits": SPLITS, "class_dict": "a.csv"}, "data.class_dict"),
        ("coco", {"splits": {"train": {"images": "../a"}}}, "data.splits.train"),
        ("coco", {"splits": {"train": {"images": "a", "annotations": "b"}}}, "data.splits.train"),
        ("cvat", {"splits": {}}, "data.splits"),
        ("labelme", {}, "data.class_names"),
        ("labelme", {"class_names": ["a", "a"]}, "data.class_names"),
        ("depth_folder", {"scale": 256}, "data.range"),
        ("depth_folder", {"scale": 256, "range": [80, 1]}, "data"),
        ("depth_folder", {"scale": 256, "range": [1, 80], "ignore": ["a"]}, "data.ignore"),
        ("yolo", {"dataa": "x"}, "data.dataa"),
    ],
)
def test_a_key_that_does_not_fit_is_named(tmp_path, source, keys, where):
    with pytest.raises(EdgekitError) as caught:
        load(tmp_path, source, **keys)
    assert where in str(caught.value)
