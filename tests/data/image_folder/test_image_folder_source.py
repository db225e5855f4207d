"""The source behind `image_folder`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pydantic import ValidationError

from edgekit.data.check import check_source
from edgekit.data.image_folder.config import ImageFolderConfig, SplitFiles
from edgekit.data.image_folder.source import ImageFolder
from edgekit.data.map_config import MapConfig
from edgekit.errors import EdgekitError

COLOURS = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]], np.uint8)
CLASS_DICT = "name, r, g, b\nnothing, 0, 0, 0\nroof, 200, 0, 0\ngrass, 0, 200, 0\n"


def label_of(seed: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)


def write_frame(folder: Path, name: str, seed: int, label: bool = True) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    rgb = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(folder / "images" / f"{name}.png")
    if label:
        Image.fromarray(COLOURS[label_of(seed)]).save(folder / "labels" / f"{name}.png")


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "pictures"
    for i in range(8):
        write_frame(root / "train", f"t{i}", i)
    for i in range(2):
        write_frame(root / "val", f"v{i}", 100 + i)
    (root / "class_dict.csv").write_text(CLASS_DICT)
    return root


@pytest.fixture
def open_folder(root):
    def open_folder(**config) -> ImageFolder:
        return ImageFolder(ImageFolderConfig(root=Path("pictures"), **config), root.parent)

    return open_folder


def refusal(action, *args, **options) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        action(*args, **options)
    return caught.value


def test_images_and_labels_come_back_exactly(open_folder):
    source = open_folder()
    assert source.splits() == ("train", "val")
    frames = source.frames("train")
    assert [f.name for f in frames] == [f"t{i}" for i in range(8)]
    maps = source.read(frames[3], ["rgb", "semantic", "depth"])
    assert set(maps) == {"rgb", "semantic"}
    assert (maps["rgb"] == np.random.default_rng(3).integers(0, 256, (6, 8, 3))).all()
    assert (maps["semantic"] == label_of(3)).all() and maps["semantic"].dtype == np.uint8
    assert source.flow(frames[3]) is None


def test_the_tasks_carry_the_merged_classes_and_their_colours(open_folder):
    tasks = open_folder(classes={"green": ["grass"], "house": ["roof"]}, ignore=["nothing"]).tasks
    assert (tasks["rgb"].kind, tasks["rgb"].channels, tasks["rgb"].range) == ("modality", 3, (0, 255))
    assert tasks["semantic"].classes == ("green", "house")
    assert tasks["semantic"].colours == ((0, 200, 0), (200, 0, 0))


def test_merged_labels_are_read_as_new_indices(open_folder):
    source = open_folder(classes={"green": ["grass"], "house": ["roof"]}, ignore=["nothing"])
    read = source.read(source.frames("val")[1], ["semantic"])["semantic"]
    assert (read == np.array([255, 1, 0])[label_of(101)]).all()


def test_a_fraction_leaves_labels_of_train_alone_and_measures_on_all_of_val(open_folder):
    source = open_folder(labelled=0.25)
    assert [f.name for f in source.frames("train") if f.labelled] == ["t0", "t4"]
    assert all(f.labelled for f in source.frames("val"))
    unlabelled = source.frames("train")[1]
    assert set(source.read(unlabelled, ["rgb", "semantic"])) == {"rgb"}


def test_a_list_says_which_frames_are_labelled(open_folder, root):
    (root.parent / "some.txt").write_text("t5\nt1.png\n")  # beside the recipe
    source = open_folder(labelled=Path("some.txt"))
    assert [f.name for f in source.frames("train") if f.labelled] == ["t1", "t5"]
    (root / "some.txt").write_text("t2\n")  # in the root, which comes first
    assert [f.name for f in open_folder(labelled=Path("some.txt")).frames("train") if f.labelled] == ["t2"]
    (root / "some.txt").write_text("t22\n")
    assert "t22" in refusal(open_folder, labelled=Path("some.txt")).what


def test_present_labels_are_those_that_have_a_file_in_every_split(open_folder, root):
    for name in ("train/labels/t0", "train/labels/t5", "val/labels/v1"):
        (root / f"{name}.png").unlink()
    source = open_folder(labelled="present")
    assert [f.name for f in source.frames("train") if not f.labelled] == ["t0", "t5"]
    assert [f.name for f in source.frames("val") if f.labelled] == ["v0"]
    assert set(source.read(source.frames("train")[0], ["rgb", "semantic"])) == {"rgb"}
    assert (source.read(source.frames("train")[1], ["semantic"])["semantic"] == label_of(1)).all()
    missing = refusal(open_folder().read, open_folder().frames("train")[0], ["semantic"])
    assert "present" in missing.fix


def test_sub_folders_are_scenes(open_folder, root):
    for folder in ("images", "labels"):
        for split, name in (("train", "t2"), ("train", "t3")):
            target = root / split / folder / "flight"
            target.mkdir(exist_ok=True)
            (root / split / folder / f"{name}.png").rename(target / f"{name}.png")
    source = open_folder()
    flight = [f for f in source.frames("train") if f.scene == "train/flight"]
    assert [(f.name, f.index) for f in flight] == [("flight/t2", 0), ("flight/t3", 1)]
    assert (source.read(flight[1], ["semantic"])["semantic"] == label_of(3)).all()
    assert {f.scene for f in source.frames("train")} == {"train", "train/flight"}


def test_what_the_listing_notes_is_in_the_report(open_folder, root):
    (root / "train" / "labels" / "stray.png").write_bytes((root / "train" / "labels" / "t0.png").read_bytes())
    assert "1 of 9 labels belong to no image, the first is stray.png" in check_source(open_folder()).notes[0]


@pytest.mark.parametrize("names", [["sky", "sky", "grass"], ["a", "b", "a", "a"]])
def test_one_name_for_two_values_is_refused(names):
    with pytest.raises(ValidationError, match=f"'{names[0]}' stands for the values 0 and "):
        ImageFolderConfig(root=Path("x"), class_names=names)
    with pytest.raises(ValidationError, match=f"'{names[0]}' stands for the values 0 and "):
        MapConfig(kind="semantic", classes=names)
    assert MapConfig(kind="semantic", classes=sorted(set(names))).classes == sorted(set(names))


@pytest.mark.parametrize(("count", "fits"), [(254, True), (255, False), (300, False)])
def test_labels_have_room_for_254_classes(count, fits):
    names = [f"c{i}" for i in range(count)]
    for build in (
        lambda: ImageFolderConfig(root=Path("x"), class_names=names),
        lambda: ImageFolderConfig(root=Path("x"), classes={name: [name] for name in names}),
        lambda: MapConfig(kind="semantic", classes=names),
    ):
        if fits:
            build()
        else:
            with pytest.raises(ValidationError, match=f"{count} classes are more than .* 254"):
                build()


@pytest.mark.parametrize(("text", "share"), [("50%", "0.5"), ("12,5 %", "0.125"), ("0.25", "0.25"), ("3%", "0.03")])
def test_a_share_that_is_written_as_text_is_no_file(text, share):
    with pytest.raises(ValidationError, match=f"write {share}, without quotes"):
        ImageFolderConfig.model_validate({"root": "x", "labelled": text})
    assert ImageFolderConfig.model_validate({"root": "x", "labelled": "50.txt"}).labelled == Path("50.txt")


def test_a_split_without_any_label_is_unlabelled(open_folder, root):
    write_frame(root / "test", "x0", 7, label=False)
    source = open_folder()
    (frame,) = source.frames("test")
    assert not frame.labelled and set(source.read(frame, ["rgb", "semantic"])) == {"rgb"}


def test_lists_split_a_flat_root(root):
    (root / "train" / "a.txt").write_text("t0\nt1\n")
    (root / "train" / "b.txt").write_text("t7\n")
    config = ImageFolderConfig(
        root=root / "train",
        splits={"train": Path("a.txt"), "val": Path("b.txt")},
        class_dict=Path("../class_dict.csv"),
    )
    source = ImageFolder(config, Path("elsewhere"))
    assert [f.name for f in source.frames("train")] == ["t0", "t1"]
    assert (source.read(source.frames("val")[0], ["semantic"])["semantic"] == label_of(7)).all()


def test_a_recipe_says_where_the_files_of_a_split_lie(root, open_folder):
    (root / "some.txt").write_text("t1\nt3\n")
    splits = {
        "train": SplitFiles(images="train/images", labels="train/labels/*.png", list=Path("some.txt")),
        "val": SplitFiles(images="*/images/v*.png", labels="*/labels/v*.png"),
    }
    source = open_folder(splits=splits)
    names = {split: [f.name for f in source.frames(split)] for split in source.splits()}
    assert names == {"train": ["t1", "t3"], "val": ["val/0", "val/1"]}
    assert {f.scene for f in source.frames("val")} == {"val/val"}
    for frame, seed in [(source.frames("train")[1], 3), (source.frames("val")[1], 101)]:
        assert (source.read(frame, ["semantic"])["semantic"] == label_of(seed)).all()
    assert "6 of 10 images are in no split, the first is t0" in source.notes
    without = open_folder(splits={"train": splits["train"], "val": SplitFiles(images="val/images")})
    assert [f.labelled for split in without.splits() for f in without.frames(split)] == [True, True, False, False]
    twice = {"train": SplitFiles(images="train/images"), "val": SplitFiles(images="train/images/t*.png")}
    assert "'0' is in the splits train and val" in refusal(open_folder, splits=twice).what


def test_frame_names_stay_unique_when_splits_repeat_them(open_folder, root):
    write_frame(root / "val", "t0", 42)
    source = open_folder(scene_regex="^.")
    infos = [f for split in source.splits() for f in source.frames(split)]
    assert len({f.name for f in infos}) == len(infos) == 11
    twin = next(f for f in infos if f.name == "val-t0")
    assert (source.read(twin, ["semantic"])["semantic"] == label_of(42)).all()
    assert twin.scene == "t"


def test_scenes_are_splits_or_what_the_expression_finds(open_folder):
    assert {f.scene for f in open_folder().frames("train")} == {"train"}
    frames = open_folder(scene_regex="^([tv])").frames("train")
    assert {f.scene for f in frames} == {"t"} and [f.index for f in frames] == list(range(8))
    frames = open_folder(scene_regex="[0-3]|[4-7]$").frames("train")
    assert [f.index for f in frames] == [0] * 8
    assert "'t1'" in refusal(open_folder, scene_regex="0").what


def test_resizing_averages_images_and_picks_labels(open_folder):
    source, small = open_folder(), open_folder(size=(3, 4))
    frame = source.frames("train")[0]
    full, half = (s.read(frame, ["rgb", "semantic"]) for s in (source, small))
    blocks = full["rgb"].reshape(3, 2, 4, 2, 3).mean((1, 3))
    assert np.abs(half["rgb"] - blocks).max() <= 0.5
    assert half["semantic"].shape == (3, 4)
    blocks = full["semantic"].reshape(3, 2, 4, 2).transpose(0, 2, 1, 3).reshape(3, 4, 4)
    assert (blocks == half["semantic"][..., None]).any(-1).all()


def test_index_labels_of_named_classes(open_folder, root):
    for i in range(8):
        Image.fromarray(label_of(i)).save(root / "train" / "labels" / f"t{i}.png")
    source = open_folder(class_names=["nothing", "roof", "grass"], ignore=["nothing"])
    assert source.tasks["semantic"].classes == ("roof", "grass") and source.tasks["semantic"].colours == ()
    read = source.read(source.frames("train")[2], ["semantic"])["semantic"]
    assert (read == np.array([255, 0, 1])[label_of(2)]).all()


def test_a_recipe_may_hold_the_table_of_colours(open_folder, root):
    table = {"nothing": (0, 0, 0), "roof": (200, 0, 0), "grass": (0, 200, 0)}
    written, held = open_folder(ignore=["nothing"]), open_folder(class_dict=table, ignore=["nothing"])
    assert held.tasks == written.tasks and held.fingerprint() == written.fingerprint()
    for source in (written, held):
        read = source.read(source.frames("train")[2], ["semantic"])["semantic"]
        assert (read == np.array([255, 0, 1])[label_of(2)]).all()
    with pytest.raises(ValidationError):
        ImageFolderConfig.model_validate({"root": "x", "class_dict": {"roof": [256, 0, 0]}})


def test_a_palette_label_means_its_colours(open_folder, root):
    image = Image.fromarray(2 - label_of(1), mode="P")  # a palette in another order than the class table
    image.putpalette(COLOURS[::-1].tobytes())
    image.save(root / "train" / "labels" / "t1.png")
    source = open_folder()
    assert (source.read(source.frames("train")[1], ["semantic"])["semantic"] == label_of(1)).all()


def test_files_that_do_not_fit_are_named(open_folder, root):
    Image.fromarray(COLOURS[label_of(0, 4, 8)]).save(root / "train" / "labels" / "t0.png")
    (root / "train" / "labels" / "t1.png").unlink()
    Image.fromarray(np.full((6, 8, 3), 77, np.uint8)).save(root / "train" / "labels" / "t2.png")
    image = root / "train" / "images" / "t3.png"
    image.write_bytes(image.read_bytes()[:60])
    source = open_folder()
    for i, (where, what) in enumerate(
        [
            ("labels/t0.png", "image 8x6 and label 8x4"),
            ("images/t1.png", "has no label"),
            ("labels/t2.png", "(77, 77, 77) is no class: 48 pixels"),
            ("images/t3.png", "cannot be read"),
        ]
    ):
        error = refusal(source.read, source.frames("train")[i], ["rgb", "semantic"])
        assert error.where.endswith(f"train/{where}") and what in error.what


def photograph(path: Path, pixels: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("side", [6, 8])
def test_labels_lie_on_their_photographs_however_these_are_turned(root, open_folder, orientation, upright, side):
    """The photograph is painted in the label's colours, so that each pixel says which class it should have."""
    stored = label_of(0, side)
    image, label = (root / "train" / folder / "t0.png" for folder in ("images", "labels"))
    photograph(image, COLOURS[stored], orientation)
    drawn = np.asarray(ImageOps.exif_transpose(Image.open(image))) if upright else COLOURS[stored]
    Image.fromarray(drawn).save(label)
    told = orientation == 1 or (side == 6 and orientation >= 5)  # else the size does not say it
    source = open_folder(labels_upright=None if told else upright)
    frame = source.frames("train")[0]
    maps = source.read(frame, ["rgb", "semantic"])
    assert (COLOURS[maps["semantic"]] == maps["rgb"]).all()
    assert (source.read(frame, ["semantic"])["semantic"] == maps["semantic"]).all()
    if not told:
        error = refusal(open_folder().read, frame, ["semantic"])
        assert f"EXIF orientation {orientation}" in error.what and "data.labels_upright" in error.fix


def test_a_label_with_the_orientation_of_its_photograph_is_turned_with_it(root, open_folder):
    stored = label_of(0, 8)
    photograph(root / "train" / "images" / "t0.png", COLOURS[stored], 3)
    photograph(root / "train" / "labels" / "t0.png", COLOURS[stored], 3)
    maps = open_folder().read(open_folder().frames("train")[0], ["rgb", "semantic"])
    assert (maps["semantic"] == stored[::-1, ::-1]).all() and (COLOURS[maps["semantic"]] == maps["rgb"]).all()


def test_a_missing_root_names_it(tmp_path):
    error = refusal(ImageFolder, ImageFolderConfig(root=Path("no")), tmp_path)
    assert "'no'" in error.what and str(tmp_path / "no") in error.where


def test_the_home_folder_is_expanded(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    assert ImageFolder(ImageFolderConfig(root=Path("~/pictures")), Path("elsewhere")).splits() == ("train", "val")


def test_reading_from_many_threads_is_the_same(open_folder):
    source = open_folder()
    frames = source.frames("train") * 10
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda f: source.read(f, ["semantic"])["semantic"], frames))
    assert all((array == label_of(i % 8)).all() for i, array in enumerate(read))


@pytest.mark.parametrize(
    "config",
    [
        {"labelled": 1.5},
        {"scene_regex": "("},
        {"class_dict": "a.csv", "class_names": ["a"]},
        {"colours": {"a": [0, 0, 256]}},
        {"rooot": "x"},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config):
    with pytest.raises(ValidationError):
        ImageFolderConfig.model_validate({"root": "x", **config})


MERGED = {
    "paved": ["paved-area"],
    "ground": ["dirt", "gravel", "rocks"],
    "grass": ["grass"],
    "vegetation": ["vegetation", "tree", "bald-tree"],
    "water": ["water", "pool"],
    "building": ["roof", "wall", "window", "door"],
    "fence": ["fence", "fence-pole"],
    "person": ["person", "dog"],
    "vehicle": ["car", "bicycle"],
    "obstacle": ["obstacle", "ar-marker"],
}


def test_real_photographs_of_the_semantic_drone_data(semantic_drone):
    config = ImageFolderConfig(root=semantic_drone, classes=MERGED, ignore=["unlabeled", "conflicting"], labelled=0.25)
    source = ImageFolder(config, Path())
    train = source.frames("train")
    assert (len(train), len(source.frames("val")), sum(f.labelled for f in train)) == (280, 40, 70)
    rows = [line.split(",") for line in (semantic_drone / "class_dict.csv").read_text().splitlines()[1:]]
    colour = {name.strip(): tuple(int(v) for v in rgb) for name, *rgb in rows}
    frame = source.frames("val")[0]
    maps = source.read(frame, ["rgb", "semantic"])
    assert maps["rgb"].shape == (400, 600, 3)
    painted = np.asarray(Image.open(semantic_drone / "val" / "labels" / f"{frame.name}.png").convert("RGB"))
    for index, old in enumerate(MERGED.values()):
        expected = np.any([(painted == colour[name]).all(-1) for name in old], axis=0)
        assert ((maps["semantic"] == index) == expected).all()


@pytest.mark.parametrize(("stored", "orientation"), [((600, 1200), 1), ((600, 1200), 6), ((400, 900), 1)])
def test_a_large_frame_is_made_smaller_where_the_recipe_gives_no_size(tmp_path, stored, orientation):
    """Its label too; the expected size is the formula's: sides times sqrt(307,200 / pixels)."""
    for part in ("images", "labels"):
        (tmp_path / "train" / part).mkdir(parents=True)
    height, width = stored
    upright = stored if orientation < 5 else stored[::-1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (width, height), (90, 20, 30)).save(tmp_path / "train" / "images" / "a.jpg", exif=exif)
    halves = np.zeros(upright, np.uint8)
    halves[:, upright[1] // 2 :] = 1
    Image.fromarray(halves).save(tmp_path / "train" / "labels" / "a.png")
    config = {"root": tmp_path, "class_names": ["left", "right"]}
    source = ImageFolder(ImageFolderConfig(**config), tmp_path)
    maps = source.read(source.frames("train")[0], ["rgb", "semantic"])
    factor = (307_200 / (height * width)) ** 0.5
    expected = tuple(int(side * factor + 0.5) for side in upright)
    assert maps["rgb"].shape == (*expected, 3) and maps["semantic"].shape == expected
    assert abs(maps["semantic"].mean() - 0.5) < 0.01 and set(np.unique(maps["semantic"])) == {0, 1}
    (remark,) = source.notes
    assert f"from {upright[1]}x{upright[0]} to {expected[1]}x{expected[0]} (width x height)" in remark
    kept = ImageFolder(ImageFolderConfig(**config, size=upright), tmp_path)
    assert kept.read(kept.frames("train")[0], ["rgb"])["rgb"].shape[:2] == upright and not kept.notes


def test_a_frame_of_just_so_many_pixels_stays(tmp_path):
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "labels").mkdir()
    Image.new("RGB", (640, 480)).save(tmp_path / "train" / "images" / "a.png")
    Image.new("L", (640, 480)).save(tmp_path / "train" / "labels" / "a.png")
    source = ImageFolder(ImageFolderConfig(root=tmp_path, class_names=["all"]), tmp_path)
    assert source.read(source.frames("train")[0], ["rgb"])["rgb"].shape == (480, 640, 3) and not source.notes
