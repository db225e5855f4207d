"""Frames, splits and the labelled share."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.image_folder.listing import (
    Files,
    evenly_labelled,
    list_file_splits,
    list_folder_splits,
    natural,
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
    found = list_folder_splits(tmp_path)
    train, val = tmp_path / "train", tmp_path / "val"
    assert list(found) == ["train", "val"] and list(found["train"]) == ["f9", "f10"]
    assert found["train"] == {
        "f9": Files(train / "images/f9.JPG", train / "labels/f9.png"),
        "f10": Files(train / "images/f10.jpg", None),
    }
    assert found["val"] == {"a.b": Files(val / "images/a.b.png", None)}


def test_a_root_without_splits_says_what_to_make(tmp_path):
    touch(tmp_path, "images/a.jpg")
    error = refusal(list_folder_splits, tmp_path)
    assert "train/images" in error.what and "data.splits" in error.fix


def test_two_images_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "train/images/a.jpg", "train/images/a.png")
    assert "two files for the frame 'a': a.jpg and a.png" in refusal(list_folder_splits, tmp_path).what


def test_file_splits_take_names_suffixes_folders_and_comments(tmp_path):
    touch(tmp_path, *(f"images/{n}.jpg" for n in ("1", "2", "3.x", "10")), "labels/2.png")
    (tmp_path / "t.txt").write_text("# mine\n10\n\n images/2.jpg \n")
    (tmp_path / "v.txt").write_text("3.x\n1.jpg\n")
    found = list_file_splits(tmp_path, {"train": tmp_path / "t.txt", "val": tmp_path / "v.txt"})
    assert {split: list(files) for split, files in found.items()} == {"train": ["2", "10"], "val": ["1", "3.x"]}
    assert found["train"]["2"].label == tmp_path / "labels/2.png"


def test_a_frame_in_two_splits_is_refused(tmp_path):
    touch(tmp_path, "images/a.jpg")
    (tmp_path / "t.txt").write_text("a\n")
    lists = {"train": tmp_path / "t.txt", "val": tmp_path / "t.txt"}
    assert "'a' is in the splits train and val" in refusal(list_file_splits, tmp_path, lists).what


def test_a_root_without_images_is_refused(tmp_path):
    assert "no folder images" in refusal(list_file_splits, tmp_path, {}).what


@pytest.mark.parametrize(
    ("text", "line", "what", "fix"),
    [
        ("a01\na1\n", 2, "no frame 'a1'", "did you mean 'a01'?"),
        ("zzz", 1, "no frame 'zzz'", "without the suffix"),
        ("a01\n\na01.png", 3, "'a01' stands twice, first in line 1", None),
    ],
)
def test_a_wrong_name_in_a_list_names_file_and_line(tmp_path, text, line, what, fix):
    path = tmp_path / "list.txt"
    path.write_text(text)
    error = refusal(read_names, path, {"a01": None, "b02": None})
    assert error.where == f"{path}, line {line}" and what in error.what
    assert error.fix is None if fix is None else fix in error.fix


def test_a_missing_list_is_refused(tmp_path):
    assert "does not exist" in refusal(read_names, tmp_path / "no.txt", {}).what
    assert "cannot be read" in refusal(read_names, tmp_path, {}).what


def test_natural_order_puts_9_before_10():
    assert sorted(["f10", "f9", "a", "10", "9b", "f09"], key=natural) == ["9b", "10", "a", "f09", "f9", "f10"]
