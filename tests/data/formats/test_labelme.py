"""LabelMe's JSON, against shapes drawn by hand."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from edgekit.data.check import check_source
from edgekit.errors import EdgekitError

NAMES = ["roof", "car"]


def shape(label: str, kind: str, points: list, **more) -> dict:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}} | more


def png(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray((mask * 255).astype(np.uint8)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def write(root):
    def write(name: str, shapes: list[dict], height: int = 9, width: int = 12, **more) -> None:
        told = {"version": "5.5.0", "shapes": shapes, "imagePath": "x.png", "imageData": None}
        text = json.dumps(told | {"imageHeight": height, "imageWidth": width} | more)
        (root / f"{name}.json").write_text(text)

    for name in ("train/t0", "train/t1", "train/t2", "val/v0"):
        write(name, [shape("roof", "polygon", [[0, 0], [12, 0], [12, 4], [0, 4]])])
    return write


def test_every_shape_with_an_area_later_ones_on_top(write, open_source, label_of):
    mask = np.random.default_rng(0).random((3, 4)) < 0.5
    write(
        "train/t0",
        [
            shape("car", "rectangle", [[6, 5], [2, 1]]),
            shape("roof", "polygon", [[0, 0], [12, 0], [12, 3], [0, 3]]),
            shape("roof", "oriented_rectangle", [[10, 4], [12, 4], [12, 5], [10, 5]]),
            shape("car", "circle", [[9, 6], [9, 8]]),
            shape("roof", "mask", [[0, 6], [3, 8]], mask=png(mask)),
        ],
    )
    expected = np.zeros((9, 12), int)
    expected[1:5, 2:6] = 2
    expected[:3] = 1
    expected[4, 10:12] = 1
    for y in range(9):
        for x in range(12):
            if (x + 0.5 - 9) ** 2 + (y + 0.5 - 6) ** 2 <= 4:
                expected[y, x] = 2
    expected[6:9, 0:4][mask] = 1
    source = open_source("labelme", class_names=NAMES)
    assert source.tasks["semantic"].classes == ("background", "roof", "car")
    assert (label_of(source, "t0") == expected).all()
    assert (label_of(source, "v0")[:4] == 1).all() and source.notes == []


def test_labelmes_own_name_of_the_background_is_known(write, open_source, label_of):
    source = open_source("labelme", class_names=["__ignore__", "_background_", "roof"], ignore=["__ignore__"])
    assert source.tasks["semantic"].classes == ("_background_", "roof")
    write("train/t0", [shape("__ignore__", "rectangle", [[0, 0], [12, 2]])])
    assert label_of(source, "t0")[:, 0].tolist() == [255] * 2 + [0] * 7


def test_lines_are_refused_unless_their_class_is_ignored(write, open_source, label_of):
    write("train/t0", [shape("car", "linestrip", [[0, 0], [5, 5]]), shape("roof", "rectangle", [[0, 0], [12, 1]])])
    with pytest.raises(EdgekitError, match="class 'car' has no area"):
        label_of(open_source("labelme", class_names=NAMES), "t0")
    label = label_of(open_source("labelme", class_names=NAMES, ignore=["car"]), "t0")
    assert (label[0] == 1).all() and (label[1:] == 0).all()


def test_images_without_a_json_have_no_label(write, root, open_source):
    (root / "train" / "t1.json").unlink()
    source = open_source("labelme", class_names=NAMES, labelled="present")
    assert [f.labelled for f in source.frames("train")] == [True, False, True]
    (root / "flat.txt").write_text("t2\n")
    splits = {"train": {"images": "train/*", "labels": "train/*.json", "list": "flat.txt"}}
    assert [f.name for f in open_source("labelme", class_names=NAMES, splits=splits).frames("train")] == ["t2"]


@pytest.mark.parametrize(
    ("shapes", "more", "what"),
    [
        ([shape("tree", "polygon", [[0, 0], [1, 0], [1, 1]])], {}, "class 'tree', which is not among"),
        ([shape("car", "polygon", [[0, 0], [1, 0]])], {}, "at least three points"),
        ([shape("car", "circle", [[0, 0]])], {}, "needs two points"),
        ([shape("car", "circle", [[2, 2], [2, 2]])], {}, "the radii 0"),
        ([shape("car", "mask", [[0, 0], [3, 3]])], {}, "no PNG in base64"),
        ([shape("car", "mask", [[0, 0], [3, 3]], mask="%%%")], {}, "no PNG in base64"),
        ([shape("car", "mask", [[0, 0], [3, 3]], mask=base64.b64encode(b"GIF89a").decode())], {}, "no PNG"),
        ([shape("car", "polygon", [[0, 0], [1, 0], [1]])], {}, r"shapes\.0\.points"),
        ([shape("car", "polygon", [[0, 0], [1, 0], [1, float("inf")]])], {}, r"shapes\.0\.points"),
        ([], {"imageHeight": 0}, "imageHeight"),
        ([], {"imageWidth": 10**7}, "imageWidth"),
        ([], {"imageWidth": 11}, "image 12x9 and label 11x9"),
        (None, {}, "shapes"),
    ],
)
def test_a_bad_file_is_named_and_its_frame_bad_alone(write, root, open_source, label_of, shapes, more, what):
    write("train/t1", shapes, **more)
    source = open_source("labelme", class_names=NAMES)
    with pytest.raises(EdgekitError, match=what) as caught:
        label_of(source, "t1")
    assert caught.value.where == str(root / "train" / "t1.json") and "\n" not in caught.value.what
    assert [bad.name for bad in check_source(source, "skip").bad] == ["t1"]


@pytest.mark.parametrize("orientation", [3, 6])
def test_labels_are_drawn_on_the_upright_picture(write, root, open_source, label_of, photograph, orientation):
    photograph(root / "train" / "t0.png", 0, orientation, (9, 12))
    height, width = (12, 9) if orientation == 6 else (9, 12)
    write("train/t0", [shape("car", "rectangle", [[0, 0], [width, 2]])], height, width)
    label = label_of(open_source("labelme", class_names=NAMES, labels_upright=True), "t0")
    assert label.shape == (height, width) and (label[:2] == 2).all() and (label[2:] == 0).all()
