"""Frames, splits and the labelled share."""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgekit.data.image_folder.config import SplitFiles
from edgekit.data.image_folder.listing import (
    Files,
    default_splits,
    evenly_labelled,
    find_files,
    list_splits,
    natural,
    pair_files,
    read_names,
)
from edgekit.errors import EdgekitError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def refusal(action, *args) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        action(*args)
    return caught.value


def pair(folder: Path, notes: list[str]) -> dict[str, Files]:
    """The frames of the folders images and labels, the latter if there are any."""
    labels = find_files(folder, "labels", notes) if (folder / "labels").is_dir() else {}
    return pair_files(find_files(folder, "images", notes), labels, folder.name, notes)


def in_folders(root: Path, notes: list[str]) -> dict[str, dict[str, Files]]:
    splits = default_splits(root, "{}/images", "{}/labels", notes)
    return list_splits(splits, lambda images, labels: pair(root / Path(images).parent, notes), Path, notes)


def in_lists(root: Path, lists: dict[str, Path], notes: list[str]) -> dict[str, dict[str, Files]]:
    splits = {split: SplitFiles(images="images", labels="labels", list=path) for split, path in lists.items()}
    return list_splits(splits, lambda images, labels: pair(root, notes), Path, notes)


@pytest.mark.parametrize(
    ("fraction", "labelled"),
    [(0.25, [0, 4, 8]), (1.0, list(range(12))), (0.0, []), (0.5, [0, 2, 4, 6, 8, 10]), (1 / 3, [0, 3, 6, 9])],
)
def test_the_labelled_frames_are_evenly_spaced(fraction, labelled):
    assert [i for i, on in enumerate(evenly_labelled(12, fraction)) if on] == labelled


@given(st.integers(0, 100), st.integers(1, 300))
def test_a_decimal_fraction_is_taken_exactly(percent, count):
    exact = Fraction(percent, 100)
    expected = [floor(i * exact) != floor((i - 1) * exact) for i in range(count)]
    assert evenly_labelled(count, percent / 100) == expected
    assert sum(evenly_labelled(100, percent / 100)) == percent


def test_folder_splits_pair_images_with_labels_in_natural_order(tmp_path):
    touch(tmp_path, "train/images/f10.jpg", "train/images/f9.JPG", "train/images/._f9.jpg", "train/images/notes.txt")
    touch(tmp_path, "train/labels/f9.png", "train/labels/f11.png", "val/images/a.b.png")
    found = in_folders(tmp_path, notes := [])
    train, val = tmp_path / "train", tmp_path / "val"
    assert list(found) == ["train", "val"] and list(found["train"]) == ["f9", "f10"]
    assert found["train"] == {
        "f9": Files(train / "images/f9.JPG", train / "labels/f9.png"),
        "f10": Files(train / "images/f10.jpg", None),
    }
    assert found["val"] == {"a.b": Files(val / "images/a.b.png", None)}
    assert notes == [
        "train/images: files that are not read: 1 .txt",
        "train: 1 of 2 labels belong to no image, the first is f11.png",
    ]


def pairs(folder: Path) -> dict[str, str | None]:
    """Frame -> its label, below the folder labels."""
    labels = folder / "labels"
    return {n: f.label and f.label.relative_to(labels).as_posix() for n, f in pair(folder, []).items()}


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "bmp", "tif", "TIFF", "webp"])
def test_every_ending_of_a_photograph_is_an_image_and_a_label(tmp_path, ending):
    touch(tmp_path, "images/a.png", f"images/b.{ending}", f"labels/b.{ending}", "labels/a.tif")
    assert pairs(tmp_path) == {"a": "a.tif", "b": f"b.{ending}"}


def test_sub_folders_are_part_of_a_frames_name(tmp_path):
    touch(tmp_path, "images/x/1.jpg", "images/y/1.jpg", "images/2.jpg", "labels/x/1.png", "labels/2.png")
    assert pairs(tmp_path) == {"2": "2.png", "x/1": "x/1.png", "y/1": None}
    known = pair(tmp_path, [])
    (tmp_path / "list.txt").write_text("images/x/1.jpg\ny/1\n/data/images/2.jpg\n")
    assert read_names(tmp_path / "list.txt", known) == ["x/1", "y/1", "2"]
    (tmp_path / "list.txt").write_text("1.jpg\n")
    assert "no frame '1.jpg'" in refusal(read_names, tmp_path / "list.txt", known).what


def test_linked_folders_are_read(tmp_path):
    touch(tmp_path, "elsewhere/1.jpg", "set/labels/x/1.png")
    (tmp_path / "set/images").mkdir()
    (tmp_path / "set/images/x").symlink_to(tmp_path / "elsewhere")
    assert pairs(tmp_path / "set") == {"x/1": "x/1.png"}


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{}", "{}_mask"),
        ("{}", "{}_L"),
        ("{}", "mask_{}"),
        ("img_{}", "lab_{}"),
        ("{}_leftImg8bit", "{}_gtFine_labelIds"),
        ("city/{}_rgb", "city/{}-gt"),
        ("city/rgb-{}", "city/gt-{}"),
    ],
)
@pytest.mark.parametrize("names", [["1", "10", "11", "20"], ["a7_20", "a7_30"], ["s1", "s11", "t"]])
@pytest.mark.parametrize("labelled", [1, 2])
def test_what_all_labels_names_have_more_is_passed_over(tmp_path, image, label, names, labelled):
    touch(tmp_path, *(f"images/{image.format(n)}.jpg" for n in names))
    touch(tmp_path, *(f"labels/{label.format(n)}.png" for n in names[:labelled]))
    expected = {image.format(n): f"{label.format(n)}.png" if i < labelled else None for i, n in enumerate(names)}
    assert pairs(tmp_path) == expected
    pair(tmp_path, notes := [])
    assert any("labels pair by a part of their names" in note for note in notes)


def test_a_word_before_a_number_is_passed_over(tmp_path):
    touch(tmp_path, "images/img07.jpg", "images/img08.jpg", "labels/lab07.png")
    assert pairs(tmp_path) == {"img07": "lab07.png", "img08": None}


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["1", "2", "12"], ["3", "4"]),
        (["1", "2"], ["11", "12"]),  # 1 is no ending of 11, nor its beginning: it is another number
        (["m", "n"], ["notes"]),
        (["a", "b"], ["a_mask", "b_gt"]),
        (["a", "b"], ["a_mask", "c_mask"]),
    ],
)
def test_labels_of_no_image_are_refused(tmp_path, images, labels):
    touch(tmp_path, *(f"images/{n}.jpg" for n in images), *(f"labels/{n}.png" for n in labels))
    error = refusal(pair, tmp_path, [])
    assert "no label has the name of an image" in error.what
    assert error.fix.endswith(f" {images[0]}.png")


@pytest.mark.parametrize("of_image", ["NFC", "NFD"])
@pytest.mark.parametrize("of_label", ["NFC", "NFD"])
def test_one_name_in_two_forms_of_unicode_is_one_name(tmp_path, of_image, of_label):
    image, label = (unicodedata.normalize(form, "Müller Å") for form in (of_image, of_label))
    touch(tmp_path, f"images/{image}.jpg", "images/other.jpg", f"labels/{label}.png")
    found = pair(tmp_path, [])
    frame = unicodedata.normalize("NFC", "Müller Å")
    assert found[frame] == Files(tmp_path / f"images/{image}.jpg", tmp_path / f"labels/{label}.png")
    (tmp_path / "list.txt").write_text(label, encoding="utf-8")
    assert read_names(tmp_path / "list.txt", found) == [frame]


def test_a_folder_of_other_files_alone_is_refused(tmp_path):
    touch(tmp_path, "images/a.heic", "images/b.heic")
    error = refusal(pair, tmp_path, [])
    assert "2 .heic" in error.what and ".tif" in error.fix
    touch(tmp_path, "images/a.jpg", "labels/a.json")
    assert "1 .json" in refusal(pair, tmp_path, []).what


def test_a_folder_that_looks_like_a_split_is_noted(tmp_path):
    touch(tmp_path, "train/images/a.jpg", "validation/images/b.jpg")
    assert list(in_folders(tmp_path, notes := [])) == ["train"]
    assert len(notes) == 1 and "validation" in notes[0]


def test_a_root_without_splits_says_what_to_make(tmp_path):
    touch(tmp_path, "images/a.jpg")
    error = refusal(in_folders, tmp_path, [])
    assert "train/images" in error.what and "data.splits" in error.fix


def test_two_images_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "train/images/a.jpg", "train/images/a.png")
    assert "two files for the frame 'a': a.jpg and a.png" in refusal(in_folders, tmp_path, []).what


def test_file_splits_take_names_suffixes_folders_and_comments(tmp_path):
    touch(tmp_path, *(f"images/{n}.jpg" for n in ("1", "2", "3.x", "10")), "labels/2.png")
    (tmp_path / "t.txt").write_text("# mine\n10\n\n images/2.jpg \n")
    (tmp_path / "v.txt").write_text("3.x\n1.jpg\n")
    found = in_lists(tmp_path, {"train": tmp_path / "t.txt", "val": tmp_path / "v.txt"}, notes := [])
    assert {split: list(files) for split, files in found.items()} == {"train": ["2", "10"], "val": ["1", "3.x"]}
    assert found["train"]["2"].label == tmp_path / "labels/2.png"
    assert notes == []
    (tmp_path / "v.txt").write_text("1\n")
    in_lists(tmp_path, {"train": tmp_path / "t.txt", "val": tmp_path / "v.txt"}, notes)
    assert notes == ["1 of 4 images are in no split, the first is 3.x"]


def test_a_frame_in_two_splits_is_refused(tmp_path):
    touch(tmp_path, "images/a.jpg")
    (tmp_path / "t.txt").write_text("a\n")
    lists = {"train": tmp_path / "t.txt", "val": tmp_path / "t.txt"}
    assert "'a' is in the splits train and val" in refusal(in_lists, tmp_path, lists, []).what


def test_a_root_without_images_is_refused(tmp_path):
    (tmp_path / "t.txt").write_text("a\n")
    assert "no folder images" in refusal(in_lists, tmp_path, {"train": tmp_path / "t.txt"}, []).what


FILES = [
    "train/seq1/Images/000.png",
    "train/seq1/Labels/000.png",
    "train/seq1/Labels/000.json",
    "train/seq2/Images/000.jpg",
    "train/seq2/Images/x.y.png",
    "train/seq2/Images/.hidden.png",
    "train/Images/000.png",
    "deep/a/b/train/seq9/Images/000.png",
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("train/*/Images/*", {"seq1/000": 0, "seq2/000": 3, "seq2/x.y": 4}),
        ("train/*/Images/*.png", {"seq1/000": 0, "seq2/x.y": 4}),
        ("train/seq*/Images/0*.png", {"1/00": 0}),
        ("train/*/Images/*.*.png", {"seq2/x/y": 4}),
        ("**/seq*/Images/*", {"1/000": 0, "2/000": 3, "2/x.y": 4, "9/000": 7}),
        ("./train/*/Images//*.png", {"seq1/000": 0, "seq2/x.y": 4}),
        ("train/Images", {"000": 6}),
        ("train/seq2/Images", {"000": 3, "x.y": 4}),
    ],
)
def test_the_stars_of_a_pattern_are_a_frames_name(tmp_path, pattern, expected):
    touch(tmp_path, *FILES)
    assert find_files(tmp_path, SplitFiles(images=pattern).images, []) == {
        name: tmp_path / FILES[i] for name, i in expected.items()
    }


def test_a_pattern_that_fits_nothing_or_two_files_alike_is_refused(tmp_path):
    touch(tmp_path, *FILES)
    error = refusal(find_files, tmp_path, "train/*/images/*", [])
    assert "no file fits 'train/*/images/*'" in error.what and error.where == str(tmp_path)
    assert "no file fits" in refusal(find_files, tmp_path, "train/[s]eq*/Images/*", []).what
    assert "two files for the frame '000'" in refusal(find_files, tmp_path, "**/Images/*", []).what
    assert "no file fits" in refusal(find_files, tmp_path, "train/*/Labels/*.json", []).what
    assert len(find_files(tmp_path, "train/*/Labels/*.json", [], (".json",))) == 1


@pytest.mark.parametrize("pattern", ["/etc/*", "../x", "a/../../b", "~/x", ""])
def test_a_pattern_that_leads_out_of_the_root_is_refused(pattern):
    with pytest.raises(ValidationError):
        SplitFiles(images=pattern)
    assert SplitFiles(images="a..b/*").images == "a..b/*"


@pytest.mark.parametrize(
    ("text", "line", "what", "fix"),
    [
        ("a01\na1\n", 2, "no frame 'a1'", "did you mean 'a01'?"),
        ("zzz", 1, "no frame 'zzz'", "without the suffix"),
        ("a01\n\na01.png", 3, "'a01' is listed twice, first in line 1", "list it once"),
    ],
)
def test_a_wrong_name_in_a_list_names_file_and_line(tmp_path, text, line, what, fix):
    path = tmp_path / "list.txt"
    path.write_text(text)
    error = refusal(read_names, path, {"a01": None, "b02": None})
    assert error.where == f"{path}, line {line}" and what in error.what
    assert fix in error.fix


def test_a_missing_list_is_refused(tmp_path):
    assert "does not exist" in refusal(read_names, tmp_path / "no.txt", {}).what
    assert "is a folder" in refusal(read_names, tmp_path, {}).what


def test_natural_order_puts_9_before_10():
    assert sorted(["f10", "f9", "a", "10", "9b", "f09"], key=natural) == ["9b", "10", "a", "f09", "f9", "f10"]
