"""The check of a source before anything trains."""

from __future__ import annotations

import io
import json
import threading

import numpy as np
import pytest
from rich.console import Console

from edgekit.data.check import BadFile, DataReport, check_source
from edgekit.data.source import FrameInfo
from edgekit.data.values import ValueSummary
from edgekit.errors import EdgekitError, WriteError
from edgekit.tasks import Task


class Made:
    """A source of frames made in memory; ``maps`` is split -> one dict of maps, or an error, per frame."""

    def __init__(self, maps: dict[str, list]):
        self.tasks = {
            "rgb": Task("rgb", "modality", channels=3, range=(0.0, 255.0)),
            "semantic": Task("semantic", "semantic", classes=("a", "b", "c")),
        }
        self._maps = maps
        self.read_by: list[str] = []
        self._lock = threading.Lock()

    def splits(self):
        return tuple(self._maps)

    def frames(self, split):
        return [
            FrameInfo(f"{split}{i}", split, i, split, isinstance(m, dict) and "semantic" in m)
            for i, m in enumerate(self._maps[split])
        ]

    def read(self, frame, names):
        with self._lock:
            self.read_by.append(frame.name)
        maps = self._maps[frame.split][frame.index]
        if isinstance(maps, Exception):
            raise maps
        return {name: maps[name] for name in names if name in maps}

    def flow(self, frame):
        return None


RGB = np.zeros((2, 3, 3), np.uint8)


def good(*labels: int) -> dict:
    return {"rgb": RGB, "semantic": np.array(labels, np.uint8).reshape(2, 3)}


BROKEN = EdgekitError("the image is truncated", where="train/images/7.jpg")


def refusal(source, **options) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        check_source(source, **options)
    return caught.value


def test_counts_and_shares_are_those_of_the_pixels():
    source = Made({"train": [good(0, 0, 0, 1, 255, 255), good(0, 1, 1, 1, 1, 1), {"rgb": RGB}], "val": [{"rgb": RGB}]})
    report = check_source(source)
    assert sorted(source.read_by) == ["train0", "train1", "train2", "val0"]
    assert (report.splits["train"].frames, report.splits["train"].labelled) == (3, 2)
    assert (report.splits["val"].frames, report.splits["val"].labelled) == (1, 0)
    assert report.shares["semantic"]["train"] == {"a": 0.4, "b": 0.6, "c": 0.0}
    assert report.shares["semantic"]["val"] == {"a": None, "b": None, "c": None}
    assert report.ignored["semantic"] == {"train": 2 / 12, "val": None}
    assert report.missing == {"rgb": 0, "semantic": 2}
    assert report.bad == [] and report.excluded() == set()


def test_progress_is_told_of_every_frame():
    told = []
    check_source(Made({"train": [good(*[0] * 6)] * 5}), progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 5) for i in range(1, 6)]


def test_a_bad_file_is_an_error_that_says_how_to_go_on():
    error = refusal(Made({"train": [good(*[0] * 6), BROKEN]}))
    assert (error.what, error.where) == ("the image is truncated", "train/images/7.jpg")
    assert "data.on_bad_file: skip" in error.fix


def test_many_bad_files_are_one_error_with_the_first_ten():
    broken = [EdgekitError(f"broken {i}", where=f"{i}.jpg") for i in range(13)]
    error = refusal(Made({"train": [good(*[0] * 6), *broken]}))
    assert error.what.startswith("13 of 14 frames are bad") and error.where == "0.jpg, the first of them"
    assert "9.jpg: broken 9" in error.what and "10.jpg" not in error.what and "and 3 more" in error.what


def test_skip_leaves_bad_frames_out_and_lists_them():
    label_outside = good(0, 0, 0, 0, 0, 3)
    two_sizes = {"rgb": RGB, "semantic": np.zeros((3, 2), np.uint8)}
    report = check_source(Made({"train": [BROKEN, good(*[1] * 6), label_outside, two_sizes]}), on_bad_file="skip")
    assert report.excluded() == {"train0", "train2", "train3"}
    assert report.bad[0] == BadFile("train", "train0", "train/images/7.jpg", "the image is truncated")
    assert "label 3 in 1 pixels" in report.bad[1].reason and report.bad[1].where == "train/train2"
    assert "rgb 3x2, semantic 2x3" in report.bad[2].reason
    assert (report.splits["train"].frames, report.splits["train"].labelled) == (1, 1)
    assert report.shares["semantic"]["train"]["b"] == 1


def test_an_empty_split_is_refused_before_reading():
    source = Made({"train": [good(*[0] * 6)], "val": []})
    assert "'val' has no frames" in refusal(source).what
    assert source.read_by == []


def test_a_split_of_bad_files_only_is_refused_even_when_skipping():
    error = refusal(Made({"train": [BROKEN], "val": [good(*[0] * 6)]}), on_bad_file="skip")
    assert "every frame of the split 'train' is bad: the image is truncated" in error.what


def test_a_fault_of_the_source_is_not_taken_for_a_bad_file():
    with pytest.raises(ZeroDivisionError):
        check_source(Made({"train": [ZeroDivisionError()]}), on_bad_file="skip")


def test_values_are_counted_per_split_and_without_what_is_no_value():
    source = Made({"train": [good(0, 0, 2, 1, 255, 255), {"rgb": RGB + 7}], "val": [{"rgb": RGB}]})
    values = check_source(source).values
    assert values["semantic"] == {"train": ValueSummary(6, 4, 0.0, 2.0, 0, 0)}
    assert values["rgb"] == {
        "train": ValueSummary(36, 36, 0.0, 7.0, 18, 0),
        "val": ValueSummary(18, 18, 0.0, 0.0, 18, 0),
    }


def test_a_report_survives_json():
    report = check_source(Made({"train": [good(*[0] * 6), BROKEN, {"rgb": RGB}]}), on_bad_file="skip")
    report.notes.append("labels pair by a part of their names")
    assert DataReport.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False))) == report


def test_the_table_shows_counts_shares_missing_and_bad():
    broken = EdgekitError("oops [red]", where="7.jpg")  # not markup
    report = check_source(Made({"train": [good(0, 0, 0, 1, 1, 1), broken, {"rgb": RGB}]}), on_bad_file="skip")
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(report.table())
    text = console.export_text()
    for part in (
        "train",
        "50.00 %",
        "(ignored)",
        "Missing tasks",
        "Values",
        "100.0 %",
        "7.jpg",
        "oops [red]",
        "skipped (1)",
    ):
        assert part in text


def test_what_nobody_reads_does_no_harm():
    odd = good(*[0] * 6) | {"semantic": np.zeros((2, 3), np.int64)}
    assert "is int64" in refusal(Made({"train": [odd]})).what
    report = check_source(Made({"train": [odd]}), names=["rgb"])
    assert report.bad == [] and report.missing == {"rgb": 0} and report.shares == {}


def test_advice_that_fits_all_bad_files_is_given():
    def bad(i: int, fix: str | None) -> EdgekitError:
        return EdgekitError(f"odd {i}", where=f"{i}.png", fix=fix)

    fine = good(*[0] * 6)
    assert refusal(Made({"train": [fine, bad(0, "use 255")]})).fix.startswith("use 255; or leave bad files out")
    same = refusal(Made({"train": [fine, bad(0, "use 255"), bad(1, "use 255")]}))
    assert same.fix.startswith("use 255")
    for fixes in (("use 255", "add a label"), ("use 255", None)):
        other = refusal(Made({"train": [fine, *(bad(i, fix) for i, fix in enumerate(fixes))]}))
        assert other.fix.startswith("repair the files")


def test_a_full_disk_is_no_bad_file():
    full = WriteError("the disk is full", where="cache")
    with pytest.raises(WriteError, match="the disk is full"):
        check_source(Made({"train": [good(*[0] * 6), full]}), on_bad_file="skip")
