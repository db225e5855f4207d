"""COCO's JSON against pycocotools: its own encoder writes the masks, its own decoder says what they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as cocomask
from pycocotools.coco import COCO

from edgekit.data.check import check_source
from edgekit.data.formats.coco import _counts
from edgekit.errors import EdgekitError

# pycocotools 2.0.11 hands numpy an array in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HEIGHT, WIDTH = 9, 12
CATEGORIES = [{"id": 3, "name": "roof"}, {"id": 7, "name": "car"}]
SPLITS = {
    "train": {"images": "train", "labels": "train.json"},
    "val": {"images": "val", "labels": "val.json"},
}


def compressed(mask: np.ndarray) -> dict:
    told = cocomask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": told["size"], "counts": told["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict:
    counts, inside = [0], False
    for pixel in mask.ravel(order="F"):
        if pixel != inside:
            counts.append(0)
            inside = bool(pixel)
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def blob(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((HEIGHT, WIDTH)) < 0.4


def document(names: list[str], annotations: list[dict], **more) -> dict:
    images = [{"id": 10 + i, "file_name": name, "height": HEIGHT, "width": WIDTH} for i, name in enumerate(names)]
    return {"images": images, "categories": CATEGORIES, "annotations": annotations} | more


def box(x1, y1, x2, y2) -> list[float]:
    return [x1, y1, x2, y1, x2, y2, x1, y2]


@pytest.fixture
def write(root: Path):
    def write(annotations: list[dict], names=("t0.png", "t1.png", "t2.png"), file="train.json", **more) -> None:
        (root / file).write_text(json.dumps(document(list(names), annotations, **more)))

    write([{"id": 1, "image_id": 10, "category_id": 3, "segmentation": [box(0, 0, 12, 4)]}], ["v0.png"], "val.json")
    return write


def test_masks_are_those_that_pycocotools_decodes(root, write, open_source, label_of):
    large, small = blob(1), blob(2) & blob(3)
    crowd = np.zeros((HEIGHT, WIDTH), bool)
    crowd[6:, 8:] = True
    write(
        [
            {"id": 1, "image_id": 10, "category_id": 7, "segmentation": compressed(small), "iscrowd": 0},
            {"id": 2, "image_id": 10, "category_id": 3, "segmentation": compressed(large), "iscrowd": 0},
            {"id": 3, "image_id": 11, "category_id": 7, "segmentation": uncompressed(crowd), "iscrowd": 1},
        ]
    )
    source = open_source("coco", splits=SPLITS)
    assert source.tasks["semantic"].classes == ("background", "roof", "car")
    reference = COCO(str(root / "train.json"))
    expected = np.zeros((HEIGHT, WIDTH), int)
    for number, index in ((2, 1), (1, 2)):  # the small one above the large one
        expected[reference.annToMask(reference.anns[number]) == 1] = index
    assert (label_of(source, "t0") == expected).all() and len(np.unique(expected)) == 3
    assert (label_of(source, "t1") == 2 * reference.annToMask(reference.anns[3])).all()
    assert (label_of(source, "t2") == 0).all()  # without objects: all background


def test_polygons_agree_with_pycocotools_but_for_the_edge(root, write, open_source, label_of):
    parts = [[1.2, 1.1, 7.7, 1.4, 4.5, 7.6], box(8, 5, 11, 8)]
    write([{"id": 1, "image_id": 10, "category_id": 3, "segmentation": parts}])
    label = label_of(open_source("coco", splits=SPLITS), "t0")
    reference = COCO(str(root / "train.json"))
    theirs = reference.annToMask(reference.anns[1])
    assert (label[5:8, 8:11] == theirs[5:8, 8:11]).all() and label[5:8, 8:11].all()
    differ = np.argwhere(label != theirs)
    edges = np.array(parts[0]).reshape(3, 2)
    for y, x in differ:  # theirs rounds outlines to a grid
        centre = np.array([x + 0.5, y + 0.5])
        distance = min(
            np.linalg.norm(centre - (a + np.clip((centre - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1) * (b - a)))
            for a, b in zip(edges, np.roll(edges, -1, axis=0), strict=True)
        )
        assert distance < 1
    assert 15 < label.sum() < 35


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_compressed_run_lengths_decode_as_pycocotools_encodes_them(height, width, seed, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    counts = _counts(compressed(mask)["counts"])
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    assert (mask == flat.reshape(width, height).T).all()


def test_long_runs_decode(open_source):
    mask = np.zeros((3000, 4000), bool)
    mask[1500:2900, 17:3990] = True
    assert sum(_counts(compressed(mask)["counts"])[1::2]) == mask.sum()


def test_classes_merge_and_are_ignored_by_name(write, open_source, label_of):
    write(
        [
            {"id": 1, "image_id": 10, "category_id": 3, "segmentation": [box(0, 0, 12, 3)]},
            {"id": 2, "image_id": 10, "category_id": 7, "segmentation": [box(0, 6, 12, 9)]},
        ]
    )
    merged = open_source("coco", splits=SPLITS, classes={"hard": ["car"], "else": ["background"]}, ignore=["roof"])
    assert label_of(merged, "t0")[:, 0].tolist() == [255] * 3 + [1] * 3 + [0] * 3
    ignored = open_source("coco", splits=SPLITS, ignore=["background"])
    assert ignored.tasks["semantic"].classes == ("roof", "car")
    assert label_of(ignored, "t0")[:, 0].tolist() == [0] * 3 + [255] * 3 + [1] * 3


def test_panoptic_maps_are_read_by_the_numbers_in_their_colours(root, open_source, label_of):
    numbers = np.zeros((HEIGHT, WIDTH), int)
    numbers[:3], numbers[3:6] = 70000, 300
    colours = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], -1).astype(np.uint8)
    for split, name in (("train", "t0"), ("val", "v0")):
        (root / f"pan_{split}").mkdir()
        Image.fromarray(colours).save(root / f"pan_{split}" / f"{name}.png")
        segments = [{"id": 70000, "category_id": 7}, {"id": 300, "category_id": 3}]
        told = {"image_id": 10, "file_name": f"{name}.png", "segments_info": segments}
        names = [f"{name}.png"] if split == "val" else ["t0.png", "t1.png", "t2.png"]
        (root / f"pan_{split}.json").write_text(json.dumps(document(names, [told])))
    splits = {split: {"images": split, "labels": f"pan_{split}.json"} for split in ("train", "val")}
    source = open_source("coco", splits=splits, ignore=["background"], labelled="present")
    assert [f.labelled for f in source.frames("train")] == [True, False, False]
    for name in ("t0", "v0"):
        assert label_of(source, name)[:, 5].tolist() == [1] * 3 + [0] * 3 + [255] * 3
    before = source.fingerprint()
    colours[0, 0] = (9, 0, 0)
    Image.fromarray(colours).save(root / "pan_train" / "t0.png")
    assert source.fingerprint() != before
    with pytest.raises(EdgekitError, match="the map has the segment 9"):
        label_of(source, "t0")


def test_images_are_found_by_their_path_below_the_folder(root, write, open_source, label_of):
    (root / "train" / "a").mkdir()
    (root / "train" / "t0.png").rename(root / "train" / "a" / "t0.png")
    told = [{"id": 1, "image_id": 10, "category_id": 7, "segmentation": [box(0, 0, 12, 9)]}]
    write(told, ["train/a/t0.png", "./t1.png", "gone.png"])
    source = open_source("coco", splits=SPLITS, labelled="present")
    assert [(f.name, f.labelled) for f in source.frames("train")] == [("a/t0", True), ("t1", True)]
    assert (label_of(source, "a/t0") == 2).all()
    assert check_source(source).notes == [
        "train.json: 1 of 3 images that it names are not there, the first is gone.png",
        "train.json: 1 of 3 images are not in it, the first is t2",
    ]
    for twice in (["train/a/t0.png", "a/t0.png"], ["t1.png", "t2.png", "t1.png"]):
        write(told, twice)
        with pytest.raises(EdgekitError, match=r"two labels are for the image t[01]\.png"):
            open_source("coco", splits=SPLITS)


def test_splits_may_share_a_folder(root, write, open_source):
    write([], ["t0.png", "t2.png"])
    write([], ["t1.png"], "val.json")
    splits = {split: {"images": "train", "labels": f"{split}.json"} for split in ("train", "val")}
    source = open_source("coco", splits=splits)
    assert {s: [f.name for f in source.frames(s)] for s in source.splits()} == {"train": ["t0", "t2"], "val": ["t1"]}
    write([], ["t1.png", "t0.png"], "val.json")
    with pytest.raises(EdgekitError, match="'t0' is in the splits train and val"):
        open_source("coco", splits=splits)


def test_labelled_and_lists_are_as_in_image_folder(root, write, open_source):
    write([])
    (root / "some.txt").write_text("t2\nt0.png\n")
    listed = open_source("coco", splits=SPLITS | {"train": SPLITS["train"] | {"list": "some.txt"}}, labelled=0.5)
    assert [(f.name, f.labelled) for f in listed.frames("train")] == [("t0", True), ("t2", False)]
    assert [f.labelled for f in listed.frames("val")] == [True]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_labels_turn_with_their_photograph(root, write, open_source, label_of, photograph, orientation):
    photograph(root / "train" / "t0.png", 0, orientation)
    write([{"id": 1, "image_id": 10, "category_id": 7, "segmentation": [box(0, 0, 12, 2)]}])
    stored = np.zeros((HEIGHT, WIDTH), int)
    stored[:2] = 2
    expected = {3: stored[::-1, ::-1], 6: np.rot90(stored, -1), 8: np.rot90(stored)}[orientation]
    source = open_source("coco", splits=SPLITS, labels_upright=False)
    assert (label_of(source, "t0") == expected).all()


def bad(segmentation) -> dict:
    return {"id": 1, "image_id": 10, "category_id": 7, "segmentation": segmentation}


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        (bad([]), "no outline"),
        (bad([[1, 1, 2, 2]]), "at least three points"),
        (bad([[1, 1, 2, 2, 3, 3, 4]]), "7 coordinates"),
        (bad([[1, 1, 2, 2, 3, 1e300]]), "not finite, or far"),
        (bad({"size": [9, 11], "counts": [99]}), "run lengths for 11x9, not 12x9"),
        (bad({"size": [9, 12], "counts": [100]}), "run lengths of 100 pixels"),
        (bad({"size": [9, 12], "counts": "~~~"}), "no text as COCO writes it"),
        (bad({"size": [9, 12], "counts": "oooooooooooooooo"}), "no text as COCO writes it"),
    ],
)
def test_a_bad_object_makes_its_frame_bad_alone(root, write, open_source, label_of, annotation, what):
    write([annotation])
    source = open_source("coco", splits=SPLITS)
    with pytest.raises(EdgekitError, match=what) as caught:
        label_of(source, "t0")
    assert caught.value.where == f"{root / 'train.json'}: t0.png"
    report = check_source(source, "skip")
    assert [bad.name for bad in report.bad] == ["t0"] and report.splits["train"].frames == 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not as their format has them"),
        ("[1, 2]", "not as their format has them"),
        ('{"images": [], "annotations": []}', "categories: Field required"),
        (json.dumps(document(["a"], [bad([[0, 0, 1, 1, 2, float("nan")]])])), r"annotations\.0\.segmentation"),
        (json.dumps(document(["a"], [bad([]) | {"image_id": 99}])), "the image 99 is not in the file"),
        (json.dumps(document(["a"], [bad([]) | {"category_id": 99}])), "the category 99 is not in the file"),
        (json.dumps(document(["a"], [{"image_id": 10}])), "the category None is not in the file"),
        (
            json.dumps(document(["a"], []) | {"images": [{"id": 1, "file_name": "a", "height": 0, "width": 5}]}),
            "height",
        ),
        (
            json.dumps(document(["a"], []) | {"images": [{"id": 1, "file_name": "a", "height": 10**9, "width": 5}]}),
            "height",
        ),
        (
            json.dumps(document(["a"], [{"image_id": 10, "file_name": "../a.png", "segments_info": []}])),
            "cannot name a file",
        ),
        (
            json.dumps(document(["a"], [{"image_id": 10, "file_name": "/a.png", "segments_info": []}])),
            "cannot name a file",
        ),
        ('{"images": [{"id": "' + "\\ud800" + '"', "not as their format"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(root, write, open_source, text, what):
    (root / "train.json").write_text(text)
    with pytest.raises(EdgekitError, match=what) as caught:
        open_source("coco", splits=SPLITS)
    assert str(root / "train.json") in caught.value.where and "\n" not in caught.value.what


def test_a_missing_file_and_none_at_all_are_refused(root, write, open_source):
    with pytest.raises(EdgekitError, match="does not exist"):
        open_source("coco", splits=SPLITS | {"train": {"images": "train", "labels": "no.json"}})
    with pytest.raises(EdgekitError, match="no split has labels"):
        open_source("coco", splits={"train": {"images": "train"}})
