"""YOLO's polygons in shares of the picture, against rows and columns counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data.check import check_source
from edgekit.errors import EdgekitError

NAMES = "names: {0: roof, 2: car}\n"


def outline(index: int, x1: float, y1: float, x2: float, y2: float) -> str:
    """A rectangle in pixels of a picture of 12x9, as a line of a label."""
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    return " ".join([str(index), *(f"{c:.6f}" for x, y in corners for c in (x / 12, y / 9))])


@pytest.fixture
def lay_out(root: Path):
    """Move the pictures to where a YAML says they are, and write labels."""

    def lay_out(text: str, folders: dict[str, str], labels: dict[str, str]) -> None:
        for split, folder in folders.items():
            (root / folder).parent.mkdir(parents=True, exist_ok=True)
            (root / split).rename(root / "moving")
            (root / folder).parent.mkdir(parents=True, exist_ok=True)
            (root / "moving").rename(root / folder)
        for name, lines in labels.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(lines)
        (root / "data.yaml").write_text(text)

    return lay_out


def test_ultralytics_layout_of_folders(lay_out, open_source, label_of):
    lay_out(
        "path: ../datasets/x\ntrain: images/train\nval: images/val\ntest:\nnc: 2\n" + NAMES,
        {"train": "images/train", "val": "images/val"},
        {
            "labels/train/t0.txt": f"{outline(2, 4, 3, 6, 5)}\n\n{outline(0, 0, 0, 12, 6)}\n",
            "labels/train/t1.txt": "",
            "labels/val/v0.txt": outline(0, -0.1, 2, 5, 9.05),
        },
    )
    source = open_source("yolo", labelled="present")
    assert source.tasks["semantic"].classes == ("background", "roof", "car")
    assert [(f.name, f.labelled) for f in source.frames("train")] == [("t0", True), ("t1", True), ("t2", False)]
    expected = np.zeros((9, 12), int)
    expected[:6] = 1
    expected[3:5, 4:6] = 2  # small above large, although it comes first
    assert (label_of(source, "t0") == expected).all()
    assert (label_of(source, "t1") == 0).all()
    assert (label_of(source, "v0") == np.pad(np.ones((7, 5), int), ((2, 0), (0, 7)))).all()
    with pytest.raises(EdgekitError, match="has no label"):
        label_of(open_source("yolo"), "t2")


def test_roboflow_layout_of_folders(lay_out, open_source, label_of):
    lay_out(
        "train: ../train/images\nval: ../valid/images\nnames: ['roof', 'car']\n",
        {"train": "train/images", "val": "valid/images"},
        {"train/labels/t0.txt": outline(1, 0, 0, 3, 9), "valid/labels/v0.txt": outline(0, 0, 0, 3, 9)},
    )
    source = open_source("yolo")
    assert label_of(source, "t0").sum() == 2 * 27 and label_of(source, "v0").sum() == 27


def test_a_list_of_images_and_a_recipes_own_splits(lay_out, root, open_source, label_of):
    labels = {f"labels/train/t{i}.txt": outline(2, 0, 0, i + 1, 9) for i in range(3)}
    lay_out("train: train.txt\n" + NAMES, {"train": "images/train"}, labels)
    (root / "train.txt").write_text("./images/train/t2.png\n./images/train/t0.png\n")
    source = open_source("yolo")
    assert [f.name for f in source.frames("train")] == ["train/t0", "train/t2"]
    assert label_of(source, "train/t2").sum() == 2 * 27
    own = open_source("yolo", splits={"train": {"images": "images/train", "labels": "labels/train"}})
    assert [f.name for f in own.frames("train")] == ["t0", "t1", "t2"]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_shares_are_of_the_upright_picture(lay_out, root, open_source, label_of, photograph, orientation):
    lay_out(f"train: train\n{NAMES}", {}, {"train/t0.txt": "0 0 0 1 0 1 0.5 0 0.5"})
    photograph(root / "train" / "t0.png", 0, orientation, (8, 12))
    source = open_source("yolo")
    label = label_of(source, "t0")
    rows = label.shape[0] // 2
    assert label.shape == ((12, 8) if orientation >= 5 else (8, 12))
    assert (label[:rows] == 1).all() and (label[rows:] == 0).all()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("0 0.5 0.5 0.2 0.2", "the line is a box"),
        ("0 0.1 0.1 0.2 0.2 0.3", "5 coordinates"),
        ("0 0.1 0.1", "at least three points"),
        ("1 0 0 1 0 1 1", "there is no class 1"),
        ("0 0 0 640 0 640 480", "no shares"),
        ("0 0 0 nan 0 1 1", "no shares"),
        ("0 a b c d e f", "could not convert"),
        ("roof 0 0 1 0 1 1", "does not begin with the number"),
        ("\x00\xff", "does not begin"),
    ],
)
def test_a_bad_line_is_named_and_its_frame_bad_alone(lay_out, root, open_source, label_of, line, what):
    good = outline(0, 0, 0, 3, 3)
    lay_out(
        "train: train\n" + NAMES, {}, {f"train/t{i}.txt": good for i in range(3)} | {"train/t1.txt": f"{good}\n{line}"}
    )
    source = open_source("yolo")
    with pytest.raises(EdgekitError, match=what) as caught:
        label_of(source, "t1")
    assert caught.value.where == f"{root / 'train' / 't1.txt'}, line 2"
    assert [bad.name for bad in check_source(source, "skip").bad] == ["t1"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("train: train\n", "names: Field required"),
        ("names: [a\n", "no YAML"),
        ("- a\n- b\n", "not as their format has them"),
        ("names: {0: roof}\n", "names no split"),
        ("names: {0: roof}\ntrain: images/gone\n", "'images/gone' is not below data.root"),
        ("names: {0: roof}\ntrain: [a, b]\n", "train: "),
        ("names: !!python/object/apply:os.system ['true']\n", "no YAML"),
        ("names: &x [a]\ntrain: *x\n", "aliases are not read"),
        (f"names: [a]\ntrain: {'x' * 300}\n", "is not below data.root"),
    ],
)
def test_a_bad_description_is_refused(lay_out, root, open_source, text, what):
    lay_out(text, {}, {})
    with pytest.raises(EdgekitError, match=what) as caught:
        open_source("yolo")
    assert str(root / "data.yaml") in caught.value.where
    (root / "data.yaml").unlink()
    with pytest.raises(EdgekitError, match="does not exist"):
        open_source("yolo")
